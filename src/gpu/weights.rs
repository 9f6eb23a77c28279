//! What a pass reads besides its source: taps, bias, spectra.

use crate::Problem;
use crate::kernel::{spectrum, turns};
use crate::plan::{GpuLaunch, Pass, Scheme, Tile};

/// The contents of binding 3.
pub(super) fn of_pass(problem: &Problem, pass: Pass, launch: &GpuLaunch) -> Vec<f32> {
    let weights = problem.weights();
    let taps = match (pass, &launch.scheme) {
        (Pass::Across, Scheme::Separable { factors, .. }) => {
            return [factors.rows(), &vec![0.0; factors.terms()]].concat();
        }
        (Pass::Down, Scheme::Separable { factors, .. }) => factors.columns().to_vec(),
        (Pass::Forward | Pass::Multiply | Pass::Back, Scheme::Fft(tile)) => {
            return table(problem, pass, tile).into_iter().flatten().collect();
        }
        // The sum of each filter goes to that filter.
        (Pass::Finish, _) => {
            let places =
                (0..weights.filters).flat_map(|t| (0..weights.filters).map(move |f| (t, f)));
            places.map(|(t, f)| f32::from(u8::from(t == f))).collect()
        }
        _ => weights.taps.clone(),
    };
    let mut contents = [taps.as_slice(), &weights.bias].concat();
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
    let mut table = turns(if pass == Pass::Multiply { size[0] } else { size[1] });
    match pass {
        Pass::Multiply => {
            for taps in weights.taps.chunks(g.kernel.0 * g.kernel.1) {
                table.extend(spectrum(taps, g.kernel.1, g.dilation, size));
            }
        }
        // Where a pass follows, that one adds them.
        Pass::Back if tile.finish.is_none() => table.extend(weights.bias.iter().map(|b| [*b, 0.0])),
        Pass::Back => table.extend(weights.bias.iter().map(|_| [0.0; 2])),
        _ => {}
    }
    table
}
