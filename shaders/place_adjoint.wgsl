// One output of the adjoint by the formula, with every option: it gathers what its pixel was read for.
//
//   x[n,p,u,c] = sum over f, i, j and the places (z, t) of the continued axes that are read at (p, u) of
//                weights[f,i,j] * y[n, r, q, c*F+f]    where z = r*sh + i*dh - top, t = q*sw + j*dw - left
//
// src is y, whose channel c has `filters` scalars; height and width are its size, out_height and
// out_width that of x. Continued places end at `reach`, where the last tap of the last output lies.

// Places of a continued axis: from, to and step of `count` progressions.
struct Places {
    first: vec4<i32>,
    end: vec4<i32>,
    step: vec4<i32>,
    count: i32,
}

// The first of `at + k * period` that is not below `lo`.
fn first_from(at: i32, period: i32, lo: i32) -> i32 {
    return lo + modulo(at - lo, period);
}

// The places of `lo..hi` that `border` maps to `at` in 0..n; lo <= at.
fn continuations(border: u32, at: i32, n: i32, lo: i32, hi: i32) -> Places {
    let ends = vec2(hi, hi);
    switch border {
        case BORDER_REPLICATE: {
            let first = select(at, lo, at == 0);
            let end = select(at + 1, max(hi, at + 1), at == n - 1);
            return two(vec2(first, 0), vec2(end, 0), vec2(1, 1));
        }
        case BORDER_REFLECT: {
            let first = vec2(first_from(at, 2 * n, lo), first_from(-1 - at, 2 * n, lo));
            return two(first, ends, vec2(2 * n));
        }
        case BORDER_REFLECT101: {
            let period = max(2 * n - 2, 1);
            let first = vec2(first_from(at, period, lo), first_from(-at, period, lo));
            // The mirror of an end is the end itself.
            let second = select(hi, lo, at == 0 || at == n - 1);
            return two(first, vec2(hi, second), vec2(period));
        }
        case BORDER_WRAP: {
            return two(vec2(first_from(at, n, lo), 0), vec2(hi, 0), vec2(n, 1));
        }
        default: {
            return two(vec2(at, 0), vec2(at + 1, 0), vec2(1, 1));
        }
    }
}

fn two(first: vec2<i32>, end: vec2<i32>, step: vec2<i32>) -> Places {
    return Places(vec4(first, 0, 0), vec4(end, 0, 0), vec4(step, 1, 1), 2);
}

// The same with one border for places before 0 and another for those from n on: those of the former up to n, and
// those of the latter from n on.
fn continuations_by(before: u32, after: u32, at: i32, n: i32, lo: i32, hi: i32) -> Places {
    if before == after {
        return continuations(before, at, n, lo, hi);
    }
    let low = continuations(before, at, n, lo, n);
    var high = continuations(after, at, n, 0, hi);
    // From 0 to n there is `at` alone, and its place is among the low ones.
    for (var side = 0; side < 2; side++) {
        let step = high.step[side];
        high.first[side] += (max(n - high.first[side], 0) + step - 1) / step * step;
    }
    return Places(
        vec4(low.first.xy, high.first.xy), vec4(min(low.end.xy, vec2(n)), high.end.xy),
        vec4(low.step.xy, high.step.xy), 4,
    );
}

// The output row (or column) whose tap `distance` behind its first one lies at `place`, counted from the
// padding's start; -1 if there is none. The distance is not larger than the place.
fn met(place: u32, distance: u32, stride: u32) -> i32 {
    let off = place - distance;
    if stride == 1u {
        return i32(off);
    }
    let row = off / stride;
    return select(-1, i32(row), row * stride == off);
}

// Taps, of `count` that are `dilation` apart, which meet any of `n` outputs at `place`: first and end.
fn taps(place: u32, count: u32, dilation: u32, stride: u32, n: u32) -> vec2<u32> {
    let last = (n - 1u) * stride;
    let first = select(0u, (place - last + dilation - 1u) / dilation, place > last);
    return vec2(first, min(count, place / dilation + 1u));
}

// What row `r` of y adds through tap row i.
fn across(image_base: u32, r: u32, i: u32, c: u32, columns: Places) -> f32 {
    let plane = p.src_image / p.filters;
    let planar = p.planar != 0u;
    let pixel = select(p.channels * p.filters, p.channels, planar);
    let first = select(c * p.filters, c, planar);
    let next = select(1u, plane, planar);
    let row_base = image_base + (r - u32(p.src_row)) * p.src_pitch + first;
    let each = kernel_height() * kernel_width();
    var sum = 0.0;
    for (var side = 0; side < columns.count; side++) {
        for (var t = columns.first[side]; t < columns.end[side]; t += columns.step[side]) {
            let at_t = u32(t + p.left);
            let reach = taps(at_t, kernel_width(), dilation_columns(), stride_columns(), p.width);
            for (var j = reach.x; j < reach.y; j++) {
                let q = met(at_t, j * dilation_columns(), stride_columns());
                if q >= 0 {
                    let at = row_base + u32(q - p.src_column) * pixel;
                    let tap = i * kernel_width() + j;
                    for (var f = 0u; f < p.filters; f++) {
                        sum = fma(weights[f * each + tap], load1(at + f * next), sum);
                    }
                }
            }
        }
    }
    return sum;
}

// Channel c at one place: row r and column q of the whole output, `image` in the band. g is 0.
fn place(image: u32, r: u32, q: u32, c: u32, g: u32) -> f32 {
    let reach_rows = i32((p.height - 1u) * stride_rows() + (kernel_height() - 1u) * dilation_rows()) + 1;
    let reach_columns = i32((p.width - 1u) * stride_columns() + (kernel_width() - 1u) * dilation_columns()) + 1;
    let rows = continuations_by(BORDER_TOP, BORDER_BOTTOM, i32(r), i32(p.out_height), -p.top, reach_rows - p.top);
    let columns = continuations_by(BORDER_LEFT, BORDER_RIGHT, i32(q), i32(p.out_width), -p.left, reach_columns - p.left);
    let image_base = p.src_base + image * p.src_image;
    var sum = 0.0;
    for (var side = 0; side < rows.count; side++) {
        for (var z = rows.first[side]; z < rows.end[side]; z += rows.step[side]) {
            let at_z = u32(z + p.top);
            let reach = taps(at_z, kernel_height(), dilation_rows(), stride_rows(), p.height);
            for (var i = reach.x; i < reach.y; i++) {
                let row = met(at_z, i * dilation_rows(), stride_rows());
                if row >= 0 {
                    sum += across(image_base, u32(row), i, c, columns);
                }
            }
        }
    }
    return sum;
}
