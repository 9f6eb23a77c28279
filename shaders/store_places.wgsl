// What `flat` and `flat_edge` share: how the outputs of four neighbouring places are stored.

override OUTPUTS: u32 = 1u;

// Stores the outputs of the four places from `x` on; `y` holds them by output.
fn store_places(image: u32, row: u32, x: u32, places: u32, y: array<vec4<f32>, 4>) {
    var outputs = y;
    let count = min(4u, places - x);
    if p.planar != 0u {
        for (var g = 0u; g < OUTPUTS; g++) {
            let plane = (image * OUTPUTS + g) * p.dst_plane;
            store4(p.dst_base + plane + row * p.dst_pitch + x, outputs[g], count);
        }
        return;
    }
    let at = p.dst_base + image * p.dst_plane + row * p.dst_pitch + x * OUTPUTS;
    if OUTPUTS == 1u {
        store4(at, outputs[0], count);
        return;
    }
    for (var part = 0u; part < OUTPUTS; part++) {
        var v = vec4(0.0);
        for (var lane = 0u; lane < 4u; lane++) {
            let scalar = part * 4u + lane;
            v[lane] = outputs[scalar % OUTPUTS][scalar / OUTPUTS];
        }
        if count * OUTPUTS > part * 4u {
            store4(at + part * 4u, v, count * OUTPUTS - part * 4u);
        }
    }
}
