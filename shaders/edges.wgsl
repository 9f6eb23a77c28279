// What a border continued of an output that is else made by other passes: one invocation for each word of a
// frame, by the formula of place_adjoint.wgsl.
//
// The frame is all of the band's rows before `top` and from `bottom` on, and between these all columns before `left`
// and from `right` on. Invocations go through a pixel's channels first, then through the pixels of an image.

// Twin of `EdgesOwn` in src/plan/job/params.rs.
struct Own {
    top: u32,
    bottom: u32,
    left: u32,
    right: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
    unused_3: u32,
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = grid_place(group);
    let word = at.x * WORKGROUP_X + local.x;
    let own = p.own;
    let words = p.channels / LANES;
    let whole = (own.top + p.rows - own.bottom) * p.columns;
    let beside = own.left + p.columns - own.right;
    let frame = whole + (own.bottom - own.top) * beside;
    let image = word / words / frame;
    let pixel = word / words % frame;
    if image >= p.images || at.z > 0u {
        return;
    }
    var row = pixel / p.columns;
    var column = pixel % p.columns;
    if pixel >= whole {
        row = own.top + (pixel - whole) / beside;
        column = (pixel - whole) % beside;
        column += select(0u, own.right - own.left, column >= own.left);
    } else {
        row += select(0u, own.bottom - own.top, row >= own.top);
    }
    let c = word % words * LANES;
    var v = vec4(0.0);
    for (var lane = 0u; lane < LANES; lane++) {
        v[lane] = place(image, p.out_row + row, p.out_column + column, c + lane, 0u);
    }
    store_word(p.dst_base + image * p.dst_plane + row * p.dst_pitch + column * p.channels + c, v);
}
