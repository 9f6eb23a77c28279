// Through the activation behind a pointwise step: from the gradient of its results to that of its sums, in
// place (dst), with src the sums of the filters before their own activation:
//
//   dst[g] = dst[g] * act2'(bias[g] + sum over f of W[f,g] * act(src[f]))
//
// FOLLOW_ACTIVATION is a number of derivative.wgsl, ACTIVATION one of activation.wgsl. One invocation per
// output: x pixels, y outputs, z images.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let place = grid_place(group);
    let at = place.x * WORKGROUP_X + local.x;
    let g = place.y;
    let image = place.z;
    if at >= p.columns || g >= p.outputs || image >= p.images {
        return;
    }
    var sum = mixing_bias(g);
    for (var f = 0u; f < p.filters; f++) {
        let filtered = load1(p.src_base + scalar(image, at, f, p.filters));
        sum = fma(mixing(f, g), activate(ACTIVATION, filtered, p.activation_a, p.activation_b), sum);
    }
    let to = p.dst_base + scalar(image, at, g, p.outputs);
    dst[to] *= derivative(FOLLOW_ACTIVATION, sum, p.follow_a, p.follow_b);
}
