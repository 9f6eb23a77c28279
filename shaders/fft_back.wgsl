// `fft`, third pass: rows back to places, and outputs.
//
// The table goes on with the bias of every filter, each in the first half of an entry.
//
// src: [pair, filter, row of outputs that are kept, frequency along the row], swapped.
// Grid: x over rows of a pair and filter, y over filters, z over pairs.

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
    let f = at.y;
    let kept = p.own.valid_rows / stride_rows();
    let row = at.x * LINES + line;
    let base = ((at.z * p.filters + f) * kept + min(row, kept - 1u)) * LENGTH;
    var y: Points;
    for (var i = 0u; i < POINTS; i++) {
        y[i] = src[base + before(along, t, i)];
    }
    y = transform(along, y, line, t);
    let bias = table[LENGTH / 2u + f].x;
    let a = target_of(at.z, 0u, row, row < kept);
    let b = target_of(at.z, 1u, row, row < kept);
    for (var i = 0u; i < POINTS; i++) {
        let point = after(along, t, i);
        if point < p.own.valid_columns && point % stride_columns() == 0u {
            store(a, f, point, y[i].y + bias);
            store(b, f, point, y[i].x + bias);
        }
    }
}
