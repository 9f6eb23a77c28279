// The plain path: every option, one invocation per word of output.
//
// SLICED: one 2-D grid per channel slice, z = images * slices. A slice is a plane; or where the channels of a
// pixel lie together, as many of their words as fill a cache line: x runs through them before it goes on to the
// next column, so that neighbouring invocations read and write neighbouring words.
// Otherwise (bytes whose channels do not fill words) x counts words of the destination, which may
// reach across pixels, rows and images.

override SLICED: bool = true;

// Most words of a slice: those of a cache line.
override SLICE: u32 = 32u;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = grid_place(group);
    let x = at.x * WORKGROUP_X + local.x;
    let y = at.y * WORKGROUP_Y + local.y;
    let out_channels = p.channels * p.outputs;
    if SLICED {
        let words = out_channels / LANES;
        let slices = select((words + SLICE - 1u) / SLICE, words, p.planar != 0u);
        let width = (words + slices - 1u) / slices;
        let image = at.z / slices;
        let column = x / width;
        let word = at.z % slices * width + x % width;
        if column >= p.columns || y >= p.rows || image >= p.images || word >= words {
            return;
        }
        let first = word * LANES;
        var v = vec4(0.0);
        for (var lane = 0u; lane < LANES; lane++) {
            let o = first + lane;
            v[lane] = place(image, p.out_row + y, p.out_column + column, o / p.outputs, o % p.outputs);
        }
        if p.planar != 0u {
            let plane = image * p.outputs + first;
            store_at(plane, y, column, v);
        } else {
            store_at(image, y, column * out_channels + first, v);
        }
        return;
    }
    // Planes of the destination: one per image, or one per image and output.
    let planes = select(1u, p.outputs, p.planar != 0u);
    let together = out_channels / planes;
    let total = p.images * planes * p.dst_plane;
    let word = (x + y * WORKGROUP_X * p.groups_x) * LANES;
    if word >= total {
        return;
    }
    var v = vec4(0.0);
    for (var lane = 0u; lane < LANES; lane++) {
        let index = word + lane;
        let plane = index / p.dst_plane;
        let row = index % p.dst_plane / p.dst_pitch;
        let scalar = index % p.dst_plane % p.dst_pitch;
        // What lies between rows, and after the last one, is padding.
        if index < total && row < p.rows && scalar < p.columns * together {
            let o = scalar % together;
            let c = select(o / p.outputs, 0u, planes > 1u);
            let g = select(o % p.outputs, plane % planes, planes > 1u);
            v[lane] = place(plane / planes, p.out_row + row, p.out_column + scalar / together, c, g);
        }
    }
    let first = word % p.dst_plane;
    store_at(word / p.dst_plane, first / p.dst_pitch, first % p.dst_pitch, v);
}
