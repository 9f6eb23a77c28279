// Between texels and the values that are filtered. Twin of `decode` and `encode` in src/color.rs.

// Number of `AlphaMode`: 0 filters alpha like a colour.
const ALPHA_KEEP: u32 = 1u;
const ALPHA_PREMULTIPLY: u32 = 2u;

override ALPHA: u32 = 0u;
// Whether colours are values of sRGB that no texture unit decoded, and whether they become such again.
override TO_LIGHT: bool = false;
override FROM_LIGHT: bool = false;
// Whether a texel has one channel, which is not alpha.
override SINGLE: bool = false;

// The curve of sRGB, mirrored for negative values.
fn to_light(color: vec3<f32>) -> vec3<f32> {
    let size = abs(color);
    let curve = pow((size + 0.055) / 1.055, vec3(2.4));
    return sign(color) * select(curve, size / 12.92, size <= vec3(0.04045));
}

fn from_light(color: vec3<f32>) -> vec3<f32> {
    let size = abs(color);
    let curve = 1.055 * pow(size, vec3(1.0 / 2.4)) - 0.055;
    return sign(color) * select(curve, 12.92 * size, size <= vec3(0.0031308));
}

fn decoded(texel: vec4<f32>) -> vec4<f32> {
    var color = texel.rgb;
    if TO_LIGHT {
        color = to_light(color);
    }
    if ALPHA == ALPHA_PREMULTIPLY {
        color *= texel.a;
    }
    return vec4(color, texel.a);
}

fn encoded(value: vec4<f32>) -> vec4<f32> {
    var color = value.rgb;
    if ALPHA == ALPHA_PREMULTIPLY {
        color = select(vec3(0.0), color / value.a, value.a > 0.0);
    }
    if FROM_LIGHT {
        color = from_light(color);
    }
    return vec4(color, value.a);
}
