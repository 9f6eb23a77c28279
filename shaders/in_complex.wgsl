// Source of complex numbers that a pass before left.

@group(0) @binding(1) var<storage, read> src: array<vec2<f32>>;
