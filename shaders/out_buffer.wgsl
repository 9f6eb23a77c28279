// Where rows of a destination lie that is a buffer: one word from scalar `scalar` of a row of a plane on.
// Textures have this too, and know row and column without a division (out_texture.wgsl).

fn store_at(plane: u32, row: u32, scalar: u32, v: vec4<f32>) {
    store_word(p.dst_base + plane * p.dst_plane + row * p.dst_pitch + scalar, v);
}
