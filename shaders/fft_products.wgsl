// The gradient of a large kernel, third pass: transforms of the columns of input and gradient, their products added up,
// and back.
//
// With X and D the transforms of a pair of planes a + ib of the input and c + id of the gradient, conj(D) X is that of
// the correlations of c with a and of d with b, added up, as the real part; what the imaginary part holds is not
// wanted. A part is a run of pairs, whose products are added up one after the other.
//
// src: [pair, tile row, frequency along the row] of the input, and behind it [pair, row of outputs, frequency] of the
// gradient.
// dst: [part, row of taps, frequency along the row], with real and imaginary parts swapped; behind all parts for each
// the sum of the gradient, in the first half of an entry.
// Grid: x over columns, z over parts.

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
    let column = at.x * LINES + line;
    let outputs = p.own.kept * p.stride_rows;
    var sums: Points;
    var bias = 0.0;
    for (var n = 0u; n < p.own.run; n++) {
        let pair = at.z * p.own.run + n;
        if pair >= p.own.pairs {
            break;
        }
        var x: Points;
        var d: Points;
        for (var i = 0u; i < POINTS; i++) {
            let row = before(along, t, i);
            x[i] = src[(pair * LENGTH + row) * p.own.tile_columns + column];
            d[i] = vec2(0.0);
            if row < outputs && row % p.stride_rows == 0u {
                let kept = pair * p.own.kept + row / p.stride_rows;
                d[i] = src[p.own.delta + kept * p.own.tile_columns + column];
            }
        }
        x = transform(along, x, line, t);
        d = transform(along, d, line, t);
        for (var i = 0u; i < POINTS; i++) {
            sums[i] += times(vec2(d[i].x, -d[i].y), x[i]);
        }
        // Of frequency 0 both ways, where that is this invocation's.
        bias += d[0].x + d[0].y;
    }
    for (var i = 0u; i < POINTS; i++) {
        sums[i] = sums[i].yx;
    }
    let back = transform(along, in_order(along, sums, line, t), line, t);
    var taps = back;
    let part = p.own.part + at.z;
    let base = part * p.kernel_height * p.own.tile_columns + column;
    for (var i = 0u; i < POINTS; i++) {
        let row = after(along, t, i);
        let tap = row / p.dilation_rows;
        if tap < p.kernel_height && row % p.dilation_rows == 0u {
            dst[base + tap * p.own.tile_columns] = taps[i];
        }
    }
    if column == 0u && t == 0u {
        dst[p.own.parts * p.kernel_height * p.own.tile_columns + part] = vec2(bias, 0.0);
    }
}
