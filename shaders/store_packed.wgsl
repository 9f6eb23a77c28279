// How `flat` stores a row of its block where words hold several scalars: four at once, which one invocation owns.
//
// The vectors are units: four, and each column's outputs are fours; or as many as channels, and the
// outputs of the four neighbouring columns are.

fn store_block(image: u32, row: u32, first_column: u32, unit: u32, y: array<vec4<f32>, 16>) {
    let places = p.columns * channels();
    // Outputs that lie together, and the planes of them.
    let planes = select(1u, OUTPUTS, p.planar != 0u);
    let together = OUTPUTS / planes;
    for (var g = 0u; g < planes; g++) {
        let plane = image * planes + g;
        if VECTORS == 4u {
            for (var k = 0u; k < 4u; k++) {
                let x = (first_column + k * column_spacing()) * channels() + unit;
                for (var part = 0u; part < together; part++) {
                    let scalar = part * 4u;
                    if x + scalar / together < places {
                        store_four_at(plane, row, x * together + scalar, vec4(
                            output(y, scalar, k, together, g), output(y, scalar + 1u, k, together, g),
                            output(y, scalar + 2u, k, together, g), output(y, scalar + 3u, k, together, g),
                        ));
                    }
                }
            }
        } else {
            let pixel = VECTORS * together;
            for (var part = 0u; part < pixel; part++) {
                let scalar = part * 4u;
                if first_column * pixel + scalar < p.columns * pixel {
                    store_four_at(plane, row, first_column * pixel + scalar, vec4(
                        beside(y, scalar, pixel, together, g), beside(y, scalar + 1u, pixel, together, g),
                        beside(y, scalar + 2u, pixel, together, g), beside(y, scalar + 3u, pixel, together, g),
                    ));
                }
            }
        }
    }
}

// Scalar `at` of column k: unit by unit, its outputs together.
fn output(y: array<vec4<f32>, 16>, at: u32, k: u32, together: u32, plane: u32) -> f32 {
    var outputs = y;
    return outputs[(plane + at % together) * VECTORS + at / together][k];
}

// Scalar `at` of four neighbouring columns of `pixel` scalars.
fn beside(y: array<vec4<f32>, 16>, at: u32, pixel: u32, together: u32, plane: u32) -> f32 {
    return output(y, at % pixel, at / pixel, together, plane);
}
