//! The tables as bars: a panel for each case, lengths by the logarithm of the time.

use std::path::Path;

use plotters::prelude::*;

use crate::Failure;
use crate::record::{Key, Record};

const WIDTH: i32 = 800;
const LABELS: i32 = 300;
const BAR: i32 = 18;
const HEAD: i32 = 34;
/// Room for the numbers right of bars.
const NUMBERS: i32 = 100;

const OURS: RGBColor = RGBColor(31, 119, 180);
const THEIRS: RGBColor = RGBColor(170, 170, 170);
const COPY: RGBColor = RGBColor(214, 39, 40);

/// What is drawn side by side.
struct Panel {
    title: String,
    bars: Vec<Bar>,
    /// Milliseconds of the fastest copy.
    copy: Option<f64>,
}

struct Bar {
    name: String,
    ms: f64,
    ours: bool,
}

/// Case by case, the fastest first. Of a GPU that told its own times only those over large buffers.
fn panels(record: &Record) -> Vec<Panel> {
    let resident = record.ours.iter().any(|row| row.key.how == "resident");
    let shown = |key: &Key| !(resident && key.engine == "gpu") || key.how == "resident";
    let title = |key: &Key| match key.what.as_str() {
        "forward" => format!("{}, {}", key.case, key.engine),
        what => format!("{}, {}, {what}", key.case, key.engine),
    };
    let mut panels: Vec<Panel> = Vec::new();
    for row in record.ours.iter().filter(|row| shown(&row.key)) {
        let title = title(&row.key);
        let at = panels.iter().position(|panel| panel.title == title).unwrap_or_else(|| {
            panels.push(Panel { title, bars: Vec::new(), copy: None });
            panels.len() - 1
        });
        let threads =
            if row.threads > 1 { format!(", {} threads", row.threads) } else { String::new() };
        let name = format!("channelwise {} {}{threads}", row.algorithm, row.key.how);
        panels[at].bars.push(Bar { name, ms: row.ms, ours: true });
        let copies = panels[at].copy.into_iter().chain(row.copy_ms);
        panels[at].copy = copies.reduce(f64::min);
    }
    for panel in &mut panels {
        let of = |key: &Key| shown(key) && title(key) == panel.title;
        let peers = record.peers.iter().filter(|peer| of(&peer.key)).map(|peer| Bar {
            name: peer.row.clone(),
            ms: peer.ms,
            ours: false,
        });
        let peers: Vec<_> = peers.collect();
        panel.bars.extend(peers);
        panel.bars.sort_by(|a, b| a.ms.total_cmp(&b.ms));
    }
    panels
}

pub(crate) fn draw(file: &Path, record: &Record) -> Result<(), Failure> {
    let panels = panels(record);
    let height = panels.iter().map(|p| HEAD + BAR * p.bars.len() as i32).sum::<i32>() + 40;
    let root = SVGBackend::new(file, (WIDTH as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let text = |words: &str, x: i32, y: i32, size: i32| {
        root.draw(&Text::new(words.to_string(), (x, y), ("sans-serif", size).into_font()))
    };
    let mut top = 8;
    for panel in &panels {
        let times = || panel.bars.iter().map(|bar| bar.ms).chain(panel.copy);
        let least = times().fold(f64::INFINITY, f64::min) / 2.0;
        let most = times().fold(0.0, f64::max).max(least * 10.0);
        let place = |ms: f64| {
            let part = (ms / least).ln() / (most / least).ln();
            LABELS + (f64::from(WIDTH - LABELS - NUMBERS) * part) as i32
        };
        text(&panel.title, 8, top + 6, 15)?;
        let first = top + HEAD - 6;
        for (n, Bar { name, ms, ours }) in panel.bars.iter().enumerate() {
            let y = first + BAR * n as i32;
            let colour = if *ours { OURS } else { THEIRS };
            let end = place(*ms);
            root.draw(&Rectangle::new([(LABELS, y), (end, y + BAR - 4)], colour.filled()))?;
            text(name, 20, y + 1, 12)?;
            text(&format!("{ms:.4} ms"), end + 6, y + 1, 12)?;
        }
        if let Some(copy) = panel.copy {
            let x = place(copy);
            let last = first + BAR * panel.bars.len() as i32 - 4;
            root.draw(&PathElement::new(vec![(x, first - 3), (x, last)], COPY.stroke_width(2)))?;
        }
        top += HEAD + BAR * panel.bars.len() as i32;
    }
    let legend =
        "blue: channelwise; grey: other libraries; red line: the fastest copy of as many bytes";
    text(legend, 8, height - 22, 12)?;
    root.present()?;
    Ok(())
}
