// `fft`, second pass: transforms of the columns, times the kernel's spectrum, and back.
//
// The table goes on with the spectra: [filter, frequency along the column, frequency along the row],
// the transform of the taps, conjugate because the kernel is not flipped, over the points of a tile.
//
// src: [pair, tile row, frequency along the row].
// dst: [pair, filter, row of outputs that are kept, frequency along the row], with real and imaginary
// parts swapped.
// Grid: x over columns of a pair, z over pairs.

// Whether there is one filter: what the loop needs no longer frees its registers then.
override ONE: bool = false;

fn load(base: u32, t: u32, i: u32) -> vec2<f32> {
    if i >= POINTS {
        return vec2(0.0);
    }
    return src[base + before(t, i) * p.tile_columns];
}

// Value i times the spectrum at its frequency.
fn multiplied(x: vec2<f32>, spectrum: u32, t: u32, i: u32) -> vec2<f32> {
    if i >= POINTS {
        return vec2(0.0);
    }
    return times(x, table[spectrum + before(t, i) * p.tile_columns]).yx;
}

// Stores value i where outputs are kept.
fn keep(base: u32, t: u32, i: u32, y: vec2<f32>) {
    let row = after(t, i);
    if i < POINTS && row < p.valid_rows && row % stride_rows() == 0u {
        dst[base + row / stride_rows() * p.tile_columns] = y;
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
    let column = at.x * LINES + line;
    let base = at.z * LENGTH * p.tile_columns + column;
    let columns = transform(Points(
        load(base, t, 0u), load(base, t, 1u), load(base, t, 2u), load(base, t, 3u),
        load(base, t, 4u), load(base, t, 5u), load(base, t, 6u), load(base, t, 7u),
        load(base, t, 8u), load(base, t, 9u), load(base, t, 10u), load(base, t, 11u),
        load(base, t, 12u), load(base, t, 13u), load(base, t, 14u), load(base, t, 15u),
    ), line, t);
    let x = in_order(columns, line, t);
    for (var f = 0u; f < select(p.filters, 1u, ONE); f++) {
        let s = LENGTH / 2u + f * LENGTH * p.tile_columns + column;
        let y = transform(Points(
            multiplied(x[0], s, t, 0u), multiplied(x[1], s, t, 1u),
            multiplied(x[2], s, t, 2u), multiplied(x[3], s, t, 3u),
            multiplied(x[4], s, t, 4u), multiplied(x[5], s, t, 5u),
            multiplied(x[6], s, t, 6u), multiplied(x[7], s, t, 7u),
            multiplied(x[8], s, t, 8u), multiplied(x[9], s, t, 9u),
            multiplied(x[10], s, t, 10u), multiplied(x[11], s, t, 11u),
            multiplied(x[12], s, t, 12u), multiplied(x[13], s, t, 13u),
            multiplied(x[14], s, t, 14u), multiplied(x[15], s, t, 15u),
        ), line, t);
        let kept = p.valid_rows / stride_rows();
        let to = (at.z * select(p.filters, 1u, ONE) + f) * kept * p.tile_columns + column;
        keep(to, t, 0u, y[0]);
        keep(to, t, 1u, y[1]);
        keep(to, t, 2u, y[2]);
        keep(to, t, 3u, y[3]);
        keep(to, t, 4u, y[4]);
        keep(to, t, 5u, y[5]);
        keep(to, t, 6u, y[6]);
        keep(to, t, 7u, y[7]);
        keep(to, t, 8u, y[8]);
        keep(to, t, 9u, y[9]);
        keep(to, t, 10u, y[10]);
        keep(to, t, 11u, y[11]);
        keep(to, t, 12u, y[12]);
        keep(to, t, 13u, y[13]);
        keep(to, t, 14u, y[14]);
        keep(to, t, 15u, y[15]);
    }
}
