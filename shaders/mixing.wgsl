// Weights of the pointwise step [filters, outputs], and its bias [outputs].
fn mixing(f: u32, g: u32) -> f32 { return weights[f * p.outputs + g]; }
fn mixing_bias(g: u32) -> f32 { return weights[p.filters * p.outputs + g]; }
