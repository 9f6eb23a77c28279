//! The steps of a kernel's gradient by transforms, for each band of tiles.
//!
//! ```text
//!   x ──── Forward ─> room ──┐
//!   delta ── Delta ─> room ──┴─ Products ─> parts      then once: parts ─ Taps ─> kernel, bias
//! ```

use super::codes::border_codes;
use super::constants::{constants, shader, transforms};
use super::forward::Maker;
use super::params::{FftOwn, Own, Params, ProductsOwn, on_grid, params};
use super::placement::own_placement;
use super::shader::{Data, Entry, Shader};
use super::{Binding, Dispatch, Job, Program, Resource};
use crate::kernel::turns;
use crate::plan::limits::GpuLimits;
use crate::plan::pass::Pass;
use crate::plan::products::{Products, RUN};
use crate::plan::tile::{COMPLEX, Lines};
use crate::{Borders, Problem, Result};

/// The steps, in their order.
pub(super) const STEPS: [Entry; 4] = [Entry::Forward, Entry::Delta, Entry::Products, Entry::Taps];

/// How a step has its lines.
fn lines(products: &Products, entry: Entry) -> Option<Lines> {
    let (rows, columns) = products.tile()?.lines;
    Some(match entry {
        Entry::Products => columns,
        Entry::Taps => products.last,
        _ => rows,
    })
}

/// Turns along the lines of a step; of others nothing.
pub(super) fn table(products: &Products, entry: Entry) -> Vec<f32> {
    match lines(products, entry).filter(|_| STEPS.contains(&entry)) {
        Some(lines) => turns(lines.length as usize).into_iter().flatten().collect(),
        None => Vec::new(),
    }
}

pub(super) fn program(sums: &Problem, products: &Products, entry: Entry) -> Program {
    let launch = &products.launch;
    let shader = match entry {
        Entry::Forward => {
            let shader = shader(sums, Pass::Forward, &launch.scheme, None);
            return Program { shader, constants: constants(sums, Pass::Forward, launch, None) };
        }
        Entry::Delta => Shader::new(entry, Data::F32, Data::Complex),
        Entry::Products => Shader::new(entry, Data::Complex, Data::Complex),
        _ => Shader::new(entry, Data::Complex, Data::F32),
    };
    let lines = lines(products, entry);
    let workgroup = lines.map_or(1, |lines| lines.workgroup());
    let mut own = vec![
        ("WORKGROUP_X", workgroup),
        ("WORKGROUP_Y", 1),
        ("FAR", 0),
        ("ACTIVATION", 0),
        ("FOLLOW", 0),
        ("FOLLOW_ACTIVATION", 0),
    ];
    own.extend(border_codes(Borders::default()).map(|(name, _)| (name, 0)));
    own.extend(lines.iter().flat_map(|lines| transforms(lines, entry == Entry::Products)));
    if entry == Entry::Taps {
        own.extend([("RUN", RUN), ("FLIP", sums.conv().flip.into())]);
    }
    Program { shader, constants: own }
}

/// The gradients of kernel and bias, made by these programs.
pub(super) struct Made<'a> {
    pub sums: &'a Problem,
    pub products: &'a Products,
    pub limits: &'a GpuLimits,
    pub programs: [usize; 4],
}

