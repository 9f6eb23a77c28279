//! A comparison that judges each element on its own, and outputs that are dirty beforehand.

use std::fmt::Write as _;

use channelwise::reference::Expected;
use channelwise::{Conv2d, Element, Engine, Error, Shape};

/// Checks every element of `got`: all failures are counted, the first three told in full.
pub(crate) fn compare<U: Element>(
    got: &[U],
    want: &[Expected],
    shape: Shape,
) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements where {} are wanted", got.len(), want.len()));
    }
    let wrong: Vec<usize> = (0..got.len()).filter(|i| !want[*i].accepts(got[*i])).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} of {} elements are wrong", wrong.len(), got.len());
    for at in wrong.iter().take(3) {
        let Expected { value, allowance } = want[*at];
        let _ = write!(
            text,
            "\n    at {:?}: got {:?}, want {value:e}, off by {:e}, allowed {allowance:e}",
            coordinates(*at, shape),
            got[*at],
            (got[*at].to_f64() - value).abs(),
        );
    }
    if wrong.len() > 3 {
        let _ = write!(text, "\n    and {} more", wrong.len() - 3);
    }
    Err(text)
}

fn coordinates(mut index: usize, shape: Shape) -> Vec<usize> {
    let mut at: Vec<usize> = shape
        .dims()
        .iter()
        .rev()
        .map(|n| {
            let i = index % n;
            index /= n;
            i
        })
        .collect();
    at.reverse();
    at
}

/// What an engine made of a problem.
#[derive(Debug)]
pub(crate) enum Outcome<U> {
    Done(Vec<U>),
    NotApplicable(String),
    Failed(String),
}

impl<U> Outcome<U> {
    /// Without the values.
    pub(crate) fn bare(self) -> Outcome<()> {
        match self {
            Self::Done(_) => Outcome::Done(Vec::new()),
            Self::NotApplicable(text) => Outcome::NotApplicable(text),
            Self::Failed(text) => Outcome::Failed(text),
        }
    }
}

/// Whether two numbers of an engine are what `guide::bits` calls equal.
pub(crate) fn agree<U: Element>(engine: &Engine, found: &U, whole: &U) -> bool {
    bits_of(engine, *found) == bits_of(engine, *whole)
}

/// The bits of an element of an engine, for whatever is promised to be equal: those of all NaNs are one, and on a GPU
/// those of both zeros, whose sign WGSL lets compilers ignore.
pub(crate) fn bits_of<U: Element>(engine: &Engine, value: U) -> u64 {
    let zero = engine.as_gpu().is_some() && value.to_f64() == 0.0;
    if zero { 0 } else { bits(value) }
}

/// `of_types!(case, check(..))`: the check for the case's types, as far as parts of outputs are tried with them.
macro_rules! of_types {
    ($case:expr, $check:ident($($argument:expr),*)) => {
        match ($case.from, $case.to) {
            ($crate::common::U8, $crate::common::U8) => $check::<u8, u8>($($argument),*).bare(),
            ($crate::common::I16, $crate::common::F32) => $check::<i16, f32>($($argument),*).bare(),
            ($crate::common::F16, $crate::common::F16) => {
                $check::<channelwise::f16, channelwise::f16>($($argument),*).bare()
            }
            ($crate::common::F64, $crate::common::I32) => $check::<f64, i32>($($argument),*).bare(),
            ($crate::common::F64, $crate::common::F64) => $check::<f64, f64>($($argument),*).bare(),
            _ => $check::<f32, f32>($($argument),*).bare(),
        }
    };
}
pub(crate) use of_types;

/// Two values that outputs are filled with beforehand. Wherever the results of the two runs
/// differ, an element was left as it was.
fn dirt<U: Element>() -> [U; 2] {
    match U::TYPE.is_integer() {
        true => [U::from_f32(120.0), U::from_f32(85.0)],
        false => [U::from_f32(f32::NAN), U::from_f32(-1234.567)],
    }
}

/// Runs `input`, a whole tensor in memory order, twice into dirty outputs.
pub(crate) fn run_dirty<T: Element, U: Element>(
    engine: &Engine,
    conv: &Conv2d,
    shape: Shape,
    input: &[T],
) -> Outcome<U> {
    let [first, second] = dirt::<U>().map(|fill| run_filled(engine, conv, shape, input, fill));
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(Error::NotApplicable { reason, .. }), _) => return Outcome::NotApplicable(reason),
        (Err(error), _) | (_, Err(error)) => return Outcome::Failed(error.to_string()),
    };
    match (0..first.len()).find(|i| bits(first[*i]) != bits(second[*i])) {
        Some(at) => Outcome::Failed(format!(
            "element {at} is {:?} and, in a second run, {:?}: not written, or not repeatable",
            first[at], second[at]
        )),
        None => Outcome::Done(first),
    }
}

/// Runs into an output of `fill`.
pub(crate) fn run_filled<T: Element, U: Element>(
    engine: &Engine,
    conv: &Conv2d,
    shape: Shape,
    input: &[T],
    fill: U,
) -> Result<Vec<U>, Error> {
    let prepared = engine.prepare::<T, U>(conv, shape)?;
    // Slices, as arrays are compiled for each number of axes; `slices` holds the ones to the others.
    let mut out = vec![fill; prepared.problem().output_len()];
    prepared.run_slices(input, &mut out)?;
    Ok(out)
}

/// The bits of an element; all NaNs count as one.
pub(crate) fn bits<U: Element>(value: U) -> u64 {
    let value = value.to_f64();
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// The first element in which two results differ in any bit.
pub(crate) fn same_bits<U: Element>(got: &[U], want: &[U]) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements where {} are wanted", got.len(), want.len()));
    }
    let wrong: Vec<usize> = (0..got.len()).filter(|i| bits(got[*i]) != bits(want[*i])).collect();
    match wrong.first() {
        None => Ok(()),
        Some(at) => Err(format!(
            "{} of {} elements differ, first at {at}: {:?} for {:?}",
            wrong.len(),
            got.len(),
            got[*at],
            want[*at]
        )),
    }
}

/// Panics if there are failures, with the first three in full and the count of the rest.
pub(crate) fn refuse(test: &str, failures: &[String]) {
    if failures.is_empty() {
        return;
    }
    let mut text = format!("{test}: {} failures", failures.len());
    for failure in failures.iter().take(3) {
        let _ = write!(text, "\n  {failure}");
    }
    if failures.len() > 3 {
        let _ = write!(text, "\n  and {} more:", failures.len() - 3);
        for failure in &failures[3..] {
            let _ = write!(text, "\n  {}", failure.lines().next().unwrap_or_default());
        }
    }
    panic!("{text}");
}
