// `fft`, second pass: transforms of the columns, times the kernel's spectrum, and back.
//
// The table goes on with the spectra: [filter, frequency along the column, frequency along the row],
// the transform of the taps, conjugate because the kernel is not flipped, over the points of a tile.
//
// src: [pair, tile row, frequency along the row].
// dst: [pair, filter, row of outputs that are kept, frequency along the row], with real and imaginary
// parts swapped.
// Grid: x over columns of a pair, z over pairs.

// Value i: at frequency `point` of the column, times the spectrum.
fn multiplied(x: vec2<f32>, point: u32, spectrum: u32) -> vec2<f32> {
    return times(x, table[spectrum + point * p.tile_columns]).yx;
}

// Stores a point of the column where outputs are kept.
fn keep(base: u32, point: u32, y: vec2<f32>) {
    if point < p.valid_rows && point % stride_rows() == 0u {
        dst[base + point / stride_rows() * p.tile_columns] = y;
    }
}

fn load(base: u32, point: u32) -> vec2<f32> {
    return src[base + point * p.tile_columns];
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
        load(base, before(t, 0u)), load(base, before(t, 1u)), load(base, before(t, 2u)), load(base, before(t, 3u)),
        load(base, before(t, 4u)), load(base, before(t, 5u)), load(base, before(t, 6u)), load(base, before(t, 7u)),
        load(base, before(t, 8u)), load(base, before(t, 9u)), load(base, before(t, 10u)), load(base, before(t, 11u)),
        load(base, before(t, 12u)), load(base, before(t, 13u)), load(base, before(t, 14u)), load(base, before(t, 15u)),
    ), line, t);
    let x = in_order(columns, line, t);
    for (var f = 0u; f < p.filters; f++) {
        let s = LENGTH / 2u + f * LENGTH * p.tile_columns + column;
        let y = transform(Points(
            multiplied(x[0], before(t, 0u), s), multiplied(x[1], before(t, 1u), s),
            multiplied(x[2], before(t, 2u), s), multiplied(x[3], before(t, 3u), s),
            multiplied(x[4], before(t, 4u), s), multiplied(x[5], before(t, 5u), s),
            multiplied(x[6], before(t, 6u), s), multiplied(x[7], before(t, 7u), s),
            multiplied(x[8], before(t, 8u), s), multiplied(x[9], before(t, 9u), s),
            multiplied(x[10], before(t, 10u), s), multiplied(x[11], before(t, 11u), s),
            multiplied(x[12], before(t, 12u), s), multiplied(x[13], before(t, 13u), s),
            multiplied(x[14], before(t, 14u), s), multiplied(x[15], before(t, 15u), s),
        ), line, t);
        let kept = p.valid_rows / stride_rows();
        let to = (at.z * p.filters + f) * kept * p.tile_columns + column;
        keep(to, after(t, 0u), y[0]);
        keep(to, after(t, 1u), y[1]);
        keep(to, after(t, 2u), y[2]);
        keep(to, after(t, 3u), y[3]);
        keep(to, after(t, 4u), y[4]);
        keep(to, after(t, 5u), y[5]);
        keep(to, after(t, 6u), y[6]);
        keep(to, after(t, 7u), y[7]);
        keep(to, after(t, 8u), y[8]);
        keep(to, after(t, 9u), y[9]);
        keep(to, after(t, 10u), y[10]);
        keep(to, after(t, 11u), y[11]);
        keep(to, after(t, 12u), y[12]);
        keep(to, after(t, 13u), y[13]);
        keep(to, after(t, 14u), y[14]);
        keep(to, after(t, 15u), y[15]);
    }
}
