// Flat rows: a row of width * channels scalars, whose horizontal taps lie `channels * dilation`
// apart. Neighbouring invocations read neighbouring scalars whatever the number of channels.
//
// One invocation makes ROWS rows of four neighbouring places of the flat row, with all filters and
// outputs of each. Every vector it loads serves all rows and filters that need it. This pass makes
// the places inner_from..inner_to, whose taps all lie between the left and right edge; `flat_edge`
// makes the others (a software adapter would run both for every place if they were one shader).
// Both sum in the order of `place`, so they give the same bits.
//
// Grid: x over vectors of inner places, y over blocks of rows, z over images.
// Applies where the four places of a vector have neighbouring sources: stride_columns 1, or
// channels a multiple of four.

override ROWS: u32 = 1u;
override FILTERS: u32 = 1u;

// Sum m of an invocation belongs to filter m / ROWS and row m % ROWS; FILTERS * ROWS is at most 4.
// They are four variables and not an array, and the code for them stands four times, because
// compilers keep an array in memory unless they unroll every loop over it.
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

    var sum0 = vec4(0.0);
    var sum1 = vec4(0.0);
    var sum2 = vec4(0.0);
    var sum3 = vec4(0.0);
    let step = dilation_columns() * channels();
    let column = i32((p.out_column + x / channels()) * stride_columns()) - p.left - p.src_column;
    let scalar = u32(column) * channels() + x % channels();
    let base = p.src_base + image * p.src_image + scalar;
    let first_row = i32((p.out_row + y) * stride_rows()) - p.top;
    let source_rows = (ROWS - 1u) * stride_rows() + (kernel_height() - 1u) * dilation_rows() + 1u;
    for (var t = 0u; t < source_rows; t++) {
        let row = source_row(first_row + i32(t));
        let row_base = base + u32(max(row, 0)) * p.src_pitch;
        let i0 = tap_row(t, 0u);
        let i1 = tap_row(t, 1u);
        let i2 = tap_row(t, 2u);
        let i3 = tap_row(t, 3u);
        let w0 = tap_weight(0u, i0);
        let w1 = tap_weight(1u, i1);
        let w2 = tap_weight(2u, i2);
        let w3 = tap_weight(3u, i3);
        for (var j = 0u; j < kernel_width(); j++) {
            var value = load4(row_base + j * step);
            if row < 0 { value = vec4(p.fill); }
            if i0 < kernel_height() { sum0 = fma(vec4(weights[w0 + j]), value, sum0); }
            if i1 < kernel_height() { sum1 = fma(vec4(weights[w1 + j]), value, sum1); }
            if i2 < kernel_height() { sum2 = fma(vec4(weights[w2 + j]), value, sum2); }
            if i3 < kernel_height() { sum3 = fma(vec4(weights[w3 + j]), value, sum3); }
        }
    }

    let bias = FILTERS * kernel_height() * kernel_width();
    if FILTERS == 1u && !FOLLOW {
        let b = vec4(weights[bias]);
        finish(image, y, 0u, x, places, sum0 + b);
        if ROWS > 1u { finish(image, y, 1u, x, places, sum1 + b); }
        if ROWS > 2u { finish(image, y, 2u, x, places, sum2 + b); }
        if ROWS > 3u { finish(image, y, 3u, x, places, sum3 + b); }
        return;
    }

    let sums = array(sum0, sum1, sum2, sum3);
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
