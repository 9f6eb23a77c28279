// From the gradient of outputs (src) to that of the sums before the activation, in place of the sums (dst):
//
//   dst[f] = act'(dst[f]) * sum over g of W[f,g] * src[g]     where a pointwise step follows (FOLLOW)
//   dst[f] = act'(dst[f]) * src[f]                            otherwise
//
// One invocation per sum: x pixels, y filters, z images.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let place = grid_place(group);
    let at = place.x * WORKGROUP_X + local.x;
    let f = place.y;
    let image = place.z;
    if at >= p.columns || f >= p.filters || image >= p.images {
        return;
    }
    var gradient = 0.0;
    if FOLLOW {
        for (var g = 0u; g < p.outputs; g++) {
            gradient = fma(mixing(f, g), load1(p.src_base + scalar(image, at, g, p.outputs)), gradient);
        }
    } else {
        gradient = load1(p.src_base + scalar(image, at, f, p.filters));
    }
    let to = p.dst_base + scalar(image, at, f, p.filters);
    dst[to] = gradient * derivative(ACTIVATION, dst[to], p.activation_a, p.activation_b);
}
