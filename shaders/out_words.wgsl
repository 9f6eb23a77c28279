// The same for `flat`, where words hold several scalars: four of them.

fn store_four_at(plane: u32, row: u32, scalar: u32, v: vec4<f32>) {
    store_four(p.dst_base + plane * p.dst_plane + row * p.dst_pitch + scalar, v);
}
