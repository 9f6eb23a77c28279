// Flat rows: a row of width * channels scalars, whose horizontal taps lie `channels * dilation`
// apart. Neighbouring invocations read neighbouring scalars whatever the number of channels.
//
// One invocation makes ROWS rows of four neighbouring places of the flat row, with all filters and
// outputs of each. Every vector it loads serves all rows and filters that need it. This pass makes
// the places inner_from..inner_to, whose taps all lie between the left and right edge; `flat_edge`
// makes the others (a software adapter would run both for every place if they were one shader).
// Both sum in the order of `filtered`, so they give the same bits.
//
// Grid: x over vectors of inner places, y over blocks of rows, z over images.
// Applies where the four places of a vector have neighbouring sources: stride_columns 1, or
// channels a multiple of four.

// Output rows of an invocation; above 1 only with dilation_rows 1.
// Output rows of an invocation; above 1 only where dilation_rows is 1.
override ROWS: u32 = 1u;
override FILTERS: u32 = 1u;

// The sums of an invocation. Sum m belongs to filter m / ROWS and row m % ROWS; FILTERS * ROWS is at
// most 4. They are four fields and not an array, and the code for them stands four times, because
// compilers keep an array in memory unless they unroll every loop over it.
struct Sums {
    s0: vec4<f32>,
    s1: vec4<f32>,
    s2: vec4<f32>,
    s3: vec4<f32>,
}

fn row_of(m: u32) -> u32 { return m % ROWS; }
fn used(m: u32) -> bool { return m < FILTERS * ROWS; }

// Which kernel row joins source row t of the block with sum m; the kernel's height for none.
fn tap_row(t: u32, m: u32) -> u32 {
    let below = t - row_of(m) * stride_rows();
    let row = below / dilation_rows();
    let joins = used(m) && t >= row_of(m) * stride_rows() && row * dilation_rows() == below;
    return select(kernel_height(), row, joins && row < kernel_height());
}

// The weight of sum m at column 0 of kernel row i.
fn tap_weight(m: u32, i: u32) -> u32 {
    return (m / ROWS * kernel_height() + i) * kernel_width();
}

// `sums` with one tap of each that `joins` added; its weight stands `at` there.
fn add_tap(sums: Sums, joins: vec4<bool>, at: vec4<u32>, value: vec4<f32>) -> Sums {
    var s = sums;
    if joins.x { s.s0 = fma(vec4(weights[at.x]), value, s.s0); }
    if joins.y { s.s1 = fma(vec4(weights[at.y]), value, s.s1); }
    if joins.z { s.s2 = fma(vec4(weights[at.z]), value, s.s2); }
    if joins.w { s.s3 = fma(vec4(weights[at.w]), value, s.s3); }
    return s;
}

// Four scalars of a source row, or the constant where it is -1.
fn values(row: i32, at: u32) -> vec4<f32> {
    return select(load4(at), vec4(p.fill), row < 0);
}

// Stores the only output of row y + r.
fn finish(image: u32, y: u32, r: u32, x: u32, places: u32, sum: vec4<f32>) {
    if y + r < p.rows {
        let v = activate4(ACTIVATION, sum, p.activation_a, p.activation_b);
        let at = p.dst_base + image * p.dst_plane + (y + r) * p.dst_pitch + x;
        store4(at, v, 4u);
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = grid_place(group, groups);
    let x = p.inner_from + (at.x * WORKGROUP_X + local.x) * 4u;
    let y = (at.y * WORKGROUP_Y + local.y) * ROWS;
    let image = at.z;
    if x >= p.inner_to || y >= p.rows || image >= p.images {
        return;
    }
    let places = p.columns * channels();

    var s = Sums(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    let step = dilation_columns() * channels();
    let column = i32((p.out_column + x / channels()) * stride_columns()) - p.left - p.src_column;
    let scalar = u32(column) * channels() + x % channels();
    let base = p.src_base + image * p.src_image + scalar;
    let first_row = i32((p.out_row + y) * stride_rows()) - p.top;
    let source_rows = (ROWS - 1u) * stride_rows() + (kernel_height() - 1u) * dilation_rows() + 1u;
    // Where rows are shared their taps lie close; otherwise no row between taps is looked at.
    // Rows without a tap are passed over: those that share rows are not dilated.
    for (var t = 0u; t < source_rows; t += dilation_rows()) {
        let row = source_row(first_row + i32(t));
        let row_base = base + u32(max(row, 0)) * p.src_pitch;
        let i = vec4(tap_row(t, 0u), tap_row(t, 1u), tap_row(t, 2u), tap_row(t, 3u));
        let joins = i < vec4(kernel_height());
        let at = vec4(tap_weight(0u, i.x), tap_weight(1u, i.y), tap_weight(2u, i.z), tap_weight(3u, i.w));
        // Four taps a turn, as in `filtered`.
        for (var j = 0u; j < kernel_width(); j += 4u) {
            let here = row_base + j * step;
            s = add_tap(s, joins, at + j, values(row, here));
            if j + 1u < kernel_width() {
                s = add_tap(s, joins, at + j + 1u, values(row, here + step));
            }
            if j + 2u < kernel_width() {
                s = add_tap(s, joins, at + j + 2u, values(row, here + 2u * step));
            }
            if j + 3u < kernel_width() {
                s = add_tap(s, joins, at + j + 3u, values(row, here + 3u * step));
            }
        }
    }

    let bias = FILTERS * kernel_height() * kernel_width();
    if FILTERS == 1u && !FOLLOW {
        let b = vec4(weights[bias]);
        finish(image, y, 0u, x, places, s.s0 + b);
        if ROWS > 1u { finish(image, y, 1u, x, places, s.s1 + b); }
        if ROWS > 2u { finish(image, y, 2u, x, places, s.s2 + b); }
        if ROWS > 3u { finish(image, y, 3u, x, places, s.s3 + b); }
        return;
    }

    let sums = array(s.s0, s.s1, s.s2, s.s3);
    let matrix = bias + FILTERS;
    for (var r = 0u; r < min(ROWS, p.rows - y); r++) {
        var outputs: array<vec4<f32>, 4>;
        for (var f = 0u; f < FILTERS; f++) {
            let sum = sums[f * ROWS + r] + vec4(weights[bias + f]);
            outputs[f] = activate4(ACTIVATION, sum, p.activation_a, p.activation_b);
        }
        if FOLLOW {
            let filtered = outputs;
            for (var g = 0u; g < OUTPUTS; g++) {
                var sum = vec4(weights[matrix + FILTERS * OUTPUTS + g]);
                for (var f = 0u; f < FILTERS; f++) {
                    sum = fma(vec4(weights[matrix + f * OUTPUTS + g]), filtered[f], sum);
                }
                outputs[g] = activate4(FOLLOW_ACTIVATION, sum, p.follow_a, p.follow_b);
            }
        }
        store_places(image, y + r, x, places, outputs);
    }
}
