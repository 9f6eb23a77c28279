//! What a pass is told at run time; twin of `Params` in `shaders/common.wgsl`.
//!
//! All shaders share a head: bases, grid, band, source, destination, problem. Behind it stands what the
//! shaders of one family read besides ([`Own`]), by names of their own.

use bytemuck::{Pod, Zeroable};

use super::codes::{activation_code, follow_activation};
use super::placement::Placement;
use crate::Problem;
use crate::plan::bands::{Band, Span};
use crate::plan::edges::Edges;
use crate::plan::launch::{GpuLaunch, Scheme};
use crate::plan::march::VECTOR;
use crate::plan::pass::{Pass, fold};
use crate::plan::phases::Axis;
use crate::plan::tile::Tiles;

/// A struct of words that a shader has too, whose names and offsets a test compares.
macro_rules! twin {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        pub(crate) struct $name { $(pub $field: $type),* }

        impl $name {
            /// Names and byte offsets.
            #[cfg(test)]
            pub fn fields() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), std::mem::offset_of!($name, $field))),*]
            }
        }
    };
}

twin! {
    /// Field by field as in the shader.
    Params {
        src_base: u32,
        dst_base: u32,
        read_base: u32,
        groups_x: u32,
        groups_y: u32,
        groups_z: u32,
        dispatched_x: u32,
        dispatched_y: u32,
        folded: u32,
        out_row: u32,
        out_column: u32,
        rows: u32,
        columns: u32,
        images: u32,
        src_pitch: u32,
        src_image: u32,
        src_row: i32,
        src_column: i32,
        rows_continued: u32,
        columns_continued: u32,
        dst_pitch: u32,
        dst_plane: u32,
        height: u32,
        width: u32,
        out_height: u32,
        out_width: u32,
        channels: u32,
        filters: u32,
        outputs: u32,
        planar: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_rows: u32,
        stride_columns: u32,
        dilation_rows: u32,
        dilation_columns: u32,
        top: i32,
        left: i32,
        last_row: i32,
        last_column: i32,
        columns_end: u32,
        fill: f32,
        activation_a: f32,
        activation_b: f32,
        follow_a: f32,
        follow_b: f32,
        to_row: u32,
        to_column: u32,
        keep_row: i32,
        keep_column: i32,
        keep_rows: u32,
        keep_columns: u32,
        own: [u32; 8],
    }
}

/// The first three words of [`Params`] are the scalars of bindings 1, 2 and 3 before the first one that
/// counts: known when buffers are bound, whose bindings start at aligned offsets.
pub(crate) const BASES: usize = 3;

twin! {
    /// What the shader of `flat` reads besides.
    FlatOwn {
        row_spacing: u32,
        column_spacing: u32,
        row_phases: u32,
        column_phases: u32,
        terms: u32,
        src_term: u32,
        unused_0: u32,
        unused_1: u32,
    }
}

twin! {
    /// What that of `march` reads besides.
    MarchOwn {
        lanes: u32,
        first: u32,
        within: u32,
        top: u32,
        blocks: u32,
        stored: u32,
        quad: u32,
        unused_1: u32,
    }
}

twin! {
    /// What that of phases reads besides.
    PhasesOwn {
        row_spacing: u32,
        column_spacing: u32,
        row_apart: u32,
        column_apart: u32,
        row_turn: u32,
        column_turn: u32,
        row_blocks: u32,
        unused: u32,
    }
}

twin! {
    /// What that of edges reads besides.
    EdgesOwn {
        top: u32,
        bottom: u32,
        left: u32,
        right: u32,
        unused_0: u32,
        unused_1: u32,
        unused_2: u32,
        unused_3: u32,
    }
}

twin! {
    /// What the shader of `strip` reads besides.
    StripOwn {
        row_spacing: u32,
        column_spacing: u32,
        row_phases: u32,
        column_phases: u32,
        march: u32,
        unused_0: u32,
        unused_1: u32,
        unused_2: u32,
    }
}

