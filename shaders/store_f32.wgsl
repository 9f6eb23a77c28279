// How `flat` stores a row of its block as f32: scalar by scalar.

fn store_block(image: u32, row: u32, first_column: u32, unit: u32, y: array<vec4<f32>, 16>) {
    var outputs = y;
    let places = p.columns * channels();
    for (var v = 0u; v < VECTORS; v++) {
        for (var k = 0u; k < 4u; k++) {
            let column = first_column + (k + select(0u, v * 4u, CHAINED)) * column_spacing();
            let x = column * channels() + unit + select(v, 0u, CHAINED);
            if x < places {
                for (var g = 0u; g < OUTPUTS; g++) {
                    let plane = select(image, image * OUTPUTS + g, p.planar != 0u) * p.dst_plane;
                    let scalar = select(x * OUTPUTS + g, x, p.planar != 0u);
                    dst[p.dst_base + plane + row * p.dst_pitch + scalar] = outputs[g * VECTORS + v][k];
                }
            }
        }
    }
}
