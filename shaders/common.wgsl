// What every pass shares: the parameters, the bindings that do not depend on the element type, and
// the way from a workgroup to its place in the grid.
//
// Formula (see `Conv2d`), for image n, output row r, output column q, channel c, output g:
//
//   y[n,r,q,c*G+g] = act( bias[g] + sum_i sum_j k[g,i,j] * x[n, r*sh + i*dh - top, q*sw + j*dw - left, c] )
//
// with x continued by the border, and where a pointwise step follows, `follow` over all filters.
//
// Bind group 0: 0 params, 1 src (in_*.wgsl), 2 dst (out_*.wgsl), 3 weights (weights.wgsl, fft.wgsl);
// where dst is a texture also 4 (out_texture.wgsl).
//
// A dispatch works on one band: some images, or some rows (or columns of rows) of one image. All
// output coordinates are global, so that an output is computed by the same instructions whatever
// the band; only addresses are relative to the buffers.

// Twin of `Params` in src/plan/job/params.rs; a test compares names and offsets.
struct Params {
    // Scalars of bindings 1, 2 and 3 before the first one that counts.
    src_base: u32,
    dst_base: u32,
    read_base: u32,
    // The grid, in workgroups; `folded` where it was too long for one axis, and then as it was dispatched.
    groups_x: u32,
    groups_y: u32,
    groups_z: u32,
    dispatched_x: u32,
    dispatched_y: u32,
    folded: u32,
    // The band: its place in the output, and its size.
    out_row: u32,
    out_column: u32,
    rows: u32,
    columns: u32,
    images: u32,
    // The source: scalars from row to row, from image to image; the input row and column that lie first
    // in it, and whether they count along the continued axis.
    src_pitch: u32,
    src_image: u32,
    src_row: i32,
    src_column: i32,
    rows_continued: u32,
    columns_continued: u32,
    // The destination: scalars from row to row, in one plane.
    dst_pitch: u32,
    dst_plane: u32,
    // The problem.
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
    // The last row and column, of the input continued by the border, that an output of the band needs;
    // and columns of the input up to there.
    last_row: i32,
    last_column: i32,
    columns_end: u32,
    fill: f32,
    activation_a: f32,
    activation_b: f32,
    follow_a: f32,
    follow_b: f32,
    // Textures: the band's first place in the destination; and where alpha is kept, from the output's place to
    // that of the source it is kept from.
    to_row: u32,
    to_column: u32,
    keep_row: i32,
    keep_column: i32,
    keep_rows: u32,
    keep_columns: u32,
    // What the shaders of one family read besides: plain.wgsl, flat.wgsl, phases.wgsl, edges.wgsl, fft.wgsl,
    // sums.wgsl.
    own: Own,
}

@group(0) @binding(0) var<uniform> p: Params;

override WORKGROUP_X: u32 = 8u;
override WORKGROUP_Y: u32 = 8u;

// Constants of the problem: numbers of border.wgsl and activation.wgsl, and whether a pointwise step
// follows.
override BORDER_TOP: u32 = 1u;
override BORDER_BOTTOM: u32 = 1u;
override BORDER_LEFT: u32 = 1u;
override BORDER_RIGHT: u32 = 1u;
override ACTIVATION: u32 = 0u;
override FOLLOW: bool = false;
override FOLLOW_ACTIVATION: u32 = 0u;

// Sizes of the problem. 0 means: not specialised, read it from the parameters.
override KERNEL_HEIGHT: u32 = 0u;
override KERNEL_WIDTH: u32 = 0u;
override CHANNELS: u32 = 0u;
override DILATION_ROWS: u32 = 0u;
override DILATION_COLUMNS: u32 = 0u;
override STRIDE_ROWS: u32 = 0u;
override STRIDE_COLUMNS: u32 = 0u;

fn kernel_height() -> u32 { return select(KERNEL_HEIGHT, p.kernel_height, KERNEL_HEIGHT == 0u); }
fn kernel_width() -> u32 { return select(KERNEL_WIDTH, p.kernel_width, KERNEL_WIDTH == 0u); }
fn channels() -> u32 { return select(CHANNELS, p.channels, CHANNELS == 0u); }
fn dilation_rows() -> u32 { return select(DILATION_ROWS, p.dilation_rows, DILATION_ROWS == 0u); }
fn dilation_columns() -> u32 { return select(DILATION_COLUMNS, p.dilation_columns, DILATION_COLUMNS == 0u); }
fn stride_rows() -> u32 { return select(STRIDE_ROWS, p.stride_rows, STRIDE_ROWS == 0u); }
fn stride_columns() -> u32 { return select(STRIDE_COLUMNS, p.stride_columns, STRIDE_COLUMNS == 0u); }

// The workgroup's place in the grid of the plan. Invocations of the last, partly used workgroups
// of a folded grid get a place outside of it.
fn grid_place(id: vec3<u32>) -> vec3<u32> {
    // One way out: FXC takes what returns early for data that may be missing, and refuses barriers behind it.
    var place = id;
    if p.folded != 0u {
        let at = id.x + p.dispatched_x * (id.y + p.dispatched_y * id.z);
        place = vec3(at % p.groups_x, at / p.groups_x % p.groups_y, at / p.groups_x / p.groups_y);
    }
    return place;
}
