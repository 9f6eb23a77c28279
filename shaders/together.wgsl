// The sum of what the invocations of a workgroup hold, added up in a tree; the first one gets it.

// WORKGROUP_X.
override EXCHANGED: u32 = 64u;

var<workgroup> exchange: array<f32, EXCHANGED>;

fn together(local: u32, own: f32) -> f32 {
    exchange[local] = own;
    for (var half = WORKGROUP_X / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            exchange[local] += exchange[local + half];
        }
    }
    return exchange[0];
}
