//! The tables.

use std::fmt::Write as _;

use crate::record::{Key, Ours, Record};

pub(crate) fn text(name: &str, facts: &str, record: &Record) -> String {
    let mut text = format!("# {name}\n");
    if record.rehearsal {
        text += "\n**A rehearsal: these figures are no measurement.**\n";
    }
    let _ = write!(text, "\nMedians in milliseconds.\n\n![the tables as bars]({name}.svg)\n");
    for note in &record.notes {
        let _ = write!(text, "\n- {note}");
    }
    text += "\n";
    engine(&mut text, record, "gpu", GPU);
    engine(&mut text, record, "cpu", CPU);
    forced(&mut text, record);
    gradients(&mut text, record);
    peers(&mut text, record);
    copies(&mut text, record);
    told(&mut text, record);
    if !facts.is_empty() {
        let _ = write!(text, "\n## The machine\n\n```text\n{facts}\n```\n");
    }
    text
}

const GPU: &str = "\n## On the GPU\n\n\
`resident`: the device's own time, over buffers that together exceed its last cache twice; `cached`: over \
one pair of buffers; `call`: a single call with submission and wait, by the host's clock; `host`: with up- \
and download. `of a copy`: the speed as a share of that of the device's fastest copy of as many bytes, of \
the host's where data goes up and down. A ratio is our time over that of the fastest other library of the \
same run, timed in the same way.\n";

const CPU: &str = "\n## On the CPU\n\n\
`run` allocates its answer, `run_into` writes over one that is there; other libraries are compared with \
the one that does as they do. `of a copy`: the speed as a share of that of the fastest copy of as many bytes \
on as many threads, plain or past the caches. A ratio is our time over that of the fastest other library of \
the same run, run in turn.\n";

fn engine(text: &mut String, record: &Record, engine: &str, head: &str) {
    let rows = || {
        let of = |row: &&Ours| row.key.engine == engine && row.key.what == "forward";
        record.ours.iter().filter(of)
    };
    if rows().next().is_none() {
        return;
    }
    *text += head;
    *text += "\n| case | how | algorithm | ms | least | GB/s | of a copy | fastest other library | its ms | ratio |\n\
              | --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |\n";
    for row in rows() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} | {} | {} | {} | {} |",
            row.key.case,
            how(&row.key, row.threads),
            row.algorithm,
            ms(row.ms),
            ms(row.least_ms),
            row.gb_per_s,
            maybe(row.share_of_copy, 2),
            row.best_peer.as_deref().unwrap_or("–"),
            row.best_peer_ms.map_or("–".into(), ms),
            maybe(row.ratio, 3),
        );
    }
}

fn forced(text: &mut String, record: &Record) {
    if record.forced.is_empty() {
        return;
    }
    *text += "\n## By each algorithm\n\nOver the one that is chosen without being asked for, in the same run.\n\n\
              | case | engine | how | algorithm | ms | over the chosen |\n\
              | --- | --- | --- | --- | ---: | ---: |\n";
    for row in &record.forced {
        let Key { case, engine, how, .. } = &row.key;
        let (ms, over) = (ms(row.ms), maybe(row.over_chosen, 2));
        let _ = writeln!(text, "| {case} | {engine} | {how} | {} | {ms} | {over} |", row.algorithm);
    }
}

fn gradients(text: &mut String, record: &Record) {
    let rows = || record.ours.iter().filter(|row| row.key.what != "forward");
    if rows().next().is_none() {
        return;
    }
    *text += "\n## Gradients\n\n\
              | case | engine | how | gradient of | algorithm | ms | over forward | fastest other library | ratio |\n\
              | --- | --- | --- | --- | --- | ---: | ---: | --- | ---: |\n";
    for row in rows() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.key.case,
            row.key.engine,
            how(&row.key, row.threads),
            row.key.what.trim_end_matches(" gradient"),
            row.algorithm,
            ms(row.ms),
            maybe(row.of_forward, 2),
            row.best_peer.as_deref().unwrap_or("–"),
            maybe(row.ratio, 3),
        );
    }
}

fn peers(text: &mut String, record: &Record) {
    if record.peers.is_empty() {
        return;
    }
    *text += "\n## Other libraries\n\nOf the same run; of several rounds the smallest and largest ratio too.\n\n\
              | case | engine | how | row | version | ms | least | ours over it |\n\
              | --- | --- | --- | --- | --- | ---: | ---: | ---: |\n";
    for peer in &record.peers {
        let Key { case, engine, how, what } = &peer.key;
        let ratio = match peer.ratio {
            None => "–".into(),
            Some([median, least, most]) if least == most => format!("{median:.3}"),
            Some([median, least, most]) => format!("{median:.3} ({least:.3} to {most:.3})"),
        };
        let what = if what == "forward" || peer.row.contains(what.as_str()) { "" } else { what };
        let _ = writeln!(
            text,
            "| {case} | {engine} | {how} | {} | {} | {} | {} | {ratio} |",
            format!("{} {what}", peer.row).trim_end(),
            peer.version.as_deref().unwrap_or(""),
            ms(peer.ms),
            ms(peer.least_ms),
        );
    }
}

fn copies(text: &mut String, record: &Record) {
    if record.copies.is_empty() {
        return;
    }
    *text += "\n## Copies\n\nHalf of the bytes are read, half written.\n\n\
              | bytes | engine | how | row | ms | GB/s |\n| ---: | --- | --- | --- | ---: | ---: |\n";
    for copy in &record.copies {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.1} |",
            copy.bytes,
            copy.engine,
            copy.how,
            copy.row,
            ms(copy.ms),
            copy.gb_per_s
        );
    }
}

fn told(text: &mut String, record: &Record) {
    if record.told.is_empty() {
        return;
    }
    *text += "\n## Without a time\n\n| case | row | why |\n| --- | --- | --- |\n";
    for told in &record.told {
        let reason = told.reason.replace('|', "/");
        let _ = writeln!(text, "| {} | {} | {reason} |", told.case, told.row);
    }
}

fn how(key: &Key, threads: usize) -> String {
    match threads {
        0 => key.how.clone(),
        1 => format!("{}, 1 thread", key.how),
        n => format!("{}, {n} threads", key.how),
    }
}

fn ms(ms: f64) -> String {
    if ms < 0.1 { format!("{ms:.5}") } else { format!("{ms:.4}") }
}

fn maybe(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{value:.digits$}"))
}
