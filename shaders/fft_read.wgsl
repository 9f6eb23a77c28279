// What tiles of `fft` hold of the input.
//
// The band's outputs, were the strides 1, are cut into tiles of `valid_rows` x `valid_columns`; a tile
// reads the tile_rows x tile_columns places of the input (continued by the border) from its first
// output's first tap on (overlap-save). Planes are the tiles of every channel, and two that lie beside each
// other in a row of tiles (`plane_of` in fft.wgsl) are the real and the imaginary part of a pair: the kernel is
// real, so they stay apart. What a tile and its pair hold depends on where they lie in the output, not on the
// band, as rounding does.

// A row of a plane: its source row (-1 for the constant), where that begins, and its first column.
struct Plane { row: i32, base: u32, column: i32 }

// Points of a tile up to the last that an output needs; a stride may leave some over.
fn needed(valid: u32, stride: u32, kernel: u32, dilation: u32) -> u32 {
    return valid - stride + (kernel - 1u) * dilation + 1u;
}

fn plane(pair: u32, second: u32, tile_row: u32) -> Plane {
    let its = plane_of(pair, second);
    // What lies beyond the last place belongs to outputs beyond the last.
    let rows = needed(p.own.valid_rows, stride_rows(), kernel_height(), dilation_rows());
    let at = its.down * p.own.valid_rows + min(tile_row, rows - 1u);
    let place = i32(p.out_row * stride_rows() + at) - p.top;
    let row = source_row(min(place, p.last_row));
    let column = i32(p.out_column * stride_columns() + its.across * p.own.valid_columns) - p.left;
    let base = p.src_base + its.image * p.src_image + u32(max(row, 0)) * p.src_pitch + its.channel;
    return Plane(row, base, column);
}

fn value(its: Plane, point: u32) -> f32 {
    let columns = needed(p.own.valid_columns, stride_columns(), kernel_width(), dilation_columns());
    let x = source_column(min(its.column + i32(min(point, columns - 1u)), p.last_column));
    return select(load1(its.base + u32(max(x, 0)) * channels()), p.fill, min(its.row, x) < 0);
}