impl Made<'_> {
    /// Behind what `job` does, from `delta`, the gradient of the sums.
    pub fn behind(self, mut job: Job, delta: Resource) -> Result<Job> {
        let Self { sums, products, limits, programs } = self;
        let launch = &products.launch;
        let Some(tile) = products.tile() else { return Ok(job) };
        let filters = sums.weights().filters;
        let pairs_of = |band| products.pairs(sums, band);
        let most = launch.bands.iter().map(pairs_of).max().unwrap_or(0);
        let rows = job.room(products.rows(sums, most).iter().sum());
        let parts = job.room(products.between(sums));
        let weights = programs.map(|n| Binding::whole(Resource::Weights(n)));
        let mut bands = Maker::empty(sums, launch, limits);
        bands.job = job;
        let mut part = 0;
        for band in &launch.bands {
            let mut place = own_placement(sums, launch, band);
            let source = bands.source(band, &mut place)?;
            let (read, _) = bands.destination(band, delta, &mut place, false)?;
            let pairs = pairs_of(band);
            let [there, kept] = products.rows(sums, pairs).map(|bytes| (bytes / COMPLEX) as usize);
            let of = |pass| params(sums, pass, launch, band, place, limits.max_workgroups);
            let (forward, grid) = of(Pass::Forward);
            let step = |n: usize, params, grid, [from, to]: [Binding; 2], work| Dispatch {
                program: programs[n],
                params,
                grid,
                bindings: [from, to, weights[n]],
                original: false,
                work,
            };
            let work = |points: usize, lines: &Lines| (points as f64 * lines.halvings()) as u64;
            let whole = Binding::whole(rows);
            let of_rows = work(there, &tile.lines.0);
            bands.job.dispatch(step(0, forward, grid, [source, whole], of_rows));
            for f in 0..filters {
                // Laid out as the outputs that the last pass of a filter would make.
                let (outputs, _) = of(Pass::Back);
                let mut own: FftOwn = bytemuck::cast(outputs.own);
                own.filter_read = f as u32;
                let own = Own::Fft(own);
                let outputs = Params { own: own.words(), src_base: 0, dst_base: 0, ..outputs };
                let lines = tile.kept_rows(sums).div_ceil(tile.lines.0.count as usize);
                let wanted = [lines, 1, pairs].map(|n| n as u64);
                let (params, grid) = on_grid(outputs, wanted, limits.max_workgroups);
                let to = Binding::scalars(rows, there, kept, COMPLEX as usize);
                bands.job.dispatch(step(1, params, grid, [read, to], work(kept, &tile.lines.0)));
                let own = Own::Products(ProductsOwn {
                    tile_rows: tile.size.0,
                    tile_columns: tile.size.1,
                    pairs: pairs as u32,
                    run: products.run,
                    kept: tile.kept_rows(sums) as u32,
                    delta: there as u32,
                    part: (f * products.parts + part) as u32,
                    parts: (filters * products.parts) as u32,
                });
                let runs = pairs.div_ceil(products.run as usize);
                let wanted = [(tile.size.1 / tile.lines.1.count) as usize, 1, runs];
                let product = Params { own: own.words(), ..forward };
                let (params, grid) =
                    on_grid(product, wanted.map(|n| n as u64), limits.max_workgroups);
                let ends = [whole, Binding::whole(parts)];
                bands.job.dispatch(step(2, params, grid, ends, 2 * work(there, &tile.lines.1)));
            }
            part += pairs.div_ceil(products.run as usize);
        }
        let mut job = bands.job;
        let own = Own::Products(ProductsOwn {
            tile_rows: tile.size.0,
            tile_columns: tile.size.1,
            parts: (filters * products.parts) as u32,
            ..ProductsOwn::default()
        });
        let g = sums.geometry();
        let last = Params {
            filters: filters as u32,
            kernel_height: g.kernel.0 as u32,
            kernel_width: g.kernel.1 as u32,
            dilation_columns: g.dilation.1 as u32,
            own: own.words(),
            ..Params::default()
        };
        let lines = (g.kernel.0 * filters).div_ceil(products.last.count as usize) as u64;
        let (params, grid) = on_grid(last, [lines, 1, 1], limits.max_workgroups);
        job.dispatch(Dispatch {
            program: programs[3],
            params,
            grid,
            bindings: [Binding::whole(parts), Binding::whole(Resource::KernelGradient), weights[3]],
            original: false,
            work: products.between(sums) / COMPLEX,
        });
        Ok(job)
    }
}
