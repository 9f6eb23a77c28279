//! What a run is remembered by: rows as JSON, tables in Markdown, a picture.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::roofline;
use crate::run::{Row, What};
use crate::{Failure, plot};

/// A row of another library, or ours between two of them, as `benches/peers/run-gpu.sh` leaves it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Peer {
    case: String,
    row: String,
    #[serde(default)]
    what: What,
    median_ms: Option<f64>,
    missing: Option<String>,
}

/// A bar: its name, milliseconds, and whether it is ours.
pub(crate) type Bar = (String, f64, bool);

/// The bars of a case or of one of its gradients, and the fastest copy's milliseconds.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) case: String,
    pub(crate) what: What,
    pub(crate) bars: Vec<Bar>,
    pub(crate) copy: Option<f64>,
}

/// The lines of `run-gpu.sh`: round, name and JSON, with tabs between.
pub(crate) fn peers(file: &Path) -> Result<Vec<Peer>, Failure> {
    let text = std::fs::read_to_string(file)?;
    let line = |line: &str| serde_json::from_str(line.rsplit('\t').next().unwrap_or(line));
    Ok(text.lines().map(line).collect::<Result<_, _>>()?)
}

pub(crate) fn write(
    stem: &Path,
    machine: &[String],
    rows: &[Row],
    peers: &[Peer],
    roofline: &[roofline::Row],
) -> Result<(), Failure> {
    if let Some(folder) = stem.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let groups = groups(rows, peers);
    let all = json!({ "machine": machine, "rows": rows, "peers": peers, "roofline": roofline });
    std::fs::write(named(stem, "json"), serde_json::to_string_pretty(&all)? + "\n")?;
    let name = stem.file_name().unwrap_or_default().to_string_lossy();
    std::fs::write(named(stem, "md"), text(&name, machine, rows, peers, &groups, roofline))?;
    plot::draw(&named(stem, "svg"), &groups)
}

/// `stem` with an ending; a dot in it is no ending of its own.
fn named(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Case by case, the fastest first. Several rounds of a peer count by their median.
fn groups(rows: &[Row], peers: &[Peer]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let at = groups.iter().position(|g| g.case == row.case && g.what == row.what);
        let at = at.unwrap_or_else(|| {
            let (case, what) = (row.case.clone(), row.what);
            groups.push(Group { case, what, bars: Vec::new(), copy: None });
            groups.len() - 1
        });
        groups[at].bars.push((row.name(), row.median_ms, true));
        groups[at].copy = Some(groups[at].copy.map_or(row.copy_ms, |ms| ms.min(row.copy_ms)));
    }
    for group in &mut groups {
        let mut names: Vec<&str> = peers
            .iter()
            .filter(|peer| peer.case == group.case && peer.what == group.what)
            .filter(|peer| !is_ours(&peer.row))
            .map(|peer| peer.row.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if let Some(ms) = paired(peers, &group.case, name) {
                group.bars.push((name.into(), ms, false));
            }
        }
        group.bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    groups
}

fn is_ours(row: &str) -> bool {
    row.starts_with("channelwise")
}

/// The median of a row's rounds.
fn paired(peers: &[Peer], case: &str, row: &str) -> Option<f64> {
    let of = peers.iter().filter(|peer| peer.case == case && peer.row == row);
    let mut times: Vec<f64> = of.filter_map(|peer| peer.median_ms).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn text(
    name: &str,
    machine: &[String],
    rows: &[Row],
    peers: &[Peer],
    groups: &[Group],
    roofline: &[roofline::Row],
) -> String {
    let mut text = format!("# {name}\n\n");
    for line in machine {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "\nMedians in milliseconds. `r`: data lies on the GPU; `e`: with upload and download. `of copy`: \
         over a copy of as many bytes by the same device or threads.\n\n![the table as bars]({name}.svg)\n\n\
         | case | row | algorithm | ms | least | 90 % | GB/s | GFLOP/s | of copy |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.4} | {:.4} | {:.4} | {:.2} | {:.2} | {:.2} |",
            row.case,
            row.name(),
            row.algorithm,
            row.median_ms,
            row.min_ms,
            row.p90_ms,
            row.gb_per_s,
            row.gflop_per_s,
            row.median_ms / row.copy_ms
        );
    }
    let gradients: Vec<_> = rows.iter().filter_map(|row| Some((row, row.of_forward?))).collect();
    if !gradients.is_empty() {
        text += "\n## Gradients\n\nOver the forward row of the same run.\n\n\
                 | case | row | ms | of forward |\n| --- | --- | ---: | ---: |\n";
        for (row, ratio) in gradients {
            let (name, ms) = (row.name(), row.median_ms);
            let _ = writeln!(text, "| {} | {name} | {ms:.4} | {ratio:.2} |", row.case);
        }
    }
    if !peers.is_empty() {
        text += "\n## Other libraries\n\nIn turn with ours, on a GPU with resident data.\n\n\
                 | case | row | ms | ours over it |\n| --- | --- | ---: | ---: |\n";
        for group in groups {
            let of_ours = ["channelwise gpu r", "channelwise cpu"];
            let mut of_ours = of_ours.iter().map(|row| group.what.named(row));
            let ours = of_ours.find_map(|row| paired(peers, &group.case, &row));
            for (name, ms, _) in group.bars.iter().filter(|bar| !bar.2) {
                let ratio = ours.map_or("–".into(), |ours| format!("{:.3}", ours / ms));
                let _ = writeln!(text, "| {} | {name} | {ms:.3} | {ratio} |", group.case);
            }
            let mut told: Vec<_> = peers
                .iter()
                .filter(|peer| peer.case == group.case && peer.what == group.what)
                .filter_map(|peer| Some((peer.row.as_str(), peer.missing.as_ref()?)))
                .collect();
            told.dedup();
            for (row, reason) in told {
                let _ = writeln!(text, "| {} | {row} | {reason} | |", group.case);
            }
        }
    }
    text += "\n## Roofline\n\nWhat three GPUs would take at least, by the plans' model.\n\n";
    text + &roofline::table(roofline)
}
