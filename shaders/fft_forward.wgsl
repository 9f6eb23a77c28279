// `fft`, first pass: transforms of the rows of tiles.
//
// The band's outputs, were the strides 1, are cut into tiles of `valid_rows` x `valid_columns`; a tile
// reads the tile_rows x tile_columns places of the input (continued by the border) from its first
// output's first tap on (overlap-save). Planes are the tiles of every channel and image, and two of
// them are the real and the imaginary part of a pair: the kernel is real, so they stay apart.
//
// dst: [pair, tile row, frequency along the row].
// Grid: x over lines of a pair, z over pairs.

// A row of a plane: its source row (-1 for the constant), where that begins, and its first column.
struct Plane { row: i32, base: u32, column: i32 }

fn plane(index: u32, tile_row: u32) -> Plane {
    // The last pair may have one plane only.
    let at = min(index, p.own.planes - 1u);
    let channel = at % channels();
    let tile = at / channels();
    let down = tile / p.own.tiles_across % p.own.tiles_down;
    let image = tile / p.own.tiles_across / p.own.tiles_down;
    // What lies beyond the last place belongs to outputs beyond the last.
    let place = i32(p.out_row * stride_rows() + down * p.own.valid_rows + tile_row) - p.top;
    let row = source_row(min(place, p.last_row));
    let column = i32(p.out_column * stride_columns() + tile % p.own.tiles_across * p.own.valid_columns) - p.left;
    return Plane(row, p.src_base + image * p.src_image + u32(max(row, 0)) * p.src_pitch + channel, column);
}

fn value(its: Plane, point: u32) -> f32 {
    let x = source_column(min(its.column + i32(point), p.last_column));
    return select(load1(its.base + u32(max(x, 0)) * channels()), p.fill, min(its.row, x) < 0);
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
    let row = at.x * LINES + line;
    let a = plane(2u * at.z, row);
    let b = plane(2u * at.z + 1u, row);
    var x: Points;
    for (var i = 0u; i < POINTS; i++) {
        x[i] = vec2(value(a, before(t, i)), value(b, before(t, i)));
    }
    x = transform(x, line, t);
    let base = (at.z * p.own.tile_rows + row) * LENGTH;
    for (var i = 0u; i < POINTS; i++) {
        dst[base + after(t, i)] = x[i];
    }
}
