//! What a pass reads besides its source: taps, bias, spectra.

use crate::kernel::{spectrum, turns};
use crate::plan::launch::{GpuLaunch, Scheme};
use crate::plan::pass::Pass;
use crate::plan::tile::Tile;
use crate::{Pointwise, Problem};

/// The contents of binding 3 for every program of a launch, in their order.
pub(crate) fn of_launch(problem: &Problem, launch: &GpuLaunch) -> Vec<Vec<f32>> {
    let made = launch.scheme.part_of(problem);
    let passes = Pass::of(&launch.scheme).iter().map(|pass| of_pass(made, *pass, launch));
    let edges = launch.scheme.leaves_edges(problem);
    passes.chain(edges.then(|| of_pass(problem, Pass::Gather, launch))).collect()
}

/// Of a pointwise step alone: weights `[filters, outputs]` and bias `[outputs]`.
pub(super) fn mixing(pointwise: &Pointwise) -> Vec<f32> {
    let bias = |g| pointwise.get_bias().get(g).copied().unwrap_or(0.0);
    let bias = (0..pointwise.outputs()).map(bias);
    pointwise.weights().iter().copied().chain(bias).collect()
}

fn of_pass(problem: &Problem, pass: Pass, launch: &GpuLaunch) -> Vec<f32> {
    let weights = problem.weights();
    let taps = match (pass, &launch.scheme) {
        (Pass::Across, Scheme::Separable { factors, .. }) => {
            return [factors.rows(), &vec![0.0; factors.terms()], &[1.0]].concat();
        }
        (Pass::Down, Scheme::Separable { factors, .. }) => factors.columns().to_vec(),
        (Pass::Forward | Pass::Multiply | Pass::Back | Pass::Whole, Scheme::Fft(tile)) => {
            return table(problem, pass, tile).into_iter().flatten().collect();
        }
        // The sum of each filter goes to that filter.
        (Pass::Finish, _) => {
            let places =
                (0..weights.filters).flat_map(|t| (0..weights.filters).map(move |f| (t, f)));
            places.map(|(t, f)| f32::from(u8::from(t == f))).collect()
        }
        _ => problem.summed_taps().into_owned(),
    };
    let scale = match pass {
        Pass::Finish => 1.0,
        _ => problem.mean().unwrap_or(1.0),
    };
    let mut contents = [taps.as_slice(), &weights.bias, &[scale]].concat();
    if let Some(follow) = &weights.follow {
        contents.extend(&follow.weights);
        contents.extend(&follow.bias);
    }
    contents
}

/// The table of `shaders/fft.wgsl`.
fn table(problem: &Problem, pass: Pass, tile: &Tile) -> Vec<[f32; 2]> {
    let (weights, g) = (problem.weights(), problem.geometry());
    let size = [tile.size.0 as usize, tile.size.1 as usize];
    let mut table = turns(match pass {
        Pass::Multiply => size[0],
        Pass::Whole => size[0].max(size[1]),
        _ => size[1],
    });
    if matches!(pass, Pass::Multiply | Pass::Whole) {
        for taps in weights.taps.chunks(g.kernel.0 * g.kernel.1) {
            table.extend(spectrum(taps, g.kernel.1, g.dilation, size));
        }
    }
    if matches!(pass, Pass::Back | Pass::Whole) {
        // Where a pass follows, that one adds them.
        let own = |b: f32| if tile.finish.is_none() { b } else { 0.0 };
        table.extend(weights.bias.iter().map(|b| [own(*b), 0.0]));
    }
    table
}
