//! What a pass reads besides its source: taps, bias, spectra.

use crate::kernel::{spectrum, turns};
use crate::memory::{self, NoRoom};
use crate::plan::launch::{GpuLaunch, Scheme};
use crate::plan::march::MarchShape;
use crate::plan::pass::Pass;
use crate::plan::strip;
use crate::plan::tile::Tile;
use crate::{Pointwise, Problem};

/// The contents of binding 3 for every program of a launch, in their order.
pub(crate) fn of_launch(problem: &Problem, launch: &GpuLaunch) -> Result<Vec<Vec<f32>>, NoRoom> {
    let made = launch.scheme.part_of(problem);
    let passes = Pass::of(&launch.scheme).iter().map(|pass| of_pass(made, *pass, launch));
    let edges = launch.scheme.leaves_edges(problem);
    passes.chain(edges.then(|| of_pass(problem, Pass::Edges, launch))).collect()
}

/// Where among the weights of the only program each tap stands, `[filters, height, width]`, in scalars; none where
/// something else is made of them first.
pub(crate) fn taps_at(problem: &Problem, launch: &GpuLaunch) -> Option<Vec<usize>> {
    let (kh, kw) = problem.geometry().kernel;
    let taps = 0..problem.weights().filters * kh * kw;
    match &launch.scheme {
        Scheme::Direct { .. } | Scheme::Flat(_) => Some(taps.collect()),
        Scheme::March(march) => {
            let row = 4 * MarchShape::of(problem, march).tap_row() as usize;
            Some(taps.map(|tap| tap / kw * row + tap % kw).collect())
        }
        Scheme::Phases(_) | Scheme::Fft(_) => None,
        Scheme::Separable { .. } | Scheme::Strips { .. } => None,
    }
}

/// Of a pointwise step alone: weights `[filters, outputs]` and bias `[outputs]`.
pub(super) fn mixing(pointwise: &Pointwise) -> Vec<f32> {
    let bias = |g| pointwise.get_bias().get(g).copied().unwrap_or(0.0);
    let bias = (0..pointwise.outputs()).map(bias);
    pointwise.weights().iter().copied().chain(bias).collect()
}

fn of_pass(problem: &Problem, pass: Pass, launch: &GpuLaunch) -> Result<Vec<f32>, NoRoom> {
    if let (Pass::March, Scheme::March(march)) = (pass, &launch.scheme) {
        return Ok(marching(problem, &MarchShape::of(problem, march)));
    }
    let weights = problem.weights();
    let taps = match (pass, &launch.scheme) {
        (Pass::Across, Scheme::Separable { factors, .. }) => {
            return Ok([factors.rows(), &vec![0.0; factors.terms()], &[1.0]].concat());
        }
        (Pass::Down, Scheme::Separable { factors, .. }) => factors.columns().to_vec(),
        (Pass::Strip, Scheme::Strips { strip, factors }) => {
            let columns = strip::columns(strip, factors, problem.geometry().kernel.0);
            [factors.rows(), &columns].concat()
        }
        (Pass::Forward | Pass::Multiply | Pass::Back | Pass::Whole, Scheme::Fft(tile)) => {
            return table(problem, pass, tile);
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
    Ok(contents)
}

/// What `shaders/march.wgsl` reads, in whole vectors: rows of taps in as many as they fill.
fn marching(problem: &Problem, shape: &MarchShape) -> Vec<f32> {
    let weights = problem.weights();
    let mut contents = vec![0.0; 4 * shape.weights() as usize];
    let columns = shape.kernel.1 as usize;
    // A shader without a factor takes the taps of a mean as they are.
    let summed = if shape.affine { problem.summed_taps() } else { (&*weights.taps).into() };
    for (n, taps) in summed.chunks(columns).enumerate() {
        let at = 4 * shape.tap_row() as usize * n;
        contents[at..at + columns].copy_from_slice(taps);
    }
    let mut rest = weights.bias.clone();
    rest.push(problem.mean().unwrap_or(1.0));
    if let Some(follow) = &weights.follow {
        rest.extend(&follow.weights);
        rest.extend(&follow.bias);
    }
    let at = shape.bias() as usize;
    contents[at..at + rest.len()].copy_from_slice(&rest);
    contents
}

/// The table of `shaders/fft.wgsl`.
fn table(problem: &Problem, pass: Pass, tile: &Tile) -> Result<Vec<f32>, NoRoom> {
    let (weights, g) = (problem.weights(), problem.geometry());
    let size = [tile.size.0 as usize, tile.size.1 as usize];
    let turns = turns(match pass {
        Pass::Multiply => size[0],
        Pass::Whole => size[0].max(size[1]),
        _ => size[1],
    });
    let points = turns.len() + weights.filters * (size[0] * size[1] + 1);
    let mut table = memory::with_capacity("the spectra of a kernel", 2 * points)?;
    table.extend(turns.into_iter().flatten());
    if matches!(pass, Pass::Multiply | Pass::Whole) {
        for taps in weights.taps.chunks(g.kernel.0 * g.kernel.1) {
            table.extend(spectrum(taps, g.kernel.1, g.dilation, size)?.into_iter().flatten());
        }
    }
    if matches!(pass, Pass::Back | Pass::Whole) {
        // Where a pass follows, that one adds them.
        let own = |b: f32| if tile.finish.is_none() { b } else { 0.0 };
        table.extend(weights.bias.iter().flat_map(|b| [own(*b), 0.0]));
    }
    Ok(table)
}
