//! Progress on a terminal, and nothing anywhere else.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// Whether bars are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    /// Draws if stderr is a terminal and `quiet` is not set.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { shown: !quiet && std::io::stderr().is_terminal() }
    }

    /// Draws nothing.
    pub(crate) fn hidden() -> Self {
        Self { shown: false }
    }

    /// Something that takes a while; gone when dropped.
    pub(crate) fn spinner(self, doing: &'static str) -> ProgressBar {
        let bar = self.start(None, "{spinner} {msg} {elapsed}", doing);
        if self.shown {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }

    /// So many outputs to make; gone when dropped.
    pub(crate) fn bar(self, outputs: usize, doing: &'static str) -> ProgressBar {
        let template = "{msg} [{wide_bar}] {human_pos}/{human_len}, {eta} left";
        self.start(Some(outputs as u64), template, doing)
    }

    fn start(self, length: Option<u64>, template: &str, doing: &'static str) -> ProgressBar {
        let target =
            if self.shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(length, target)
            .with_style(style.progress_chars("=> "))
            .with_message(doing)
            .with_finish(ProgressFinish::AndClear)
    }
}
