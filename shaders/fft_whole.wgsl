// `fft` in one pass: a workgroup has a tile of two planes from what it reads to its outputs.
//
// Rows, columns times the kernel's spectrum and back, and rows back, in registers and workgroup memory. LENGTH and
// LINES are the columns and rows of the tile, which lies in workgroup memory all at once.
//
// The table goes on with the spectra, as that of fft_multiply.wgsl, and behind them with the bias of every filter,
// each in the first half of an entry.
//
// Grid: z over pairs.

// Whether there is one filter, as in fft_multiply.wgsl.
override ONE: bool = false;

// The columns of the tile with filter f, back to rows and places.
fn finish(given: Points, local: u32, pair: u32, f: u32) {
    let along = columns();
    let column = line_of(along, local);
    let u = place_of(along, local);
    let spectrum = turns() + f * LENGTH * LINES + column;
    var x = given;
    for (var i = 0u; i < POINTS; i++) {
        x[i] = times(x[i], table[spectrum + before(along, u, i) * LENGTH]).yx;
    }
    x = crossed_back(transform(along, x, column, u), local);
    let row = line_of(rows(), local);
    let t = place_of(rows(), local);
    x = transform(rows(), x, row, t);
    let bias = table[turns() + p.filters * LENGTH * LINES + f].x;
    let kept = row < p.own.valid_rows && row % stride_rows() == 0u;
    let a = target_of(pair, 0u, row / stride_rows(), kept);
    let b = target_of(pair, 1u, row / stride_rows(), kept);
    for (var i = 0u; i < POINTS; i++) {
        let point = after(rows(), t, i);
        if point < p.own.valid_columns && point % stride_columns() == 0u {
            store(a, f, point, x[i].y + bias);
            store(b, f, point, x[i].x + bias);
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
    let row = line_of(rows(), local);
    let t = place_of(rows(), local);
    let a = plane(at.z, 0u, row);
    let b = plane(at.z, 1u, row);
    var x: Points;
    for (var i = 0u; i < POINTS; i++) {
        let point = before(rows(), t, i);
        x[i] = vec2(value(a, point), value(b, point));
    }
    x = tile_transform(x, local);
    if ONE {
        finish(x, local, at.z, 0u);
        return;
    }
    for (var f = 0u; f < p.filters; f++) {
        finish(x, local, at.z, f);
    }
}
