// Marching rows: a lane owns SCALARS neighbouring scalars of the flat row and makes them for ROWS rows, from the
// first to the last. What it does to a row is the text before this one, which the library writes for
// the shape of the problem (src/gpu/program/march.rs):
//
//   Window                     what the taps of a lane touch of a source row
//   inside_window(at)          that, loaded from vector `at` on, a vector at a time
//   join(sums, i, window)      sums with row i of the taps added
//   inside(start, to)          source row by source row, joined to every output row that needs it
//   finish(sums, to, room)     from sums to outputs, which are stored from vector `to` on, at most `room`
//
// Grid: x over lanes, y over blocks of rows, z over images; and behind the last block, workgroups for the edges:
// one output row of one lane an invocation, whole rows first, then what is left and right of the blocks.
// Which of both a workgroup does is the same for all of it. Twin of `Inside` in src/plan/march/inside.rs.

// Lanes of a row, the first inside and how many are; rows above the blocks, and blocks; vectors of output of a
// row.
struct Own {
    lanes: u32,
    first: u32,
    within: u32,
    top: u32,
    blocks: u32,
    stored: u32,
    // 4, which compilers are not to know: they would multiply out what is there to be small.
    quad: u32,
    unused_1: u32,
}

// Whether workgroups for the edges are in the shader: without them its instructions can be counted.
override EDGES: bool = true;

// Whether any grid of the plan is too long for an axis.
override FOLDS: bool = true;

// Taps [filters, kernel_height] in rows of whole vectors; behind them biases, the factor of sums, and the
// pointwise step.
@group(0) @binding(3) var<uniform> weights: array<vec4<f32>, WEIGHTS>;

// The vector of output where a lane stores a row; in the first plane of the image.
fn stored_at(image: u32, row: u32, lane: u32) -> u32 {
    return (p.dst_base + image * PLANES * p.dst_plane + row * p.dst_pitch) / STORED + lane * STORES;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    var at = group;
    if FOLDS {
        at = grid_place(group);
        if at.z >= p.images {
            return;
        }
    }
    let image = at.z;
    let image_base = p.src_base + image * p.src_image;
    let block_groups = (p.own.blocks + WORKGROUP_Y - 1u) / WORKGROUP_Y;
    if at.y < block_groups {
        let lane = at.x * WORKGROUP_X + local.x;
        let block = at.y * WORKGROUP_Y + local.y;
        if lane - p.own.first >= p.own.within || (WORKGROUP_Y > 1u && block >= p.own.blocks) {
            return;
        }
        let row = p.own.top + block / SPACING * (SPACING * ROWS) + block % SPACING;
        let source = i32((p.out_row + row) * p.stride_rows) - p.top - p.src_row;
        let start = (image_base + u32(source) * p.src_pitch + begins(lane, 0u)) / VECTOR;
        inside(start, stored_at(image, row, lane));
        return;
    }
    if !EDGES {
        return;
    }
    // Which of the edges' invocations this is.
    let group_at_edges = (at.y - block_groups) * p.groups_x + at.x;
    let n = (group_at_edges * WORKGROUP_Y + local.y) * WORKGROUP_X + local.x;
    let covered = p.own.blocks * ROWS;
    let whole_rows = p.rows - covered;
    let beside = p.own.lanes - p.own.within;
    let left = n - whole_rows * p.own.lanes;
    if n < whole_rows * p.own.lanes {
        let row = n / p.own.lanes;
        edge(image, image_base, row + select(covered, 0u, row < p.own.top), n % p.own.lanes);
    } else if left < covered * beside {
        let lane = left % beside;
        let inside_lanes = select(p.own.within, 0u, lane < p.own.first);
        edge(image, image_base, p.own.top + left / beside, lane + inside_lanes);
    }
}

// One output row of a lane, wherever its taps lie.
fn edge(image: u32, image_base: u32, row: u32, lane: u32) {
    let top = i32((p.out_row + row) * p.stride_rows) - p.top;
    let first = i32(begins(lane, p.out_column));
    var sums = no_sums();
    for (var i = 0u; i < p.kernel_height; i++) {
        let read = source_row(top + i32(i * p.dilation_rows));
        sums = join(sums, i, edge_window(read, image_base + u32(max(read, 0)) * p.src_pitch, first));
    }
    finish(sums, stored_at(image, row, lane), p.own.stored - lane * STORES);
}

// Four scalars of a source row (-1 for the constant), from place `at` of the flat row as the border continues it.
// Places that no output of the band needs are not held, and stand for those that are next to them.
fn edge_quad(row: i32, row_base: u32, at: i32) -> vec4<f32> {
    let c = i32(CHANNELS_OF_ROW);
    let low = i32(p.out_column * STRIDE) - p.left;
    let held = at >= max(low, 0) * c && at + 4 <= min(p.last_column + 1, i32(p.width)) * c;
    let scalar = row_base + u32(at - p.src_column * c);
    if row < 0 {
        return vec4(p.fill);
    }
    if held && p.columns_continued == 0u && scalar % 4u == 0u {
        return load4(scalar);
    }
    var v = vec4(p.fill);
    for (var k = 0u; k < p.own.quad; k++) {
        let place = at + i32(k);
        // Rounded down.
        let column = select(place / c, -((c - 1 - place) / c), place < 0);
        let read = source_column(clamp(column, low, p.last_column));
        if read >= 0 {
            let from_row = row_base + u32(read * c + (place - column * c));
            let met = load4(from_row - from_row % 4u)[from_row % 4u];
            v = vec4(
                select(v.x, met, k == 0u), select(v.y, met, k == 1u),
                select(v.z, met, k == 2u), select(v.w, met, k == 3u),
            );
        }
    }
    return v;
}