twin! {
    /// What those of `fft` read besides.
    FftOwn {
        tile_rows: u32,
        tile_columns: u32,
        valid_rows: u32,
        valid_columns: u32,
        tiles_down: u32,
        tiles_across: u32,
        pairs_across: u32,
        filter_read: u32,
    }
}

twin! {
    /// What those of sums over a tensor read besides.
    SumsOwn {
        part: u32,
        parts: u32,
        run: u32,
        runs: u32,
        across: u32,
        unused_0: u32,
        unused_1: u32,
        unused_2: u32,
    }
}

twin! {
    /// What those of sums of products of spectra read besides.
    ProductsOwn {
        tile_rows: u32,
        tile_columns: u32,
        pairs: u32,
        run: u32,
        kept: u32,
        delta: u32,
        part: u32,
        parts: u32,
    }
}

/// What the shaders of one family read besides the head.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Own {
    /// Nothing.
    #[default]
    Plain,
    Flat(FlatOwn),
    March(MarchOwn),
    Phases(PhasesOwn),
    Edges(EdgesOwn),
    Strip(StripOwn),
    Fft(FftOwn),
    Sums(SumsOwn),
    Products(ProductsOwn),
}

impl Own {
    pub fn words(self) -> [u32; 8] {
        match self {
            Self::Plain => [0; 8],
            Self::Flat(own) => bytemuck::cast(own),
            Self::March(own) => bytemuck::cast(own),
            Self::Phases(own) => bytemuck::cast(own),
            Self::Edges(own) => bytemuck::cast(own),
            Self::Strip(own) => bytemuck::cast(own),
            Self::Fft(own) => bytemuck::cast(own),
            Self::Sums(own) => bytemuck::cast(own),
            Self::Products(own) => bytemuck::cast(own),
        }
    }
}

/// How a pass counts rows and columns: from where outputs are numbered, where their first tap lies, and
/// the last place that any needs.
struct Frame {
    out: (usize, usize),
    before: (isize, isize),
    last: (isize, isize),
    /// The row and column that lie first in the source, and whether they count along the continued axis.
    src: (isize, isize),
    continued: (bool, bool),
}

impl Frame {
    fn of(problem: &Problem, pass: Pass, band: &Band) -> Self {
        let g = problem.geometry();
        let extent = g.extent();
        let first = |span: &Span| (span.first, span.continued);
        let (src_rows, rows_continued) = first(&band.source_rows);
        let (src_columns, columns_continued) = first(&band.source_columns);
        let whole = Self {
            out: (band.rows.start, band.columns.start),
            before: (g.top as isize, g.left as isize),
            last: (
                g.first_row(band.rows.end - 1) + extent.0 as isize - 1,
                g.first_column(band.columns.end - 1) + extent.1 as isize - 1,
            ),
            src: (src_rows, src_columns),
            continued: (rows_continued, columns_continued),
        };
        let top_row = g.first_row(band.rows.start);
        match pass {
            Pass::Direct | Pass::Edges | Pass::Flat | Pass::March | Pass::Strip => whole,
            Pass::Forward | Pass::Multiply | Pass::Back | Pass::Whole => whole,
            // Meets what the source holds.
            Pass::Phases => {
                let last = |span: &Span| span.first + span.len as isize - 1;
                Self { last: (last(&band.source_rows), last(&band.source_columns)), ..whole }
            }
            // Makes every row that the band needs, the first of them row 0.
            Pass::Across => {
                Self { out: (0, band.columns.start), before: (-top_row, g.left as isize), ..whole }
            }
            // Reads those rows, and a column for each of the output's.
            Pass::Down => Self {
                before: (g.top as isize, 0),
                last: (whole.last.0, band.columns.end as isize - 1),
                src: (top_row, band.columns.start as isize),
                continued: (true, true),
                ..whole
            },
            // Reads a sum for each output, both counted from the band's first.
            Pass::Finish => Self {
                out: (0, 0),
                before: (0, 0),
                last: (band.rows.len() as isize - 1, band.columns.len() as isize - 1),
                src: (0, 0),
                continued: (true, true),
            },
        }
    }
}

