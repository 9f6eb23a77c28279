// One output by the formula, with every option.

// What tap column j of a source row (-1 for the constant) meets.
fn value(row: i32, row_base: u32, first_column: i32, j: u32) -> f32 {
    let column = source_column(first_column + i32(j * dilation_columns()));
    let inside = load1(row_base + u32(max(column, 0)) * channels());
    return select(inside, p.fill, min(row, column) < 0);
}

// Filter f at one place: sum, bias, activation. `r` and `q` count in the whole output, `image` in
// the band.
fn filtered(image: u32, r: u32, q: u32, c: u32, f: u32) -> f32 {
    let first_row = i32(r * stride_rows()) - p.top;
    let first_column = i32(q * stride_columns()) - p.left;
    let image_base = p.src_base + image * p.src_image + c;
    let taps = f * kernel_height() * kernel_width();
    var sum = 0.0;
    for (var i = 0u; i < kernel_height(); i++) {
        let row = source_row(first_row + i32(i * dilation_rows()));
        let row_base = image_base + u32(max(row, 0)) * p.src_pitch;
        let at = taps + i * kernel_width();
        // Four taps a turn: a turn costs as much as a tap, and one driver allows only so many
        // (`max_iterations` in src/plan/limits.rs).
        for (var j = 0u; j < kernel_width(); j += 4u) {
            sum = fma(weights[at + j], value(row, row_base, first_column, j), sum);
            if j + 1u < kernel_width() {
                sum = fma(weights[at + j + 1u], value(row, row_base, first_column, j + 1u), sum);
            }
            if j + 2u < kernel_width() {
                sum = fma(weights[at + j + 2u], value(row, row_base, first_column, j + 2u), sum);
            }
            if j + 3u < kernel_width() {
                sum = fma(weights[at + j + 3u], value(row, row_base, first_column, j + 3u), sum);
            }
        }
    }
    let bias = p.filters * kernel_height() * kernel_width();
    let y = fma(sum, weights[bias + p.filters], weights[bias + f]);
    return activate(ACTIVATION, y, p.activation_a, p.activation_b);
}

// Output g of channel c at one place.
fn place(image: u32, r: u32, q: u32, c: u32, g: u32) -> f32 {
    if !FOLLOW {
        return filtered(image, r, q, c, g);
    }
    let matrix = p.filters * (kernel_height() * kernel_width() + 1u) + 1u;
    var sum = weights[matrix + p.filters * p.outputs + g];
    for (var f = 0u; f < p.filters; f++) {
        sum = fma(weights[matrix + f * p.outputs + g], filtered(image, r, q, c, f), sum);
    }
    return activate(FOLLOW_ACTIVATION, sum, p.follow_a, p.follow_b);
}
