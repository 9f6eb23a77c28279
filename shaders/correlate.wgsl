// The gradient of the kernel, first stage: for a filter f, some taps (i, j) and a part of the tensor
//
//   partials[(i*KW + j)*F + f] = sum over the part of delta[n,r,q,c*F+f] * x[n, r*sh + i*dh - top, q*sw + j*dw - left, c]
//   partials[KH*KW*F + f]      = sum over the part of delta[n,r,q,c*F+f]
//
// with x (src) continued by the border. A workgroup has WORKGROUP_X neighbouring positions of the flat row
// (q, c), `across` times, and `run * runs` rows of the band, all images one after the other; an invocation
// keeps its position and goes down the rows. With MARCH it keeps the gradients of the last TAP_ROWS rows too: each row of
// x that it meets, TAP_COLUMNS values, is read once for as many rows of taps. (Where strides or dilations part these, x
// is read for each tap.) Sums of a run are added to the total, and those of the invocations in a tree, so that the error
// grows with run + runs * across + log2(WORKGROUP_X) and not with their product.
//
// dst holds partials, one row of `parts` for each value. `dst_pitch` and `dst_plane` are those of
// delta, which has the shape of the output. FLIP: values go to the taps of the kernel as given.

override TAP_ROWS: u32 = 3u;
override TAP_COLUMNS: u32 = 3u;
override MARCH: bool = false;
override FLIP: bool = false;
// Values that are added up together, in workgroup memory of so many times WORKGROUP_X: naga 30 panics on overrides that
// follow an array whose size is an expression of them.
override AT_ONCE: u32 = 10u;
override EXCHANGED: u32 = 640u;

@group(0) @binding(3) var<storage, read> delta: array<f32>;

var<workgroup> exchange: array<f32, EXCHANGED>;

// Taps of an invocation, and behind them the sum of delta alone: at most 25 and 1.
alias Sums = array<f32, 28>;

fn values() -> u32 { return TAP_ROWS * TAP_COLUMNS + 1u; }

// Adds up, for AT_ONCE values from the first on, what the invocations hold; as many invocations get the results, and
// the others keep what they have.
fn together(local: u32, own: Sums, first: u32, result: f32) -> f32 {
    var sums = own;
    workgroupBarrier();
    for (var v = 0u; v < AT_ONCE; v++) {
        exchange[v * WORKGROUP_X + local] = sums[min(first + v, 27u)];
    }
    for (var half = WORKGROUP_X / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            for (var v = 0u; v < AT_ONCE; v++) {
                exchange[v * WORKGROUP_X + local] += exchange[v * WORKGROUP_X + local + half];
            }
        }
    }
    workgroupBarrier();
    let its = clamp(local, first, first + AT_ONCE - 1u);
    return select(result, exchange[(its - first) * WORKGROUP_X], its == local);
}

// What an invocation goes through: a column of delta and those of x that its taps meet, and its first tap.
struct Position {
    delta_first: u32,
    delta_image: u32,
    channel: u32,
    row: u32,
    end: u32,
    tap: u32,
    columns: array<i32, 8>,
}

// Values of x in row `at` of the continued input.
fn values_of(its: Position, image: u32, at: i32) -> array<f32, 8> {
    var columns = its.columns;
    var x: array<f32, 8>;
    let source = source_row(at);
    let base = p.src_base + image * p.src_image + its.channel + u32(max(source, 0)) * p.src_pitch;
    for (var j = 0u; j < TAP_COLUMNS; j++) {
        let inside = load1(base + u32(max(columns[j], 0)) * p.channels);
        x[j] = select(inside, p.fill, min(source, columns[j]) < 0);
    }
    return x;
}

