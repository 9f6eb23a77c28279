// The gradient of the kernel, first stage: for a filter f, some taps (i, j) and a part of the tensor
//
//   partials[(i*KW + j)*F + f] = sum over the part of delta[n,r,q,c*F+f] * x[n, r*sh + i*dh - top, q*sw + j*dw - left, c]
//   partials[KH*KW*F + f]      = sum over the part of delta[n,r,q,c*F+f]
//
// with x (src) continued by the border. A workgroup has WORKGROUP_X neighbouring positions of the flat row
// (q, c), `across` times, and `run * runs` rows of the band, all images one after the other; an invocation
// keeps its position and goes down the rows. Sums of a run are added to the total, and those of the
// invocations in a tree, so that the error grows with run + runs * across + log2(WORKGROUP_X) and not
// with their product.
//
// dst holds partials, one row of `parts` for each value. `dst_pitch` and `dst_plane` are those of
// delta, which has the shape of the output. FLIP: values go to the taps of the kernel as given.

override TAP_ROWS: u32 = 3u;
override TAP_COLUMNS: u32 = 3u;
override FLIP: bool = false;
// (TAP_ROWS * TAP_COLUMNS + 1) * WORKGROUP_X: naga 30 panics on overrides that follow an array whose size is
// an expression of them.
override EXCHANGED: u32 = 640u;

@group(0) @binding(3) var<storage, read> delta: array<f32>;

var<workgroup> exchange: array<f32, EXCHANGED>;

// Taps of an invocation, and behind them the sum of delta alone: at most 12 and 1.
alias Sums = array<f32, 16>;

fn values() -> u32 { return TAP_ROWS * TAP_COLUMNS + 1u; }

// Adds up, for every value, what the invocations hold; the first ones get the results.
fn together(local: u32, own: Sums) -> f32 {
    var sums = own;
    for (var v = 0u; v < values(); v++) {
        exchange[v * WORKGROUP_X + local] = sums[v];
    }
    for (var half = WORKGROUP_X / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            for (var v = 0u; v < values(); v++) {
                exchange[v * WORKGROUP_X + local] += exchange[v * WORKGROUP_X + local + half];
            }
        }
    }
    workgroupBarrier();
    return exchange[min(local, values() - 1u) * WORKGROUP_X];
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = grid_place(group);
    let tap_groups = (p.kernel_width + TAP_COLUMNS - 1u) / TAP_COLUMNS;
    let f = at.z % p.filters;
    let i0 = at.z / p.filters / tap_groups * TAP_ROWS;
    let j0 = at.z / p.filters % tap_groups * TAP_COLUMNS;
    let planar = p.planar != 0u;
    let rows = p.images * p.rows;
    var total: Sums;
    for (var step = 0u; step < p.own.across; step++) {
        let x = (at.x * p.own.across + step) * WORKGROUP_X + local.x;
        if x >= p.columns * p.channels {
            continue;
        }
        let q = x / p.channels;
        let c = x % p.channels;
        let first_column = i32((p.out_column + q) * p.stride_columns) - p.left;
        // Beyond the kernel the last tap stands in, whose sum goes nowhere.
        var columns: array<i32, 4>;
        for (var j = 0u; j < TAP_COLUMNS; j++) {
            let tap = min(j0 + j, p.kernel_width - 1u);
            columns[j] = source_column(first_column + i32(tap * p.dilation_columns));
        }
        let delta_first = p.read_base + select(x * p.filters + f, f * p.dst_plane + x, planar);
        let delta_image = select(p.dst_plane, p.dst_plane * p.filters, planar);
        for (var run = 0u; run < p.own.runs; run++) {
            var sums: Sums;
            for (var n = 0u; n < p.own.run; n++) {
                let row = (at.y * p.own.runs + run) * p.own.run + n;
                if row >= rows {
                    break;
                }
                let image = row / p.rows;
                let r = row % p.rows;
                let d = delta[delta_first + image * delta_image + r * p.dst_pitch];
                let first_row = i32((p.out_row + r) * p.stride_rows) - p.top;
                let image_base = p.src_base + image * p.src_image + c;
                for (var i = 0u; i < TAP_ROWS; i++) {
                    let tap = min(i0 + i, p.kernel_height - 1u);
                    let source = source_row(first_row + i32(tap * p.dilation_rows));
                    let row_base = image_base + u32(max(source, 0)) * p.src_pitch;
                    for (var j = 0u; j < TAP_COLUMNS; j++) {
                        let inside = load1(row_base + u32(max(columns[j], 0)) * p.channels);
                        let value = select(inside, p.fill, min(source, columns[j]) < 0);
                        sums[i * TAP_COLUMNS + j] = fma(d, value, sums[i * TAP_COLUMNS + j]);
                    }
                }
                sums[TAP_ROWS * TAP_COLUMNS] += d;
            }
            for (var v = 0u; v < values(); v++) {
                total[v] += sums[v];
            }
        }
    }
    let sum = together(local.x, total);
    let part = p.own.part + at.y * p.groups_x + at.x;
    let i = i0 + local.x / TAP_COLUMNS;
    let j = j0 + local.x % TAP_COLUMNS;
    if local.x + 1u < values() && i < p.kernel_height && j < p.kernel_width && at.z < p.groups_z {
        let given = i * p.kernel_width + j;
        let tap = select(given, p.kernel_height * p.kernel_width - 1u - given, FLIP);
        dst[(tap * p.filters + f) * p.own.parts + part] = sum;
    }
    if local.x + 1u == values() && i0 == 0u && j0 == 0u && at.z < p.groups_z {
        dst[(p.kernel_height * p.kernel_width * p.filters + f) * p.own.parts + part] = sum;
    }
}
