// How `strip` stores f32: scalar by scalar, each where its sums are, so that neighbours store neighbours.

// Where the first output of an invocation goes.
fn first_target(strip: Strip, local: u32) -> u32 {
    let place = (strip.column + own_column(local)) * channels() + strip.channel + local % SPAN;
    let planar = strip.image * OUTPUTS * p.dst_plane + place;
    let together = strip.image * p.dst_plane + place * OUTPUTS;
    return p.dst_base + strip.row * p.dst_pitch + select(together, planar, p.planar != 0u);
}

// Stores the outputs of one of its columns, the first at `to`.
fn put(to: u32, y: array<f32, 16>, b: u32, column: u32, local: u32, strip: Strip) {
    var outputs = y;
    if own_column(local) + column * column_spacing() < strip.columns && strip.channel + local % SPAN < channels() {
        for (var g = 0u; g < OUTPUTS; g++) {
            dst[to + g * select(1u, p.dst_plane, p.planar != 0u)] = outputs[g];
        }
    }
}

fn flush(strip: Strip, step: u32, count: u32, local: u32) {}
