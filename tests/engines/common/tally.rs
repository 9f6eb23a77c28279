//! Counts what each engine was asked, and collects every failure of a test.

use std::fmt::{self, Write as _};
use std::time::Instant;

use channelwise::Engine;

use super::backend::{
    Backend, Kind, engines, pretended_devices, say, small_devices, specialised_devices,
};
use super::case::Case;
use super::compare::{Outcome, refuse};
use super::judge::judge;

/// Counts what each engine was asked and collects every failure of a test.
#[derive(Debug)]
pub(crate) struct Tally {
    test: &'static str,
    engines: Vec<&'static Backend>,
    started: Instant,
    cases: usize,
    covered: Vec<usize>,
    not_applicable: Vec<usize>,
    left_out: Vec<usize>,
    /// Outputs that should not be finite, on GPUs that promise nothing about those.
    excused: usize,
    failures: Vec<String>,
}

impl Tally {
    pub(crate) fn new(test: &'static str) -> Self {
        Self::of(test, engines().iter().collect())
    }

    /// For what is too much for a GPU that is played by the CPU.
    pub(crate) fn cpu_only(test: &'static str) -> Self {
        Self::of(test, engines().iter().filter(|b| !b.kind.is_gpu()).collect())
    }

    /// On the GPU alone.
    pub(crate) fn gpu_only(test: &'static str) -> Self {
        Self::of(test, engines().iter().filter(|b| b.kind.is_gpu()).collect())
    }

    /// On [`small_devices`].
    pub(crate) fn small(test: &'static str) -> Self {
        Self::of(test, small_devices().iter().collect())
    }

    /// On [`specialised_devices`].
    pub(crate) fn specialised(test: &'static str) -> Self {
        Self::of(test, specialised_devices().iter().collect())
    }

    /// On [`pretended_devices`].
    pub(crate) fn pretended(test: &'static str) -> Self {
        Self::of(test, pretended_devices().iter().collect())
    }

    /// The same without engines of another kind.
    pub(crate) fn only(self, kind: Kind) -> Self {
        Self::of(self.test, self.engines.into_iter().filter(|b| b.kind == kind).collect())
    }

    /// The same without engines whose sums are never exact.
    pub(crate) fn exact(self) -> Self {
        Self::of(self.test, self.engines.into_iter().filter(|b| b.kind.is_exact()).collect())
    }

    fn of(test: &'static str, engines: Vec<&'static Backend>) -> Self {
        let n = engines.len();
        Self {
            test,
            engines,
            started: Instant::now(),
            cases: 0,
            covered: vec![0; n],
            not_applicable: vec![0; n],
            left_out: vec![0; n],
            excused: 0,
            failures: Vec::new(),
        }
    }

    /// One case on every engine, each element against the reference.
    pub(crate) fn case(&mut self, case: &Case) {
        let judge = judge(case);
        let mut excused = 0;
        self.each(case, |engine| judge(engine, &mut excused));
        self.excused += excused;
    }

    /// One case, as `run` judges it, on every engine.
    pub(crate) fn each<U>(
        &mut self,
        case: &dyn fmt::Display,
        mut run: impl FnMut(&Engine) -> Outcome<U>,
    ) {
        self.cases += 1;
        for (i, backend) in self.engines.iter().enumerate() {
            // The shaders of these take the longest to compile, or are compiled for each case. `fourier_tiles` and
            // `marching_rows` are about nothing else.
            let every_third = match backend.kind {
                Kind::GpuFft => Some(1),
                Kind::GpuMarch => Some(2),
                _ => None,
            };
            if every_third.is_some_and(|n| self.engines.len() > 1 && self.cases % 3 != n) {
                self.left_out[i] += 1;
                continue;
            }
            match run(&backend.engine) {
                Outcome::Done(_) => self.covered[i] += 1,
                Outcome::NotApplicable(_) if backend.kind.may_refuse() => {
                    self.not_applicable[i] += 1;
                }
                // `direct` takes everything.
                Outcome::NotApplicable(text) | Outcome::Failed(text) => {
                    self.failures.push(format!("{} on {case}\n    {text}", backend.name));
                }
            }
        }
    }

    /// Those that take part.
    pub(crate) fn engines(&self) -> &[&'static Backend] {
        &self.engines
    }

    /// Cases that every engine of this kind did; `None` where there is no such engine.
    pub(crate) fn covered_by(&self, kind: Kind) -> Option<usize> {
        let its = self.engines.iter().zip(&self.covered).filter(|(b, _)| b.kind == kind);
        its.map(|(_, covered)| *covered).min()
    }

    /// Tells the counts; fails if anything failed, an engine was left out, or `flat` applied to
    /// less than `flat` cases.
    pub(crate) fn finish(self, flat: usize) {
        let mut text = format!(
            "{}: {} cases in {:.1} s:",
            self.test,
            self.cases,
            self.started.elapsed().as_secs_f64()
        );
        for (i, backend) in self.engines.iter().enumerate() {
            let _ = write!(text, " {} {}", backend.name, self.covered[i]);
            if self.not_applicable[i] > 0 {
                let _ = write!(text, " (not applicable {})", self.not_applicable[i]);
            }
            if self.left_out[i] > 0 {
                let _ = write!(text, " (left out {})", self.left_out[i]);
            }
            text.push(',');
        }
        if self.excused > 0 {
            let _ = write!(text, " {} outputs that should not be finite differ,", self.excused);
        }
        say(text.trim_end_matches(','));
        refuse(self.test, &self.failures);
        for (i, backend) in self.engines.iter().enumerate() {
            let least = match backend.kind {
                Kind::GpuFlat => flat,
                // Of what was not left out some is too small, or too large.
                Kind::GpuMarch => 0,
                // Few kernels are separable: `separable_kernels` sees to those.
                Kind::CpuSeparable | Kind::GpuSeparable => 0,
                // It refuses kernels and borders that are not finite.
                Kind::CpuFft | Kind::GpuFft => 0,
                Kind::Cpu | Kind::GpuDirect => self.cases,
            };
            assert!(
                self.covered[i] >= least,
                "{} was covered by {} cases, at least {least} are wanted",
                backend.name,
                self.covered[i]
            );
        }
    }
}