/// Parameters of `band`, and the grid to dispatch.
///
/// Every number fits its type: [`Problem::new`] bounds coordinates, and bands bound addresses.
pub(super) fn params(
    problem: &Problem,
    pass: Pass,
    launch: &GpuLaunch,
    band: &Band,
    place: Placement,
    max_workgroups: u32,
) -> (Params, [u32; 3]) {
    let g = problem.geometry();
    let work = pass.work(problem, launch);
    let frame = Frame::of(problem, pass, band);
    let ends = pass.ends(&launch.scheme);
    // Planes of f32 lie between passes, one for each image and term (or filter), of the band's columns;
    // and for `separable` of every row it needs, wherever that lies.
    let pitch = band.columns.len() * work.channels;
    let rows = match launch.scheme {
        Scheme::Separable { .. } => Pass::Across.rows(problem, band),
        Scheme::Direct { .. } | Scheme::Flat(_) | Scheme::March(_) => band.rows.len(),
        Scheme::Phases(_) | Scheme::Strips { .. } | Scheme::Fft(_) => band.rows.len(),
    };
    let plane = rows * pitch;
    let (src_pitch, src_image) = match ends.reads_source() {
        true => (place.src_pitch, place.src_image),
        false => (pitch, plane * work.terms),
    };
    let (dst_pitch, dst_plane, planar) = match ends.writes_destination() {
        true => (place.dst_pitch, place.dst_plane, g.planar),
        false => (pitch, plane, true),
    };
    let (_, activation_a, activation_b) = activation_code(problem.weights().activation);
    let (_, follow_a, follow_b) = activation_code(follow_activation(problem));
    let middle = problem.middle();
    let last_column = g.first_column(band.columns.end - 1) + g.extent().1 as isize - 1;
    let params = Params {
        src_base: if ends.reads_source() { place.src_base as u32 } else { 0 },
        dst_base: if ends.writes_destination() { place.dst_base as u32 } else { 0 },
        out_row: frame.out.0 as u32,
        out_column: frame.out.1 as u32,
        rows: pass.rows(problem, band) as u32,
        columns: band.columns.len() as u32,
        images: band.images.len() as u32,
        src_pitch: src_pitch as u32,
        src_image: src_image as u32,
        src_row: frame.src.0 as i32,
        src_column: frame.src.1 as i32,
        rows_continued: frame.continued.0.into(),
        columns_continued: frame.continued.1.into(),
        dst_pitch: dst_pitch as u32,
        dst_plane: dst_plane as u32,
        height: g.height as u32,
        width: g.width as u32,
        out_height: g.out_height as u32,
        out_width: g.out_width as u32,
        channels: work.channels as u32,
        filters: work.filters as u32,
        outputs: work.outputs as u32,
        planar: planar.into(),
        kernel_height: work.kernel.0 as u32,
        kernel_width: work.kernel.1 as u32,
        stride_rows: work.stride.0 as u32,
        stride_columns: work.stride.1 as u32,
        dilation_rows: work.dilation.0 as u32,
        dilation_columns: work.dilation.1 as u32,
        top: frame.before.0 as i32,
        left: frame.before.1 as i32,
        last_row: frame.last.0 as i32,
        last_column: frame.last.1 as i32,
        columns_end: (last_column + 1).clamp(0, g.width as isize) as u32,
        fill: problem.border().fill(),
        activation_a,
        activation_b,
        follow_a,
        follow_b,
        to_row: band.rows.start as u32,
        to_column: band.columns.start as u32,
        keep_row: middle.0 as i32 - g.top as i32,
        keep_column: middle.1 as i32 - g.left as i32,
        keep_rows: g.stride.0 as u32,
        keep_columns: g.stride.1 as u32,
        own: own(problem, pass, launch, band, plane).words(),
        ..Params::default()
    };
    on_grid(params, pass.grid(problem, launch, band), max_workgroups)
}

