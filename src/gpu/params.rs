//! The uniform parameters of a pass; twin of `Params` in `shaders/common.wgsl`.

use bytemuck::{Pod, Zeroable};

use crate::plan::{self, Band, GpuLaunch, Pass, Place, Scheme, Span, Tiles};
use crate::problem::{Geometry, Problem};
use crate::{Activation, Border};

macro_rules! params {
    ($($field:ident: $type:ty),* $(,)?) => {
        /// Field by field as in the shader.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        pub(super) struct Params { $(pub $field: $type),* }

        impl Params {
            /// Names and byte offsets, for the test that compares them with the shader.
            #[cfg(test)]
            pub fn fields() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), std::mem::offset_of!(Params, $field))),*]
            }
        }
    };
}

params! {
    out_row: u32,
    out_column: u32,
    rows: u32,
    columns: u32,
    images: u32,
    src_base: u32,
    src_pitch: u32,
    src_image: u32,
    src_row: i32,
    src_column: i32,
    rows_continued: u32,
    columns_continued: u32,
    dst_base: u32,
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
    fill: f32,
    activation_a: f32,
    activation_b: f32,
    follow_a: f32,
    follow_b: f32,
    row_spacing: u32,
    column_spacing: u32,
    row_phases: u32,
    column_phases: u32,
    terms: u32,
    src_term: u32,
    tile_rows: u32,
    tile_columns: u32,
    valid_rows: u32,
    valid_columns: u32,
    tiles_down: u32,
    tiles_across: u32,
    planes: u32,
    last_row: i32,
    last_column: i32,
    columns_end: u32,
    to_row: u32,
    to_column: u32,
    keep_row: i32,
    keep_column: i32,
    keep_rows: u32,
    keep_columns: u32,
    part: u32,
    parts: u32,
    groups_x: u32,
    groups_y: u32,
    groups_z: u32,
    folded: u32,
}

/// Where a band's scalars lie in the buffers bound for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Scalars of the source binding before the band's first one, from row to row, from image to
    /// image.
    pub src_base: usize,
    pub src_pitch: usize,
    pub src_image: usize,
    /// Scalars of the destination binding before the first one, from row to row, from plane to
    /// plane.
    pub dst_base: usize,
    pub dst_pitch: usize,
    pub dst_plane: usize,
}

/// Number of `border` in shaders.
pub(super) fn border_code(border: Border) -> u32 {
    match border {
        Border::Constant(_) => 1,
        Border::Replicate => 2,
        Border::Reflect => 3,
        Border::Reflect101 => 4,
        Border::Wrap => 5,
    }
}

