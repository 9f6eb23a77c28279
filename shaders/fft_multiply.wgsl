// `fft`, second pass: transforms of the columns, times the kernel's spectrum, and back.
//
// The table goes on with the spectra: [filter, frequency along the column, frequency along the row],
// the transform of the taps, conjugate because the kernel is not flipped, over the points of a tile.
//
// src: [pair, tile row, frequency along the row].
// dst: [pair, filter, row of outputs that are kept, frequency along the row], with real and imaginary
// parts swapped.
// Grid: x over columns of a pair, z over pairs.

// Whether there is one filter: then nothing of a column has to outlive its transform back, which takes
// a quarter of the registers.
override ONE: bool = false;

// A column with filter f, which becomes number `to` of all pairs' filters.
fn multiply(along: Lines, columns: Points, line: u32, t: u32, column: u32, f: u32, to: u32) {
    let spectrum = LENGTH / 2u + f * LENGTH * p.own.tile_columns + column;
    var x = columns;
    for (var i = 0u; i < POINTS; i++) {
        x[i] = times(x[i], table[spectrum + before(along, t, i) * p.own.tile_columns]).yx;
    }
    x = transform(along, x, line, t);
    let base = to * (p.own.valid_rows / stride_rows()) * p.own.tile_columns + column;
    for (var i = 0u; i < POINTS; i++) {
        let row = after(along, t, i);
        if row < p.own.valid_rows && row % stride_rows() == 0u {
            dst[base + row / stride_rows() * p.own.tile_columns] = x[i];
        }
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
    let along = lines();
    let line = line_of(along, local);
    let t = place_of(along, local);
    let column = at.x * LINES + line;
    let base = at.z * LENGTH * p.own.tile_columns + column;
    var x: Points;
    for (var i = 0u; i < POINTS; i++) {
        x[i] = src[base + before(along, t, i) * p.own.tile_columns];
    }
    x = in_order(along, transform(along, x, line, t), line, t);
    let to = at.z * p.filters;
    if ONE {
        multiply(along, x, line, t, column, 0u, to);
        return;
    }
    for (var f = 0u; f < p.filters; f++) {
        multiply(along, x, line, t, column, f, to + f);
    }
}
