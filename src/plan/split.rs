//! The bands of a launch: how large each may be where its data lies.

use super::bands::{Band, Budget, cut};
use super::cuts::Cuts;
use super::launch::{GpuLaunch, Scheme};
use super::limits::{GpuLimits, Residence};
use crate::{Problem, Result};

/// How many of [`GpuLimits::usual_host_range`] a band of data on the host may hold, the fewest first, so that
/// its halo is small beside it.
const USUAL: [u64; 3] = [1, 2, 4];

/// The same launch for data on the host, in bands of a part of the bytes that it has now: so many times halved.
///
/// # Errors
/// Where not even one output pixel fits.
pub(crate) fn smaller(
    problem: &Problem,
    launch: &GpuLaunch,
    limits: &GpuLimits,
    halvings: u32,
) -> Result<GpuLaunch> {
    let now = launch.bands.iter().map(|band| {
        let place = (band.source_columns.len * band.source_rows.len)
            .max(band.rows.len() * band.columns.len());
        let g = problem.geometry();
        let scalars = band.images.len() * place * g.pixel().max(g.out_row() / g.out_width);
        (4 * scalars) as u64
    });
    let least = now.max().unwrap_or(0).max(limits.usual_host_range()) >> halvings;
    let cuts = Cuts { band_bytes: Some(least), ..limits.cuts };
    let bands = bands_of(problem, &GpuLimits { cuts, ..*limits }, Residence::Host, launch)?;
    Ok(GpuLaunch { bands, ..launch.clone() })
}

/// The bands of a launch.
pub(super) fn bands_of(
    problem: &Problem,
    limits: &GpuLimits,
    residence: Residence,
    launch: &GpuLaunch,
) -> Result<Vec<Band>> {
    let scheme = &launch.scheme;
    let g = problem.geometry();
    let places = g.images * g.out_height * g.out_width * g.channels;
    let made = scheme.part_of(problem);
    let between = |band: &Band| scheme.between(made, band).into_iter().fold(0, u64::max);
    let sums: f64 = scheme.traffic(made).iter().map(|pass| pass.sums).sum();
    let sums = scheme.weight(limits) as f64 * sums;
    let per_place = (sums / places.max(1) as f64).ceil() as u64;
    let budget = |bytes| Budget {
        bytes,
        textures: residence == Residence::Texture,
        work: limits.max_work(),
        per_place,
        pitch: launch.pitch,
        granule: granule(problem, residence),
        tile: match scheme {
            Scheme::Fft(tile) => tile.grain(made),
            // Whole cells, so that phases have their places in every band.
            Scheme::Phases(_) => g.stride,
            Scheme::Direct { .. } | Scheme::Flat(_) | Scheme::March(_) => (1, 1),
            Scheme::Separable { .. } | Scheme::Strips { .. } => (1, 1),
        },
        between: &between,
    };
    let usual = match (residence, scheme) {
        (Residence::Device | Residence::Texture, _) => None,
        // Tiles have large halos: as few as may be.
        (Residence::Host, Scheme::Fft(_)) => None,
        (
            Residence::Host,
            Scheme::Direct { .. }
            | Scheme::Flat(_)
            | Scheme::March(_)
            | Scheme::Phases(_)
            | Scheme::Separable { .. }
            | Scheme::Strips { .. },
        ) => {
            let most = limits.band_bytes(residence);
            USUAL.into_iter().find_map(|times| {
                let bytes = limits.usual_host_range().saturating_mul(times).min(most);
                let bands = cut(problem, budget(bytes)).ok()?;
                let whole = bands.iter().all(|band| band.columns.len() == g.out_width);
                // What neighbours both need is copied twice, and filtered twice by a first pass.
                let rows = bands.iter().map(|band| band.images.len() * band.source_rows.len);
                (whole && 8 * rows.sum::<usize>() <= 9 * g.images * g.height).then_some(bands)
            })
        }
    };
    match usual {
        Some(bands) => Ok(bands),
        None => cut(problem, budget(limits.band_bytes(residence))),
    }
}

/// Rows (or images) by which bands must start, so that no word of a packed byte output belongs to
/// two of them.
fn granule(problem: &Problem, residence: Residence) -> usize {
    let word = problem.store().lanes();
    match residence {
        Residence::Host | Residence::Texture => 1,
        Residence::Device if problem.geometry().out_row().is_multiple_of(word) => 1,
        Residence::Device => word,
    }
}
