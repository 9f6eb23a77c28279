// `fft`, third pass: rows back to places, and outputs.
//
// The table goes on with the bias of every filter, each in the first half of an entry.
//
// src: [pair, filter, row of outputs that are kept, frequency along the row], swapped.
// Grid: x over rows of a pair and filter, y over filters, z over pairs.

// Where outputs of a plane go.
struct Target { image: u32, channel: u32, first_column: u32, row: u32, there: bool }

fn target_of(index: u32, kept_row: u32, there: bool) -> Target {
    let channel = index % channels();
    let tile = index / channels();
    let down = tile / p.tiles_across % p.tiles_down;
    let first_column = tile % p.tiles_across * (p.valid_columns / stride_columns());
    let row = down * (p.valid_rows / stride_rows()) + kept_row;
    let image = tile / p.tiles_across / p.tiles_down;
    return Target(image, channel, first_column, row, there && index < p.planes && row < p.rows);
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

fn load(base: u32, t: u32, i: u32) -> vec2<f32> {
    if i >= POINTS {
        return vec2(0.0);
    }
    return src[base + before(t, i)];
}

fn finish(a: Target, b: Target, f: u32, t: u32, i: u32, swapped: vec2<f32>, bias: f32) {
    let point = after(t, i);
    if i < POINTS && point < p.valid_columns && point % stride_columns() == 0u {
        store(a, f, point, swapped.y + bias);
        store(b, f, point, swapped.x + bias);
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = grid_place(group, groups);
    if at.z >= p.groups_z {
        return;
    }
    let line = line_of(local);
    let t = place_of(local);
    let f = at.y;
    let kept = p.valid_rows / stride_rows();
    let row = at.x * LINES + line;
    let base = ((at.z * p.filters + f) * kept + min(row, kept - 1u)) * LENGTH;
    let y = transform(Points(
        load(base, t, 0u), load(base, t, 1u), load(base, t, 2u), load(base, t, 3u),
        load(base, t, 4u), load(base, t, 5u), load(base, t, 6u), load(base, t, 7u),
        load(base, t, 8u), load(base, t, 9u), load(base, t, 10u), load(base, t, 11u),
        load(base, t, 12u), load(base, t, 13u), load(base, t, 14u), load(base, t, 15u),
    ), line, t);
    let bias = table[LENGTH / 2u + f].x;
    let a = target_of(2u * at.z, row, row < kept);
    let b = target_of(2u * at.z + 1u, row, row < kept);
    finish(a, b, f, t, 0u, y[0], bias);
    finish(a, b, f, t, 1u, y[1], bias);
    finish(a, b, f, t, 2u, y[2], bias);
    finish(a, b, f, t, 3u, y[3], bias);
    finish(a, b, f, t, 4u, y[4], bias);
    finish(a, b, f, t, 5u, y[5], bias);
    finish(a, b, f, t, 6u, y[6], bias);
    finish(a, b, f, t, 7u, y[7], bias);
    finish(a, b, f, t, 8u, y[8], bias);
    finish(a, b, f, t, 9u, y[9], bias);
    finish(a, b, f, t, 10u, y[10], bias);
    finish(a, b, f, t, 11u, y[11], bias);
    finish(a, b, f, t, 12u, y[12], bias);
    finish(a, b, f, t, 13u, y[13], bias);
    finish(a, b, f, t, 14u, y[14], bias);
    finish(a, b, f, t, 15u, y[15], bias);
}
