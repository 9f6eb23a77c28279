// Where outputs of tiles of `fft` go.

struct Target { image: u32, channel: u32, first_column: u32, row: u32, there: bool }

fn target_of(pair: u32, second: u32, kept_row: u32, there: bool) -> Target {
    let its = plane_of(pair, second);
    let first_column = its.across * (p.own.valid_columns / stride_columns());
    let row = its.down * (p.own.valid_rows / stride_rows()) + kept_row;
    return Target(its.image, its.channel, first_column, row, there && its.there && row < p.rows);
}

fn store(to: Target, f: u32, point: u32, sum: f32) {
    let column = to.first_column + point / stride_columns();
    if to.there && column < p.columns {
        let plane = select(to.image, to.image * p.filters + f, p.planar != 0u) * p.dst_plane;
        let place = column * channels() + to.channel;
        let scalar = select(place * p.filters + f, place, p.planar != 0u);
        let y = activate(ACTIVATION, sum, p.activation_a, p.activation_b);
        store_word(p.dst_base + plane + to.row * p.dst_pitch + scalar, vec4(y, 0.0, 0.0, 0.0));
    }
}
