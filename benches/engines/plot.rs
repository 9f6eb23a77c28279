//! The table as bars: a panel for each case, lengths by the logarithm of the time.

use std::path::Path;

use plotters::prelude::*;

use crate::Failure;
use crate::record::Group;

const WIDTH: i32 = 760;
const LABELS: i32 = 260;
const BAR: i32 = 18;
const HEAD: i32 = 34;
/// Room for the numbers right of bars.
const NUMBERS: i32 = 100;

const OURS: RGBColor = RGBColor(31, 119, 180);
const THEIRS: RGBColor = RGBColor(170, 170, 170);
const COPY: RGBColor = RGBColor(214, 39, 40);

pub(crate) fn draw(file: &Path, groups: &[Group]) -> Result<(), Failure> {
    let height: i32 = groups.iter().map(|g| HEAD + BAR * g.bars.len() as i32).sum::<i32>() + 40;
    let size = (WIDTH as u32, height as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    let font = ("sans-serif", 12);
    let text = |words: String, x: i32, y: i32, size: i32| {
        root.draw(&Text::new(words, (x, y), ("sans-serif", size).into_font()))
    };
    let mut top = 8;
    for group in groups {
        let times = || group.bars.iter().map(|bar| bar.1).chain(group.copy);
        let least = times().fold(f64::INFINITY, f64::min) / 2.0;
        let most = times().fold(0.0, f64::max).max(least * 10.0);
        let place = |ms: f64| {
            let part = (ms / least).ln() / (most / least).ln();
            LABELS + (f64::from(WIDTH - LABELS - NUMBERS) * part) as i32
        };
        text(group.what.named(&group.case), 8, top + 6, 15)?;
        let first = top + HEAD - 6;
        for (n, (name, ms, ours)) in group.bars.iter().enumerate() {
            let y = first + BAR * n as i32;
            let colour = if *ours { OURS } else { THEIRS };
            let end = place(*ms);
            root.draw(&Rectangle::new([(LABELS, y), (end, y + BAR - 4)], colour.filled()))?;
            root.draw(&Text::new(name.clone(), (20, y + 1), font.into_font()))?;
            text(format!("{ms:.3} ms"), end + 6, y + 1, 12)?;
        }
        if let Some(copy) = group.copy {
            let x = place(copy);
            let last = first + BAR * group.bars.len() as i32 - 4;
            root.draw(&PathElement::new(vec![(x, first - 3), (x, last)], COPY.stroke_width(2)))?;
        }
        top += HEAD + BAR * group.bars.len() as i32;
    }
    let legend =
        "blue: channelwise; grey: other libraries; red line: the fastest copy of as many bytes";
    text(legend.into(), 8, height - 22, 12)?;
    root.present()?;
    Ok(())
}
