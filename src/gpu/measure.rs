//! How long a plan takes on a device.

use std::time::Duration;

use bytemuck::cast_slice;

use super::bound::Bound;
use super::device::{Clock, Context, Stamps, Wait};
use super::executor::Executor;
use super::ready::{Ready, ends};
use super::staging::Slot;
use crate::plan::job::{self, Piece};
use crate::{ElementType, Result};

/// How long a measurement goes on.
const ENOUGH: Duration = Duration::from_millis(30);
/// Runs of something that takes less than `SHORT` are measured together: what surrounds them takes as long.
const TOGETHER: u32 = 8;
const SHORT: Duration = Duration::from_micros(300);

/// Microseconds of the whole problem on the device, from its first band: the best of some runs, by the
/// device's own clock where it has one.
pub(super) async fn measure(executor: &Executor, ready: &Ready) -> Result<f64> {
    let launch = ready.launch()?;
    let Some(band) = launch.bands.first() else { return Ok(0.0) };
    let (problem, context) = (&ready.problem, &executor.context);
    let place = job::own_placement(problem, launch, band);
    let (from, to) = job::own_sizes(problem, band, &place);
    let job = job::band(problem, launch, &ready.limits, band);
    // The work alone is measured, wherever the data lies.
    let slot = Slot::new(executor, [from, to], false, |source, destination| {
        executor.bind(&job, &ready.compiled, &ends(source, destination), false)
    });
    let slot = slot.await?;
    let pattern = pattern(problem.input_type());
    let size = from.next_multiple_of(4) as usize;
    let piece = |to| Piece { from: 0, to, len: pattern.len().min(size - to) };
    slot.fill(context, (0..size).step_by(pattern.len()).map(piece).collect(), &pattern)?;
    let submitted = context.checked("measuring", || {
        let mut encoder = executor.encoder("channelwise.measure");
        slot.upload_alone(&mut encoder);
        executor.submit(encoder);
        context.work()
    });
    context.wait(&submitted.done().await?, Wait::HERE).await?;
    let mut best = Duration::MAX;
    let mut spent = Duration::ZERO;
    let mut times = 1;
    // The first run warms up, and counts where it takes long.
    for run in 0..8 {
        if run > 1 && spent > ENOUGH {
            break;
        }
        let mut clock = Clock::start();
        let time = once(executor, slot.bound(), times).await? / times;
        spent += clock.lap();
        best = best.min(time);
        times = if time < SHORT { TOGETHER } else { 1 };
    }
    // The upload is not mapped any more, as those in the pool are.
    drop(slot);
    let g = problem.geometry();
    let all = (g.images * g.out_height * g.out_width) as f64;
    let made = (band.images.len() * band.rows.len() * band.columns.len()) as f64;
    Ok(best.as_secs_f64() * 1e6 * all / made)
}

/// So many runs, one after the other in one submission.
async fn once(executor: &Executor, bound: &Bound, times: u32) -> Result<Duration> {
    let context: &Context = &executor.context;
    let stamps = Stamps::new(context).await?;
    let mut clock = Clock::start();
    let submitted = context.checked("measuring", || {
        let mut encoder = executor.encoder("channelwise.measure");
        executor.repeat(bound, &mut encoder, stamps.as_ref().map(Stamps::queries), times);
        if let Some(stamps) = &stamps {
            stamps.resolve(&mut encoder);
        }
        executor.submit(encoder);
        match &stamps {
            Some(stamps) => {
                let map = (stamps.buffer(), wgpu::MapMode::Read, stamps.buffer().size());
                context.maps(&[map])
            }
            None => context.work(),
        }
    });
    context.wait(&submitted.done().await?, Wait::HERE).await?;
    match stamps {
        Some(stamps) => stamps.read(context).map_err(|error| context.lost(&error)),
        None => Ok(clock.lap()),
    }
}

/// Numbers between 0 and 1, or all there are of bytes: equal ones would be compressed by some devices.
fn pattern(element: ElementType) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        // Numerical Recipes' generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let unit = |n: u32| n as f32 / (1u32 << 24) as f32;
    match element {
        ElementType::F32 => {
            let all: Vec<f32> = (0..4096).map(|_| unit(next())).collect();
            cast_slice(&all).to_vec()
        }
        ElementType::F16 => {
            let all: Vec<half::f16> =
                (0..4096).map(|_| half::f16::from_f32(unit(next()))).collect();
            cast_slice(&all).to_vec()
        }
        ElementType::F64 => {
            let all: Vec<f64> = (0..4096).map(|_| unit(next()).into()).collect();
            cast_slice(&all).to_vec()
        }
        ElementType::U8
        | ElementType::I8
        | ElementType::U16
        | ElementType::I16
        | ElementType::U32
        | ElementType::I32 => {
            let all: Vec<u32> = (0..4096).map(|_| next() << 8 ^ next()).collect();
            cast_slice(&all).to_vec()
        }
    }
}
