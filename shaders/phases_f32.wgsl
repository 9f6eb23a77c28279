// How `phases` stores a row of its cells as f32: scalar by scalar.

fn store_places(image: u32, row: u32, first_column: u32, place: u32, channel: u32, y: array<vec4<f32>, 16>) {
    var outputs = y;
    let row_base = p.dst_base + image * p.dst_plane + row * p.dst_pitch + channel;
    for (var k = 0u; k < 4u; k++) {
        for (var b = 0u; b < PHASE_COLUMNS; b++) {
            let column = first_column + k * column_spacing() * stride_columns() + place + b;
            if column < p.columns && place + b < stride_columns() {
                dst[row_base + column * channels()] = outputs[b][k];
            }
        }
    }
}
