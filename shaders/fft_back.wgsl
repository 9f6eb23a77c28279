// `fft`, third pass: rows back to places, and outputs.
//
// The table goes on with the bias of every filter, each in the first half of an entry.
//
// src: [pair, filter, row of outputs that are kept, frequency along the row], swapped.
// Grid: x over rows of a pair and filter, y over filters, z over pairs.

// Where outputs of a plane go.
struct Target { image: u32, channel: u32, first_column: u32, row: u32, there: bool }

fn target_of(pair: u32, second: u32, kept_row: u32, there: bool) -> Target {
    let its = plane_of(pair, second);
    let first_column = its.across * (p.own.valid_columns / stride_columns());
    let row = its.down * (p.own.valid_rows / stride_rows()) + kept_row;
    return Target(its.image, its.channel, first_column, row, there && its.there && row < p.rows);
}

fn store(to: Target, f: u32, point: u32, sum: f32) {
    let column = to.first_column + point / stride_columns();
    if to.there && column < p.columns {
        let plane = select(to.image, to.image * p.filters + f, p.planar != 0u) * p.dst_plane;
        let place = column * channels() + to.channel;
        let scalar = select(place * p.filters + f, place, p.planar != 0u);
        let y = activate(ACTIVATION, sum, p.activation_a, p.activation_b);
        store_word(p.dst_base + plane + to.row * p.dst_pitch + scalar, vec4(y, 0.0, 0.0, 0.0));
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = grid_place(group);
    if at.z >= p.groups_z {
        return;
    }
    let line = line_of(local);
    let t = place_of(local);
    let f = at.y;
    let kept = p.own.valid_rows / stride_rows();
    let row = at.x * LINES + line;
    let base = ((at.z * p.filters + f) * kept + min(row, kept - 1u)) * LENGTH;
    var y: Points;
    for (var i = 0u; i < POINTS; i++) {
        y[i] = src[base + before(t, i)];
    }
    y = transform(y, line, t);
    let bias = table[LENGTH / 2u + f].x;
    let a = target_of(at.z, 0u, row, row < kept);
    let b = target_of(at.z, 1u, row, row < kept);
    for (var i = 0u; i < POINTS; i++) {
        let point = after(t, i);
        if point < p.own.valid_columns && point % stride_columns() == 0u {
            store(a, f, point, y[i].y + bias);
            store(b, f, point, y[i].x + bias);
        }
    }
}
