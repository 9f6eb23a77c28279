// Destination of texels: a word is four scalars, which are a texel, or four of one channel.
//
// `dst` is that of out_rgba8.wgsl or another. Bind group 0 has one more: 4, the source again, for
// passes that read something else.

@group(0) @binding(4) var original: texture_2d<f32>;

const LANES: u32 = 4u;

// Borders of alpha that is kept: passes that read something else meet others.
override KEEP_TOP: u32 = 1u;
override KEEP_BOTTOM: u32 = 1u;
override KEEP_LEFT: u32 = 1u;
override KEEP_RIGHT: u32 = 1u;

// Alpha of the source where the middle of the kernel lies.
fn kept_alpha(row: u32, column: u32) -> f32 {
    let at_row = i32(row * p.keep_rows) + p.keep_row;
    let at_column = i32(column * p.keep_columns) + p.keep_column;
    let y = continued_by(KEEP_TOP, KEEP_BOTTOM, true, at_row, i32(p.height));
    let x = continued_by(KEEP_LEFT, KEEP_RIGHT, true, at_column, i32(p.width));
    return select(textureLoad(original, vec2(max(x, 0), max(y, 0)), 0).a, p.fill, min(x, y) < 0);
}

fn store_texel(row: u32, column: u32, value: vec4<f32>) {
    var texel = encoded(value);
    if ALPHA == ALPHA_KEEP {
        texel.a = kept_alpha(row, column);
    }
    textureStore(dst, vec2(column, row), stored(texel));
}

// One word from scalar `scalar`, a multiple of four, of a row of the band. There is one plane.
fn store_at(plane: u32, row: u32, scalar: u32, v: vec4<f32>) {
    if !SINGLE {
        store_texel(p.to_row + row, p.to_column + scalar / 4u, v);
        return;
    }
    for (var k = 0u; k < 4u; k++) {
        if scalar + k < p.columns {
            store_texel(p.to_row + row, p.to_column + scalar + k, vec4(v[k], 0.0, 0.0, 1.0));
        }
    }
}

// Four scalars, as `flat` stores them.
fn store_four_at(plane: u32, row: u32, scalar: u32, v: vec4<f32>) {
    store_at(plane, row, scalar, v);
}
