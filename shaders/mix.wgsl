// The gradient of a pointwise step, first stage: for a part of the tensor
//
//   partials[f*G + g] = sum over the part of act(src[f]) * delta[g]
//   partials[F*G + g] = sum over the part of delta[g]
//
// with src the sums of the filters before their activation and delta the gradient of the step's own sums.
// A workgroup has one value (z) and RUN * RUNS pixels an invocation, all images one after the other; sums
// are made as in correlate.wgsl. dst holds partials, one row of `parts` for each value.

override RUN: u32 = 32u;
override RUNS: u32 = 1u;

@group(0) @binding(3) var<storage, read> delta: array<f32>;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let place = grid_place(group);
    let f = place.z / p.outputs;
    let g = place.z % p.outputs;
    let pixels = p.images * p.columns;
    var total = 0.0;
    for (var run = 0u; run < RUNS; run++) {
        var sum = 0.0;
        for (var n = 0u; n < RUN; n++) {
            let pixel = ((place.x * RUNS + run) * RUN + n) * WORKGROUP_X + local.x;
            if pixel >= pixels {
                break;
            }
            let image = pixel / p.columns;
            let at = pixel % p.columns;
            let gradient = delta[p.read_base + scalar(image, at, g, p.outputs)];
            if f < p.filters {
                let filtered = load1(p.src_base + scalar(image, at, f, p.filters));
                sum = fma(activate(ACTIVATION, filtered, p.activation_a, p.activation_b), gradient, sum);
            } else {
                sum += gradient;
            }
        }
        total += sum;
    }
    let sum = together(local.x, total);
    if local.x == 0u && place.x < p.groups_x && place.z < p.groups_z {
        dst[place.z * p.own.parts + p.own.part + place.x] = sum;
    }
}