/// What the family of the pass reads besides; `plane` scalars lie between planes between passes.
fn own(problem: &Problem, pass: Pass, launch: &GpuLaunch, band: &Band, plane: usize) -> Own {
    if let Some(block) = pass.block(launch) {
        let terms = pass.work(problem, launch).terms as u32;
        return Own::Flat(FlatOwn {
            row_spacing: block.spacing.0,
            column_spacing: block.spacing.1,
            row_phases: block.phases.0,
            column_phases: block.phases.1,
            terms,
            src_term: if terms > 1 { plane as u32 } else { 0 },
            ..FlatOwn::default()
        });
    }
    if let (Pass::March, Scheme::March(march)) = (pass, &launch.scheme) {
        let inside = march.inside(problem, band);
        let g = problem.geometry();
        let vector = VECTOR / problem.output_type().bytes();
        let row = band.columns.len() * (g.out_row() / g.out_width);
        return Own::March(MarchOwn {
            lanes: inside.lanes as u32,
            first: inside.first as u32,
            within: (inside.end - inside.first) as u32,
            top: inside.top as u32,
            blocks: inside.blocks as u32,
            stored: row.div_ceil(vector) as u32,
            quad: 4,
            ..MarchOwn::default()
        });
    }
    if let Some(phases) = pass.phases(launch) {
        let g = problem.geometry();
        let [down, across] = Axis::of(g);
        return Own::Phases(PhasesOwn {
            row_spacing: phases.spacing.0,
            column_spacing: phases.spacing.1,
            row_apart: phases.apart.0,
            column_apart: phases.apart.1,
            row_turn: down.turn() as u32,
            column_turn: across.turn() as u32,
            row_blocks: phases.blocks(g, band.rows.len()) as u32,
            unused: 0,
        });
    }
    if pass == Pass::Edges {
        let Edges { rows, columns, .. } = Edges::of(problem, band);
        return Own::Edges(EdgesOwn {
            top: rows.0 as u32,
            bottom: rows.1 as u32,
            left: columns.0 as u32,
            right: columns.1 as u32,
            ..EdgesOwn::default()
        });
    }
    if let Some(strip) = pass.strip(launch) {
        return Own::Strip(StripOwn {
            row_spacing: strip.spacing.0,
            column_spacing: strip.spacing.1,
            row_phases: strip.phases.0,
            column_phases: strip.phases.1,
            march: strip.rows,
            ..StripOwn::default()
        });
    }
    match (&launch.scheme, pass.lines(launch)) {
        (Scheme::Fft(tile), Some(_)) => {
            let tiles = Tiles::of(problem, tile, band);
            Own::Fft(FftOwn {
                tile_rows: tile.size.0,
                tile_columns: tile.size.1,
                valid_rows: tile.valid.0,
                valid_columns: tile.valid.1,
                tiles_down: tiles.down as u32,
                tiles_across: tiles.across as u32,
                pairs_across: tiles.pairs_across as u32,
                filter_read: 0,
            })
        }
        _ => Own::Plain,
    }
}

/// The same with the grid that is wanted, and that grid as it is dispatched.
pub(super) fn on_grid(params: Params, wanted: [u64; 3], most: u32) -> (Params, [u32; 3]) {
    let (grid, folded) = fold(wanted, most);
    let [groups_x, groups_y, groups_z] = wanted.map(|n| n as u32);
    let params = Params {
        groups_x,
        groups_y,
        groups_z,
        dispatched_x: grid[0],
        dispatched_y: grid[1],
        folded: folded.into(),
        ..params
    };
    (params, grid)
}
