// Second stage of sums over a tensor: dst[v] = sum of src[v * parts ..][.. parts], a workgroup for each v.
//
// Invocations add up runs of RUN parts and then the runs; a tree adds up the invocations. The order
// depends on the number of parts alone, so the same device gives the same bits.

override RUN: u32 = 32u;

// Not read.
@group(0) @binding(3) var<storage, read> unused: array<f32>;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let v = grid_place(group).x;
    var total = 0.0;
    if v < p.groups_x {
        for (var first = local.x; first < p.own.parts; first += RUN * WORKGROUP_X) {
            var sum = 0.0;
            for (var n = 0u; n < RUN; n++) {
                let part = first + n * WORKGROUP_X;
                if part >= p.own.parts {
                    break;
                }
                sum += load1(v * p.own.parts + part);
            }
            total += sum;
        }
    }
    let sum = together(local.x, total);
    if local.x == 0u && v < p.groups_x {
        dst[p.dst_base + v] = sum;
    }
}
