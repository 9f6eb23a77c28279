//! What a record holds: rows of ours with the best peer of the same run, and what is missing.

use serde::Serialize;

use crate::line::Line;

#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// Ours by the algorithm that was chosen, gradients too.
    pub(crate) ours: Vec<Ours>,
    /// Ours by algorithms that were asked for.
    pub(crate) forced: Vec<Forced>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) copies: Vec<Copied>,
    pub(crate) told: Vec<Told>,
    /// By whose clock, huge pages: what all rows of an engine share.
    pub(crate) notes: Vec<String>,
    /// Of a software adapter or with shrunken cases: no measurement.
    pub(crate) rehearsal: bool,
}

/// What rows have in common that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    pub(crate) case: String,
    pub(crate) engine: String,
    pub(crate) what: String,
    pub(crate) how: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Ours {
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) threads: usize,
    pub(crate) algorithm: String,
    pub(crate) ms: f64,
    pub(crate) least_ms: f64,
    pub(crate) gb_per_s: f64,
    /// The fastest copy's time over ours: 1 is the copy's speed.
    pub(crate) share_of_copy: Option<f64>,
    pub(crate) copy_ms: Option<f64>,
    pub(crate) of_forward: Option<f64>,
    /// The fastest peer of the same run, timed in the same way.
    pub(crate) best_peer: Option<String>,
    pub(crate) best_peer_ms: Option<f64>,
    /// Our time over its.
    pub(crate) ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Forced {
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) algorithm: String,
    pub(crate) ms: f64,
    pub(crate) over_chosen: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Peer {
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) row: String,
    pub(crate) version: Option<String>,
    pub(crate) ms: f64,
    pub(crate) least_ms: f64,
    /// Our time over its, of pairs in one run: median, smallest and largest.
    pub(crate) ratio: Option<[f64; 3]>,
    /// Threads of ours in these pairs.
    against: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Copied {
    pub(crate) bytes: String,
    pub(crate) row: String,
    pub(crate) engine: String,
    pub(crate) how: String,
    pub(crate) ms: f64,
    pub(crate) gb_per_s: f64,
}

/// A row without a time, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    pub(crate) case: String,
    pub(crate) row: String,
    pub(crate) reason: String,
}

impl Record {
    /// Of runs whose rows are only ever compared with others of the same one.
    pub(crate) fn of(runs: &[Vec<Line>]) -> Self {
        let all = || runs.iter().flatten();
        let mut record = Self {
            ours: Vec::new(),
            forced: Vec::new(),
            peers: Vec::new(),
            copies: Vec::new(),
            told: Vec::new(),
            notes: notes(all()),
            rehearsal: all().any(|line| line.rehearsal),
        };
        for run in runs {
            record.add(run);
        }
        record
    }

    fn add(&mut self, run: &[Line]) {
        for line in run {
            let told = line.reason().map(|reason| Told {
                case: line.case.clone().unwrap_or_else(|| "all".into()),
                row: row_of(line),
                reason,
            });
            self.told.extend(told.filter(|told| !self.told.contains(told)));
        }
        let timed: Vec<&Line> = run.iter().filter(|line| line.reason().is_none()).collect();
        let copies = timed.iter().filter(|line| line.is_copy());
        self.copies.extend(copies.map(|line| Copied {
            bytes: line.case.clone().unwrap_or_default(),
            row: line.row.clone(),
            engine: line.engine.clone(),
            how: line.how().into(),
            ms: line.median_ms.unwrap_or(f64::NAN),
            gb_per_s: line.gb_per_s.unwrap_or(f64::NAN),
        }));
        let rows: Vec<&Line> = timed.into_iter().filter(|line| !line.is_copy()).collect();
        let peers = peers(run, &rows);
        self.ours.extend(ours(&rows, &peers));
        self.forced.extend(forced(&rows));
        self.peers.extend(peers);
    }
}

impl Key {
    fn of(line: &Line) -> Self {
        Self {
            case: line.case.clone().unwrap_or_default(),
            engine: line.engine.clone(),
            what: line.what().into(),
            how: line.how().into(),
        }
    }
}

fn row_of(line: &Line) -> String {
    let words = [Some(line.row.as_str()), line.algorithm.as_deref().filter(|_| line.forced)];
    let mut text = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if line.is_ours() {
        if line.what() != "forward" {
            text = format!("{text} {}", line.what());
        }
        text = format!("{text} {}", line.how());
    }
    text
}

