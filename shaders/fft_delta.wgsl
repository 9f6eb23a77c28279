// The gradient of a large kernel, second pass: transforms of the rows of tiles of the output's gradient.
//
// A tile has the gradient at its outputs, a stride apart from its first point on, and zeros between and behind them: as
// far as the input's tile reaches behind it, so that in products of spectra nothing comes round. Rows without an
// output are not made. Planes and pairs are those of the input's tiles; the second one of a pair that has one plane is 0.
//
// src: the gradient, in the output's layout.
// dst: [pair, row of outputs, frequency along the row].
// Grid: x over rows of outputs of a pair, z over pairs.

// Where the outputs of a plane begin in a row.
struct Outputs { base: u32, first_column: u32, channel: u32, there: bool }

fn outputs_of(pair: u32, second: u32, kept_row: u32, there: bool) -> Outputs {
    let its = plane_of(pair, second);
    let f = p.own.filter_read;
    let row = its.down * (p.own.valid_rows / stride_rows()) + kept_row;
    let image = select(its.image, its.image * p.filters + f, p.planar != 0u) * p.dst_plane;
    let first_column = its.across * (p.own.valid_columns / stride_columns());
    let base = p.src_base + image + row * p.dst_pitch;
    return Outputs(base, first_column, its.channel, there && its.there && row < p.rows);
}

fn gradient(its: Outputs, point: u32) -> f32 {
    let column = its.first_column + point / stride_columns();
    let made = point < p.own.valid_columns && point % stride_columns() == 0u;
    if its.there && made && column < p.columns {
        let place = column * channels() + its.channel;
        return load1(its.base + select(place * p.filters + p.own.filter_read, place, p.planar != 0u));
    }
    return 0.0;
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
    let kept = p.own.valid_rows / stride_rows();
    let a = outputs_of(at.z, 0u, row, row < kept);
    let b = outputs_of(at.z, 1u, row, row < kept);
    var x: Points;
    for (var i = 0u; i < POINTS; i++) {
        let point = before(along, t, i);
        x[i] = vec2(gradient(a, point), gradient(b, point));
    }
    x = transform(along, x, line, t);
    let base = (at.z * kept + row) * LENGTH;
    if row < kept {
        for (var i = 0u; i < POINTS; i++) {
            dst[p.dst_base + base + after(along, t, i)] = x[i];
        }
    }
}
