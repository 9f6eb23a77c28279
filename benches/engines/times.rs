//! Samples, and what they are summed up by.

use std::time::Instant;

use crate::Failure;

/// Milliseconds, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn new(mut ms: Vec<f64>) -> Self {
        ms.sort_by(f64::total_cmp);
        Self(ms)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// 0 is the least, 1 the most.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * part) as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            return self.at(0.5);
        }
        middle.checked_sub(1).map_or(f64::NAN, |below| (self.0[below] + self.0[middle]) / 2.0)
    }
}

/// `take` gives milliseconds, as often as it takes for so many seconds, and so many samples at least.
pub(crate) fn samples(
    seconds: f64,
    least: usize,
    mut take: impl FnMut() -> Result<f64, Failure>,
) -> Result<Times, Failure> {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < least || started.elapsed().as_secs_f64() < seconds {
        times.push(take()?);
    }
    Ok(Times::new(times))
}

/// Of `work` by the host's clock, after once that does not count.
pub(crate) fn repeat(
    seconds: f64,
    least: usize,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Times, Failure> {
    work()?;
    samples(seconds, least, || {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    })
}