/// Groups in the order in which their first line comes.
fn grouped<'a, K: PartialEq>(
    lines: impl IntoIterator<Item = &'a Line>,
    key: impl Fn(&Line) -> K,
) -> Vec<(K, Vec<&'a Line>)> {
    let mut groups: Vec<(K, Vec<&Line>)> = Vec::new();
    for line in lines {
        let key = key(line);
        match groups.iter().position(|group| group.0 == key) {
            Some(at) => groups[at].1.push(line),
            None => groups.push((key, vec![line])),
        }
    }
    groups
}

fn ours(rows: &[&Line], peers: &[Peer]) -> Vec<Ours> {
    let chosen = rows.iter().copied().filter(|line| line.is_ours() && !line.forced);
    let key = |line: &Line| (Key::of(line), line.threads.unwrap_or(0));
    let groups = grouped(chosen, key).into_iter();
    groups
        .map(|((key, threads), lines)| {
            let ms = median(lines.iter().filter_map(|line| line.median_ms));
            let copies = lines.iter().flat_map(|line| [line.copy_ms, line.streamed_copy_ms]);
            let copy_ms = copies.flatten().reduce(f64::min);
            let best = peers
                .iter()
                .filter(|peer| peer.key == key && peer.against == Some(threads))
                .min_by(|a, b| a.ms.total_cmp(&b.ms));
            Ours {
                key,
                threads,
                algorithm: lines[0].algorithm.clone().unwrap_or_default(),
                ms,
                least_ms: least(&lines),
                gb_per_s: median(lines.iter().filter_map(|line| line.gb_per_s)),
                share_of_copy: copy_ms.map(|copy| copy / ms),
                copy_ms,
                of_forward: some_median(lines.iter().filter_map(|line| line.of_forward)),
                best_peer: best.map(|peer| peer.row.clone()),
                best_peer_ms: best.map(|peer| peer.ms),
                ratio: best.and_then(|peer| peer.ratio).map(|[median, ..]| median),
            }
        })
        .collect()
}

fn forced(rows: &[&Line]) -> Vec<Forced> {
    let key = |line: &Line| (Key::of(line), line.algorithm.clone());
    let asked = grouped(rows.iter().copied().filter(|line| line.is_ours() && line.forced), key);
    let made = asked.into_iter().map(|((key, algorithm), lines)| {
        let ms = median(lines.iter().filter_map(|line| line.median_ms));
        let chosen = |line: &&&Line| line.is_ours() && !line.forced && Key::of(line) == key;
        let chosen = rows.iter().find(chosen).and_then(|line| line.median_ms);
        let over_chosen = chosen.map(|chosen| ms / chosen);
        Forced { key, algorithm: algorithm.unwrap_or_default(), ms, over_chosen }
    });
    made.collect()
}

/// Those that are right in every round.
fn peers(run: &[Line], rows: &[&Line]) -> Vec<Peer> {
    let theirs = rows.iter().copied().filter(|line| !line.is_ours());
    let mut peers = Vec::new();
    for ((key, row), lines) in grouped(theirs, |line| (Key::of(line), line.row.clone())) {
        let wrong = |line: &Line| line.wrong.is_some() && line.row == row;
        if run.iter().any(|line| wrong(line) && line.case.as_deref() == Some(&key.case)) {
            continue;
        }
        let pairs: Vec<_> = lines
            .iter()
            .filter_map(|line| {
                let partner = partner(rows, line)?;
                Some((partner.median_ms? / line.median_ms?, partner.threads.unwrap_or(0)))
            })
            .collect();
        let ratios = || pairs.iter().map(|pair| pair.0);
        let ratio = some_median(ratios()).map(|median| {
            [median, ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max)]
        });
        peers.push(Peer {
            key,
            row,
            version: lines[0].version.clone(),
            ms: median(lines.iter().filter_map(|line| line.median_ms)),
            least_ms: least(&lines),
            ratio,
            against: pairs.first().map(|pair| pair.1),
        });
    }
    peers
}

/// The row of ours that a peer's is compared with: the last before it, else the first after, of as many
/// threads, else of the most. A machine that slows down slows down both.
fn partner<'a>(rows: &[&'a Line], peer: &Line) -> Option<&'a Line> {
    let at = rows.iter().position(|line| std::ptr::eq(*line, peer))?;
    let key = Key::of(peer);
    let ours: Vec<(usize, &Line)> = rows
        .iter()
        .enumerate()
        .filter(|(_, line)| line.is_ours() && !line.forced && Key::of(line) == key)
        .map(|(n, line)| (n, *line))
        .collect();
    let most = ours.iter().map(|(_, line)| line.threads).max()?;
    let same = ours.iter().any(|(_, line)| line.threads == peer.threads);
    let threads = if same { peer.threads } else { most };
    let fit = || ours.iter().filter(|(_, line)| line.threads == threads);
    let before = fit().rfind(|(n, _)| *n < at);
    before.or_else(|| fit().next()).map(|(_, line)| *line)
}

