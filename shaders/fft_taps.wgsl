// The gradient of a large kernel, last pass: sums of parts, and their rows back to taps.
//
// src: as fft_products.wgsl leaves it, the parts of one filter after those of another.
// dst: [tap row, tap column, filter], and behind it the gradient of the bias of every filter.
// Grid: x over rows of taps of every filter.

// Parts that are added up one after the other before they are added to the others.
override RUN: u32 = 32u;
// Whether values go to the taps of the kernel as given.
override FLIP: bool = false;

fn part_of(filter_read: u32, part: u32) -> u32 {
    return filter_read * (p.own.parts / p.filters) + part;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = grid_place(group);
    if at.z >= p.groups_z {
        return;
    }
    let along = lines();
    let line = line_of(along, local);
    let t = place_of(along, local);
    let row = at.x * LINES + line;
    let there = row < p.kernel_height * p.filters;
    let f = select(0u, row / p.kernel_height, there);
    let i = row % p.kernel_height;
    let parts = p.own.parts / p.filters;
    var x: Points;
    for (var first = 0u; first < parts; first += RUN) {
        var sums: Points;
        for (var n = first; n < min(first + RUN, parts); n++) {
            let base = (part_of(f, n) * p.kernel_height + i) * LENGTH;
            for (var k = 0u; k < POINTS; k++) {
                sums[k] += src[base + before(along, t, k)];
            }
        }
        for (var k = 0u; k < POINTS; k++) {
            x[k] += sums[k];
        }
    }
    x = transform(along, x, line, t);
    let scale = 1.0 / f32(p.own.tile_rows * LENGTH);
    for (var k = 0u; k < POINTS; k++) {
        let point = after(along, t, k);
        let j = point / p.dilation_columns;
        if there && j < p.kernel_width && point % p.dilation_columns == 0u {
            let given = i * p.kernel_width + j;
            let tap = select(given, p.kernel_height * p.kernel_width - 1u - given, FLIP);
            dst[p.dst_base + tap * p.filters + f] = x[k].y * scale;
        }
    }
    if there && i == 0u && t == 0u {
        var total = 0.0;
        for (var first = 0u; first < parts; first += RUN) {
            var sum = 0.0;
            for (var n = first; n < min(first + RUN, parts); n++) {
                sum += src[p.own.parts * p.kernel_height * LENGTH + part_of(f, n)].x;
            }
            total += sum;
        }
        dst[p.dst_base + p.kernel_height * p.kernel_width * p.filters + f] = total;
    }
}
