//! `channelwise kernels`: the presets, with a picture of each.

use std::fmt::Write;
use std::io::IsTerminal;

use channelwise::Kernel;

use crate::failure::{Failure, Result};
use crate::presets::{self, PRESETS};
use crate::report;

/// Small kernels are drawn about this large.
const SIDE: usize = 9;

/// Weights from nothing to the largest.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];

pub(crate) fn kernels() -> Result<()> {
    let ink = Ink::of_stdout();
    let mut text = String::new();
    for preset in PRESETS {
        let kernel = presets::parse(&preset.example_text()).map_err(Failure::work)?;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{}\n  {}\n  {}: {kernel}, rank {}",
            preset.signature(),
            preset.meaning,
            preset.example_text(),
            kernel.rank(),
        );
        for line in picture(&kernel, ink) {
            let _ = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
    text += "SIZE, HEIGHT and WIDTH are whole numbers. Arguments go by place or name, as in\n\
             gaussian:5,1.2 and gaussian:sigma=1.2; those in brackets may be left out.\n";
    report::print(&text)
}

/// How pictures are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ink {
    TrueColour,
    /// The 6x6x6 cube and greys of 256-colour terminals.
    Palette,
    Plain,
}

impl Ink {
    fn of_stdout() -> Self {
        let var = |name| std::env::var(name).unwrap_or_default();
        if !std::io::stdout().is_terminal() || !var("NO_COLOR").is_empty() || var("TERM") == "dumb"
        {
            Self::Plain
        } else if matches!(var("COLORTERM").as_str(), "truecolor" | "24bit") {
            Self::TrueColour
        } else {
            Self::Palette
        }
    }

    /// The escape code that makes the upper (foreground) or lower half (background) this colour.
    fn code(self, layer: u8, [r, g, b]: [u8; 3]) -> String {
        match self {
            Self::TrueColour => format!("\x1b[{layer};2;{r};{g};{b}m"),
            Self::Palette | Self::Plain => {
                let six = |v: u8| (u16::from(v) * 5 + 127) / 255;
                let index = if r == g && g == b {
                    // Black, 24 greys, white.
                    match (u16::from(r) * 25 + 127) / 255 {
                        0 => 16,
                        25 => 231,
                        grey => 231 + grey,
                    }
                } else {
                    16 + 36 * six(r) + 6 * six(g) + six(b)
                };
                format!("\x1b[{layer};5;{index}m")
            }
        }
    }
}

fn picture(kernel: &Kernel, ink: Ink) -> Vec<String> {
    match ink {
        Ink::Plain => in_text(kernel),
        Ink::TrueColour | Ink::Palette => in_colour(kernel, ink),
    }
}

/// The weight as part of the largest, -1 to 1.
fn level(kernel: &Kernel, i: usize, j: usize) -> f32 {
    let largest = kernel.weights().iter().fold(0.0_f32, |a, w| a.max(w.abs()));
    let weight = kernel.get(i, j, 0).unwrap_or(0.0);
    if largest == 0.0 { 0.0 } else { weight / largest }
}

fn is_signed(kernel: &Kernel) -> bool {
    kernel.weights().iter().any(|w| *w < 0.0)
}

/// Two characters a tap: shades, or sign and ninths of the largest.
fn in_text(kernel: &Kernel) -> Vec<String> {
    let signed = is_signed(kernel);
    let tap = |i: usize, j: usize| {
        let level = level(kernel, i, j);
        // Rounded up, so that nothing but 0 looks like it.
        let ninths = (level.abs() * 9.0 - 1e-4).ceil().clamp(0.0, 9.0) as usize;
        match (signed, ninths) {
            (false, _) => [SHADES[ninths]; 2].iter().collect(),
            (true, 0) => " .".to_string(),
            (true, _) => format!("{}{ninths}", if level < 0.0 { '-' } else { '+' }),
        }
    };
    (0..kernel.height())
        .map(|i| {
            let taps: Vec<String> = (0..kernel.width()).map(|j| tap(i, j)).collect();
            let line = taps.join(if signed { " " } else { "" });
            format!("|{line}|")
        })
        .collect()
}

/// Two rows in one line of half blocks: greys, or blue below zero and orange above.
fn in_colour(kernel: &Kernel, ink: Ink) -> Vec<String> {
    let (h, w) = (kernel.height(), kernel.width());
    let scale = (SIDE / h.max(w)).max(1);
    let signed = is_signed(kernel);
    let colour = |y: usize, x: usize| {
        let level = level(kernel, y / scale, x / scale);
        // Square root: small weights should be seen.
        let part = |most: f32| (level.abs().sqrt() * most) as u8;
        match (signed, level < 0.0) {
            (false, _) => [part(255.0); 3],
            (true, true) => [part(40.0), part(140.0), part(255.0)],
            (true, false) => [part(255.0), part(150.0), part(20.0)],
        }
    };
    (0..h * scale)
        .step_by(2)
        .map(|y| {
            let mut line = String::new();
            for x in 0..w * scale {
                line += &ink.code(38, colour(y, x));
                if y + 1 < h * scale {
                    line += &ink.code(48, colour(y + 1, x));
                }
                line.push('▀');
                line += "\x1b[0m";
            }
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_pictures() {
        assert_eq!(in_text(&Kernel::sobel_x()), ["|-5  . +5|", "|-9  . +9|", "|-5  . +5|"]);
        assert_eq!(in_text(&Kernel::binomial(3).unwrap()), ["|--++--|", "|++@@++|", "|--++--|"]);
    }

    #[test]
    fn coloured_pictures() {
        let lines = in_colour(&Kernel::identity(), Ink::TrueColour);
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("\x1b[38;2;255;255;255m\x1b[48;2;255;255;255m▀\x1b[0m"));
        assert!(!lines[4].contains("[48;"));
        assert_eq!(Ink::Palette.code(38, [255, 0, 0]), "\x1b[38;5;196m");
        assert_eq!(Ink::Palette.code(48, [0; 3]), "\x1b[48;5;16m");
        assert_eq!(Ink::Palette.code(48, [255; 3]), "\x1b[48;5;231m");
    }
}
