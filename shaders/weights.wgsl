// taps [filters, kernel_height, kernel_width], bias [filters], what sums are multiplied with before it,
// and where a pointwise step follows: weights [filters, outputs], bias [outputs].
@group(0) @binding(3) var<storage, read> weights: array<f32>;
