// The places of flat rows that `flat` leaves out: those with a tap beyond the left or right edge,
// and what is left of a row behind the last whole vector. Every option of `place`.
//
// Grid: x over vectors of four places (those before inner_from, then those from inner_to on),
// y over rows, z over images.

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = grid_place(group, groups);
    let vector = (at.x * WORKGROUP_X + local.x) * 4u;
    let x = select(vector - p.inner_from + p.inner_to, vector, vector < p.inner_from);
    let row = at.y * WORKGROUP_Y + local.y;
    let image = at.z;
    let places = p.columns * channels();
    if x >= places || row >= p.rows || image >= p.images {
        return;
    }
    var y: array<vec4<f32>, 4>;
    for (var lane = 0u; lane < 4u; lane++) {
        let here = min(x + lane, places - 1u);
        for (var g = 0u; g < OUTPUTS; g++) {
            y[g][lane] = place(image, p.out_row + row, p.out_column + here / channels(), here % channels(), g);
        }
    }
    store_places(image, row, x, places, y);
}