/// Facts that many rows share, once each.
fn notes<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<String> {
    let mut notes = Vec::new();
    for line in lines {
        let clock = line.clock.as_deref().filter(|_| line.how() != "call");
        let clock = clock.map(|clock| format!("Clock of the GPU's own times: {clock}."));
        let pages = line.huge_pages.as_ref().map(|pages| format!("Huge pages: {pages}."));
        for note in clock.into_iter().chain(pages) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

fn least(lines: &[&Line]) -> f64 {
    lines.iter().filter_map(|line| line.min_ms.or(line.median_ms)).fold(f64::INFINITY, f64::min)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    some_median(values).unwrap_or(f64::NAN)
}

fn some_median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line;

    fn record(runs: &[&str]) -> Record {
        let runs: Vec<_> = runs.iter().map(|text| line::run(text).expect("lines")).collect();
        Record::of(&runs)
    }

    const OURS: &str = r#"{"case":"rgb3","row":"channelwise gpu","engine":"gpu","how":"resident","algorithm":"flat","threads":0,"median_ms":2.0,"min_ms":1.5,"gb_per_s":25,"copy_ms":1.5}
"#;

    fn peer(row: &str, rest: &str) -> String {
        format!(r#"{{"case":"rgb3","row":"{row}","engine":"gpu","version":"1",{rest}}}"#) + "\n"
    }

    #[test]
    fn the_best_peer_is_the_fastest_right_one_timed_alike() {
        let lines = OURS.to_string()
            + &peer("slow", r#""how":"resident","median_ms":8.0"#)
            + &peer("fast", r#""how":"resident","median_ms":4.0"#)
            + &peer("cached", r#""how":"cached","median_ms":1.0"#)
            + &peer("PyTorch copy", r#""how":"resident","median_ms":1.0"#)
            + &peer("liar", r#""how":"resident","median_ms":0.5,"wrong":"error 1.0""#)
            + &peer("absent", r#""missing":"no such module""#);
        let record = record(&[&lines]);
        assert_eq!(record.ours.len(), 1);
        assert_eq!(record.ours[0].best_peer.as_deref(), Some("fast"));
        assert_eq!(record.ours[0].ratio, Some(0.5));
        assert_eq!(record.ours[0].share_of_copy, Some(0.75));
        let told: Vec<_> =
            record.told.iter().map(|told| (told.row.as_str(), told.reason.as_str())).collect();
        assert_eq!(told, [("liar", "WRONG: error 1.0"), ("absent", "no such module")]);
    }

    #[test]
    fn a_peer_that_is_wrong_in_one_round_counts_in_none() {
        let lines = OURS.to_string()
            + &peer("liar", r#""how":"resident","median_ms":1.0"#)
            + &peer("liar", r#""wrong":"error 1.0""#);
        let record = record(&[&lines]);
        assert_eq!(record.ours[0].best_peer, None);
        assert_eq!(record.told[0].reason, "WRONG: error 1.0");
    }

    #[test]
    fn ratios_are_of_pairs_in_one_run() {
        let other = peer("alone", r#""how":"resident","median_ms":1.0"#);
        let apart = record(&[OURS, &other]);
        assert_eq!((apart.ours[0].ratio, apart.peers[0].ratio), (None, None));
        // Each with the row of ours before it, though the machine became slower.
        let slower = OURS.replace("2.0", "6.0");
        let rounds = OURS.to_string()
            + &peer("p", r#""how":"resident","median_ms":4.0"#)
            + &slower
            + &peer("p", r#""how":"resident","median_ms":10.0"#);
        let rounds: String = rounds.lines().map(|line| format!("1\twho\t{line}\n")).collect();
        let [median, least, most] = record(&[&rounds]).peers[0].ratio.expect("pairs");
        assert!((median - 0.55).abs() < 1e-9 && least == 0.5 && most == 0.6);
    }

    #[test]
    fn what_was_forced_is_no_peer_and_not_ours() {
        let forced = OURS.replace(r#""algorithm":"flat""#, r#""algorithm":"fft","forced":true"#);
        let record = record(&[&(forced.replace("2.0", "4.0") + OURS)]);
        assert_eq!(record.ours.len(), 1);
        assert_eq!(record.ours[0].algorithm, "flat");
        assert_eq!(record.forced[0].over_chosen, Some(2.0));
    }

    #[test]
    fn half_a_line_at_the_end_of_a_stopped_run_is_no_error() {
        assert_eq!(record(&[&(OURS.to_string() + r#"{"case":"rg"#)]).ours.len(), 1);
        assert!(line::run(&(r#"{"case":"rg"#.to_string() + "\n" + OURS)).is_err());
    }
}
