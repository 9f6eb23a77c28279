// How `phases` stores a row of its cells where words hold several scalars: four at once, which one invocation
// owns.
//
// The units are four neighbouring channels; or as many as there are, and then it makes all places of neighbouring
// cells, whose pixels are stored one after the other.

fn store_places(image: u32, row: u32, first_column: u32, place: u32, channel: u32, y: array<vec4<f32>, 16>) {
    var outputs = y;
    let row_base = p.dst_base + image * p.dst_plane + row * p.dst_pitch;
    let stride = stride_columns();
    if UNITS == 4u {
        for (var k = 0u; k < 4u; k++) {
            for (var b = 0u; b < PHASE_COLUMNS; b++) {
                let column = first_column + k * column_spacing() * stride + place + b;
                if column < p.columns && place + b < stride {
                    store_four(row_base + column * channels() + channel, vec4(
                        outputs[b * 4u][k], outputs[b * 4u + 1u][k], outputs[b * 4u + 2u][k], outputs[b * 4u + 3u][k],
                    ));
                }
            }
        }
        return;
    }
    let first = first_column * UNITS;
    for (var n = 0u; n < UNITS * PHASE_COLUMNS; n++) {
        let at = 4u * n;
        if first + at < p.columns * UNITS {
            store_four(row_base + first + at, vec4(
                scalar(y, at), scalar(y, at + 1u), scalar(y, at + 2u), scalar(y, at + 3u),
            ));
        }
    }
}

// Scalar `at` of the pixels of four cells.
fn scalar(y: array<vec4<f32>, 16>, at: u32) -> f32 {
    var outputs = y;
    let column = at / UNITS;
    return outputs[column % PHASE_COLUMNS * UNITS + at % UNITS][column / PHASE_COLUMNS];
}
