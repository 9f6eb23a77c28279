// Destination of complex numbers for the next pass.

@group(0) @binding(2) var<storage, read_write> dst: array<vec2<f32>>;
