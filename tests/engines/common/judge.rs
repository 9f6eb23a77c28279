//! A case on one engine after the other, each element against the reference.

use channelwise::{Algorithm, Element, Engine, Error, f16, reference};

use super::case::Case;
use super::compare::{Outcome, bits_of, compare, run_dirty};
use super::{F16, F32, F64, I8, I16, I32, U8, U16, U32};

/// What an engine makes of a case, as bits, once it was found right. The number counts outputs that should
/// not be finite, on GPUs that promise nothing about those.
pub(crate) type Judge = Box<dyn Fn(&Engine, &mut usize) -> Outcome<u64>>;

/// Asks the reference once, for all engines.
pub(crate) fn judge(case: &Case) -> Judge {
    // Of types whose sums are made in f64 some pairs: each is compiled.
    macro_rules! pairs {
        ($(($from:ident $T:ty, $to:ident $U:ty)),* $(,)?) => {
            match (case.from, case.to) {
                $(($from, $to) => return typed::<$T, $U>(case),)*
                _ => {}
            }
        };
    }
    pairs!(
        (F64 f64, F64 f64),
        (I32 i32, F64 f64),
        (F64 f64, F32 f32),
        (U8 u8, F64 f64),
        (U32 u32, F32 f32),
        (F16 f16, F64 f64),
        (I32 i32, I32 i32),
        (U32 u32, U8 u8),
        (F64 f64, I16 i16),
        (I16 i16, U32 u32),
        (F64 f64, F16 f16),
        (F64 f64, I32 i32),
        (U8 u8, I32 i32),
        (U32 u32, U32 u32),
    );
    match case.from {
        F32 => from::<f32>(case),
        U8 => from::<u8>(case),
        U16 => from::<u16>(case),
        F16 => from::<f16>(case),
        I8 => from::<i8>(case),
        I16 => from::<i16>(case),
        other => panic!("{other} to {} is not covered: add it", case.to),
    }
}

fn from<T: Element>(case: &Case) -> Judge {
    match case.to {
        F32 => typed::<T, f32>(case),
        U8 => typed::<T, u8>(case),
        U16 => typed::<T, u16>(case),
        F16 => typed::<T, f16>(case),
        I8 => typed::<T, i8>(case),
        I16 => typed::<T, i16>(case),
        other => panic!("{} to {other} is not covered: add it", case.from),
    }
}

fn typed<T: Element, U: Element>(case: &Case) -> Judge {
    let case = case.clone();
    let problem = match case.problem() {
        Ok(problem) => problem,
        Err(error) => panic!("{case}: {error}"),
    };
    let input: Vec<T> = case.input(&problem);
    assert!(
        input.len() < 2 || input.iter().any(|x| *x != T::default()),
        "{case}: zeros show nothing"
    );
    let want = reference::run(&problem, &input);
    Box::new(move |engine, excused| {
        let (spread, searched) = match engine.prepare::<T, U>(&case.conv, case.shape) {
            Ok(prepared) => {
                let plan = prepared.plan();
                // The CPU leaves tiles with values that are not finite to `direct`.
                let searched = (plan.engine(), plan.algorithm()) == ("cpu", Algorithm::Fft);
                (plan.accuracy().spread, searched)
            }
            Err(Error::NotApplicable { reason, .. }) => return Outcome::NotApplicable(reason),
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        if spread > 0.0 && case.non_finite && !searched {
            return Outcome::NotApplicable("it promises nothing of what is not finite".into());
        }
        let within = (spread > 0.0).then(|| reference::run_within(&problem, &input, spread));
        let want = within.as_ref().unwrap_or(&want);
        let mut got = match run_dirty::<T, U>(engine, &case.conv, case.shape, &input) {
            Outcome::Done(got) => got,
            Outcome::NotApplicable(reason) => return Outcome::NotApplicable(reason),
            Outcome::Failed(reason) => return Outcome::Failed(reason),
        };
        if !keeps_non_finite(engine) {
            for (got, want) in got.iter_mut().zip(want) {
                if !want.value.is_finite() && !want.accepts(*got) {
                    *got = want.nearest();
                    *excused += 1;
                }
            }
        }
        match compare(&got, want, problem.output_shape()) {
            Ok(()) => Outcome::Done(got.into_iter().map(|y| bits_of(engine, y)).collect()),
            Err(text) => Outcome::Failed(text),
        }
    })
}

/// Whether results that are not finite can be relied on: on the CPU, and on the one GPU driver that
/// is known to keep to IEEE. WGSL lets the others assume that there are none.
fn keeps_non_finite(engine: &Engine) -> bool {
    engine.as_gpu().is_none_or(|gpu| {
        let info = gpu.adapter_info();
        info.name.contains("llvmpipe") && info.backend == channelwise::wgpu::Backend::Vulkan
    })
}