/// Number and parameters of `activation` in shaders.
pub(super) fn activation_code(activation: Activation) -> (u32, f32, f32) {
    match activation {
        Activation::None => (0, 0.0, 0.0),
        Activation::Relu => (1, 0.0, 0.0),
        Activation::Leaky(a) => (2, a, 0.0),
        Activation::Sigmoid => (3, 0.0, 0.0),
        Activation::Tanh => (4, 0.0, 0.0),
        Activation::Gelu => (5, 0.0, 0.0),
        Activation::Relu6 => (6, 0.0, 6.0),
        Activation::Clamp(lo, hi) => (6, lo, hi),
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
    let weights = problem.weights();
    let extent = g.extent();
    let work = pass.work(problem, launch);
    let block = pass.block(launch).copied().unwrap_or_default();
    let wanted = pass.grid(problem, launch, band);
    let (grid, folded) = plan::fold(wanted, max_workgroups);
    let (_, activation_a, activation_b) = activation_code(weights.activation);
    let (_, follow_a, follow_b) = activation_code(follow_activation(problem));
    let first = |span: &Span| span.first as i32;
    let top_row = g.first_row(band.rows.start);
    let last_column = g.first_column(band.columns.end - 1) + extent.1 as isize - 1;
    let middle = problem.middle();
    let mut params = Params {
        out_row: band.rows.start as u32,
        out_column: band.columns.start as u32,
        rows: pass.rows(problem, band) as u32,
        columns: band.columns.len() as u32,
        images: band.images.len() as u32,
        src_base: place.src_base as u32,
        src_pitch: place.src_pitch as u32,
        src_image: place.src_image as u32,
        src_row: first(&band.source_rows),
        src_column: first(&band.source_columns),
        rows_continued: band.source_rows.continued.into(),
        columns_continued: band.source_columns.continued.into(),
        dst_base: place.dst_base as u32,
        dst_pitch: place.dst_pitch as u32,
        dst_plane: place.dst_plane as u32,
        height: g.height as u32,
        width: g.width as u32,
        out_height: g.out_height as u32,
        out_width: g.out_width as u32,
        channels: work.channels as u32,
        filters: work.filters as u32,
        outputs: work.outputs as u32,
        planar: g.planar.into(),
        kernel_height: work.kernel.0 as u32,
        kernel_width: work.kernel.1 as u32,
        stride_rows: work.stride.0 as u32,
        stride_columns: work.stride.1 as u32,
        dilation_rows: work.dilation.0 as u32,
        dilation_columns: work.dilation.1 as u32,
        top: g.top as i32,
        left: g.left as i32,
        fill: problem.border().constant().unwrap_or(0.0),
        activation_a,
        activation_b,
        follow_a,
        follow_b,
        row_spacing: block.spacing.0,
        column_spacing: block.spacing.1,
        row_phases: block.phases.0,
        column_phases: block.phases.1,
        terms: work.terms as u32,
        last_row: (g.first_row(band.rows.end - 1) + extent.0 as isize - 1) as i32,
        last_column: last_column as i32,
        columns_end: (last_column + 1).clamp(0, g.width as isize) as u32,
        to_row: band.rows.start as u32,
        to_column: band.columns.start as u32,
        keep_row: middle.0 as i32 - g.top as i32,
        keep_column: middle.1 as i32 - g.left as i32,
        keep_rows: g.stride.0 as u32,
        keep_columns: g.stride.1 as u32,
        groups_x: wanted[0] as u32,
        groups_y: wanted[1] as u32,
        groups_z: wanted[2] as u32,
        folded: folded.into(),
        ..Params::default()
    };
    if let Scheme::Fft(tile) = &launch.scheme {
        let tiles = Tiles::of(problem, tile, band);
        (params.tile_rows, params.tile_columns) = tile.size;
        (params.valid_rows, params.valid_columns) = tile.valid;
        (params.tiles_down, params.tiles_across) = (tiles.down as u32, tiles.across as u32);
        params.planes = tiles.planes as u32;
    }
    // Planes of f32 lie between passes, one for each image and term (or filter), of the band's columns;
    // and for `separable` of every row it needs, wherever that lies.
    let pitch = band.columns.len() * work.channels;
    let [from, to] = pass.way(&launch.scheme);
    let rows = match launch.scheme {
        Scheme::Separable { .. } => Pass::Across.rows(problem, band),
        Scheme::Direct { .. } | Scheme::Flat(_) | Scheme::Fft(_) => band.rows.len(),
    };
    let plane = rows * pitch;
    if matches!(to, Place::Between(_)) {
        (params.dst_base, params.dst_pitch) = (0, pitch as u32);
        (params.dst_plane, params.planar) = (plane as u32, 1);
    }
    if matches!(from, Place::Between(_)) {
        (params.src_base, params.src_pitch) = (0, pitch as u32);
        (params.src_term, params.src_image) = (plane as u32, (plane * work.terms) as u32);
        (params.rows_continued, params.columns_continued) = (1, 1);
    }
    match pass {
        Pass::Direct | Pass::Gather | Pass::Flat | Pass::Gradient(_) => {}
        Pass::Forward | Pass::Multiply | Pass::Back => {}
        Pass::Across => (params.out_row, params.top) = (0, -top_row as i32),
        Pass::Finish => {
            (params.out_row, params.out_column) = (0, 0);
            (params.src_row, params.src_column) = (0, 0);
            (params.top, params.left) = (0, 0);
            (params.last_row, params.last_column) =
                (band.rows.len() as i32 - 1, band.columns.len() as i32 - 1);
        }
        Pass::Down => {
            (params.src_row, params.src_column) = (top_row as i32, band.columns.start as i32);
            (params.left, params.last_column) = (0, band.columns.end as i32 - 1);
        }
    }
    (params, grid)
}

/// The override constants of a pass.
pub(super) fn constants(
    problem: &Problem,
    pass: Pass,
    launch: &GpuLaunch,
) -> Vec<(&'static str, u32)> {
    let [x, y] = pass.workgroup(launch);
    // What follows the sums is left to the pass that writes outputs, and where it reads what lies
    // between passes it meets no border.
    let [from, to] = pass.way(&launch.scheme);
    let if_last = |code: u32| if to == Place::Destination { code } else { 0 };
    let border = if from == Place::Source { problem.border() } else { Border::Replicate };
    let mut constants = vec![
        ("WORKGROUP_X", x),
        ("WORKGROUP_Y", y),
        ("BORDER", border_code(border)),
        ("FAR", u32::from(from == Place::Source && reaches_far(problem))),
        ("ACTIVATION", if_last(activation_code(problem.weights().activation).0)),
        ("FOLLOW", if_last(problem.weights().follow.is_some().into())),
        ("FOLLOW_ACTIVATION", if_last(activation_code(follow_activation(problem)).0)),
    ];
    match &launch.scheme {
        _ if pass == Pass::Gather => {
            constants.push(("SLICED", 1));
            return constants;
        }
        Scheme::Direct { sliced, .. } => constants.push(("SLICED", u32::from(*sliced))),
        Scheme::Flat(_) | Scheme::Separable { .. } | Scheme::Fft(_) => {}
    }
    if let Some(lines) = pass.lines(launch) {
        constants.extend([
            ("LENGTH", lines.length),
            ("LINES", lines.count),
            ("EXCHANGED", lines.length * lines.count),
            ("POINTS", lines.points),
            ("LAST", lines.steps().1),
            ("BESIDE", u32::from(pass == Pass::Multiply)),
        ]);
        if pass == Pass::Multiply {
            constants.push(("ONE", u32::from(problem.weights().filters == 1)));
        }
    }
    let Some(block) = pass.block(launch) else { return constants };
    let work = pass.work(problem, launch);
    constants.extend([
        ("VECTORS", block.vectors),
        ("CHAINED", block.chained.into()),
        ("WORDS", block.words.into()),
        ("ROWS", block.rows),
        ("FILTERS", work.filters as u32),
        ("OUTPUTS", work.outputs as u32),
    ]);
    if block.specialised {
        constants.extend([
            ("ROW_SPACING", block.spacing.0),
            ("ROW_PHASES", block.phases.0),
            ("COLUMN_SPACING", block.spacing.1),
            ("COLUMN_PHASES", block.phases.1),
            ("TERMS", work.terms as u32),
            ("KERNEL_HEIGHT", work.kernel.0 as u32),
            ("KERNEL_WIDTH", work.kernel.1 as u32),
            ("CHANNELS", work.channels as u32),
            ("DILATION_ROWS", work.dilation.0 as u32),
            ("DILATION_COLUMNS", work.dilation.1 as u32),
            ("STRIDE_ROWS", work.stride.0 as u32),
            ("STRIDE_COLUMNS", work.stride.1 as u32),
        ]);
    }
    constants
}

fn follow_activation(problem: &Problem) -> Activation {
    let follow = problem.weights().follow.as_ref();
    follow.map_or(Activation::None, |f| f.activation)
}

/// Whether the padding reaches further than a border can go with one bounce.
pub(super) fn reaches_far(problem: &Problem) -> bool {
    let g = problem.geometry();
    let g = match problem.gathers() {
        // The other way round: what it gives is what is continued.
        true => &Geometry {
            height: g.out_height,
            width: g.out_width,
            out_height: g.height,
            out_width: g.width,
            ..*g
        },
        false => g,
    };
    let extent = g.extent();
    let axis = |before: usize, out: usize, stride: usize, extent: usize, n: usize| {
        let after = ((out - 1) * stride + extent).saturating_sub(before + n);
        before.max(after) >= n
    };
    axis(g.top, g.out_height, g.stride.0, extent.0, g.height)
        || axis(g.left, g.out_width, g.stride.1, extent.1, g.width)
}