// The sums of a position, added to `before`: each row of x once. It meets tap i with the gradient of the row that is i
// above its own; what lies outside of the rows is left out, so that no 0 meets an infinity.
fn marched(its: Position, before: Sums) -> Sums {
    var total = before;
    var sums: Sums;
    var left = p.own.run;
    var row = its.row;
    while row < its.end {
        let image = row / p.rows;
        let r = row % p.rows;
        let count = min(its.end - row, p.rows - r);
        let first_row = i32(p.out_row + r) - p.top + i32(its.tap);
        let base = its.delta_first + image * its.delta_image + r * p.dst_pitch;
        var window: array<f32, 32>;
        for (var s = 0u; s < count + TAP_ROWS - 1u; s++) {
            for (var i = TAP_ROWS - 1u; i > 0u; i--) {
                window[i] = window[i - 1u];
            }
            if s < count {
                window[0] = delta[base + s * p.dst_pitch];
                sums[TAP_ROWS * TAP_COLUMNS] += window[0];
            }
            // Beyond the kernel the last row stands in, whose sums go nowhere.
            var x = values_of(its, image, min(first_row + i32(s), p.last_row));
            for (var i = 0u; i < TAP_ROWS; i++) {
                if s >= i && s - i < count {
                    for (var j = 0u; j < TAP_COLUMNS; j++) {
                        sums[i * TAP_COLUMNS + j] = fma(window[i], x[j], sums[i * TAP_COLUMNS + j]);
                    }
                }
            }
            left -= select(0u, 1u, s < count);
            if left == 0u {
                for (var v = 0u; v < values(); v++) {
                    total[v] += sums[v];
                    sums[v] = 0.0;
                }
                left = p.own.run;
            }
        }
        row += count;
    }
    for (var v = 0u; v < values(); v++) {
        total[v] += sums[v];
    }
    return total;
}

// The same tap by tap.
fn summed(its: Position, before: Sums) -> Sums {
    var total = before;
    for (var first = its.row; first < its.end; first += p.own.run) {
        var sums: Sums;
        for (var row = first; row < min(first + p.own.run, its.end); row++) {
            let image = row / p.rows;
            let r = row % p.rows;
            let d = delta[its.delta_first + image * its.delta_image + r * p.dst_pitch];
            let first_row = i32((p.out_row + r) * p.stride_rows) - p.top;
            for (var i = 0u; i < TAP_ROWS; i++) {
                let tap = min(its.tap + i, p.kernel_height - 1u);
                var x = values_of(its, image, first_row + i32(tap * p.dilation_rows));
                for (var j = 0u; j < TAP_COLUMNS; j++) {
                    sums[i * TAP_COLUMNS + j] = fma(d, x[j], sums[i * TAP_COLUMNS + j]);
                }
            }
            sums[TAP_ROWS * TAP_COLUMNS] += d;
        }
        for (var v = 0u; v < values(); v++) {
            total[v] += sums[v];
        }
    }
    return total;
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
    let first = at.y * p.own.runs * p.own.run;
    let end = min(first + p.own.runs * p.own.run, p.images * p.rows);
    var total: Sums;
    for (var step = 0u; step < p.own.across; step++) {
        let x = (at.x * p.own.across + step) * WORKGROUP_X + local.x;
        if x >= p.columns * p.channels {
            continue;
        }
        let q = x / p.channels;
        let first_column = i32((p.out_column + q) * p.stride_columns) - p.left;
        // Beyond the kernel the last tap stands in, whose sum goes nowhere.
        var columns: array<i32, 8>;
        for (var j = 0u; j < TAP_COLUMNS; j++) {
            let tap = min(j0 + j, p.kernel_width - 1u);
            columns[j] = source_column(first_column + i32(tap * p.dilation_columns));
        }
        let delta_first = p.read_base + select(x * p.filters + f, f * p.dst_plane + x, planar);
        let delta_image = select(p.dst_plane, p.dst_plane * p.filters, planar);
        let its = Position(delta_first, delta_image, x % p.channels, first, end, i0, columns);
        if MARCH {
            total = marched(its, total);
        } else {
            total = summed(its, total);
        }
    }
    var sum = together(local.x, total, 0u, 0.0);
    if values() > AT_ONCE {
        sum = together(local.x, total, AT_ONCE, sum);
    }
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
