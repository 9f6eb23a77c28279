// `fft`, first pass: transforms of the rows of tiles.
//
// dst: [pair, tile row, frequency along the row].
// Grid: x over lines of a pair, z over pairs.

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
    let row = at.x * LINES + line;
    let a = plane(at.z, 0u, row);
    let b = plane(at.z, 1u, row);
    var x: Points;
    for (var i = 0u; i < POINTS; i++) {
        x[i] = vec2(value(a, before(along, t, i)), value(b, before(along, t, i)));
    }
    x = transform(along, x, line, t);
    let base = (at.z * p.own.tile_rows + row) * LENGTH;
    for (var i = 0u; i < POINTS; i++) {
        dst[base + after(along, t, i)] = x[i];
    }
}
