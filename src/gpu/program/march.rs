//! The text of `march` for a shape: what of it no `override` can say.
//!
//! A tap is a swizzle of vectors, WGSL has none that a constant chooses, and loops over sums must be unrolled by
//! every compiler, which nothing in the language asks for. So this one shader has a part that is written:
//! straight code, a line for each thing that is done, which `shaders/march.wgsl` tells of. All else of it lies
//! there, and no other shader is written.

use std::fmt::Write as _;

use crate::plan::job::Data;
use crate::plan::march::{Along, MarchShape, VECTOR};

/// Names of the four components.
const COMPONENTS: [char; 4] = ['x', 'y', 'z', 'w'];

/// Bytes of a scalar of an end of the shader.
fn bytes(data: Data) -> usize {
    data.packed().map_or(4, |bits| bits as usize / 8)
}

/// The part of the shader that is written for `shape`.
pub(super) fn text(shape: &MarchShape, source: Data, output: Data) -> String {
    let mut writer = Writer { shape, text: String::new() };
    writer.constants(bytes(output));
    writer.begins();
    writer.window(bytes(source));
    writer.sums();
    writer.join();
    writer.inside(bytes(source));
    writer.finish(bytes(output));
    writer.text
}

struct Writer<'a> {
    shape: &'a MarchShape,
    text: String,
}

/// A line.
macro_rules! line {
    ($self:ident, $($part:tt)*) => {{
        // A string takes whatever is written to it.
        let _ = writeln!($self.text, $($part)*);
    }};
}

impl Writer<'_> {
    fn constants(&mut self, stored: usize) {
        let shape = self.shape;
        let MarchShape { kernel: (kh, kw), channels, dilation, filters, scalars, .. } = *shape;
        line!(
            self,
            "// Written for {kh}x{kw} taps of {filters} filters, {channels} channels, dilation {dilation}, {scalars} scalars a lane."
        );
        line!(self, "const ROWS: u32 = {}u;", shape.rows);
        line!(self, "const SPACING: u32 = {}u;", shape.spacing);
        line!(self, "const STRIDE: u32 = {}u;", shape.stride);
        line!(self, "const CHANNELS_OF_ROW: u32 = {channels}u;");
        line!(self, "const WEIGHTS: u32 = {}u;", shape.weights());
        line!(self, "// Planes of an image, and vectors that a lane stores in each.");
        line!(self, "const PLANES: u32 = {}u;", if shape.planar { shape.outputs } else { 1 });
        line!(self, "const STORES: u32 = {}u;\n", shape.stores(stored));
    }

    /// Where lanes begin in the source.
    fn begins(&mut self) {
        let MarchShape { scalars, channels, stride, .. } = *self.shape;
        line!(
            self,
            "// Scalars of a source row before those of a lane, in a row that begins at `column` of the output."
        );
        line!(self, "fn begins(lane: u32, column: u32) -> u32 {{");
        match self.shape.along() {
            Along::Row => line!(self, "    return column * {channels}u + lane * {scalars}u;"),
            Along::Part(lanes) => {
                let pixel = stride * channels;
                line!(
                    self,
                    "    return (column + lane / {lanes}u) * {pixel}u + lane % {lanes}u * {scalars}u;"
                );
            }
            Along::Pixels => {
                let (pixels, pixel) = (scalars / channels, stride * channels);
                line!(self, "    return (column + lane * {pixels}u) * {pixel}u;");
            }
        }
        line!(self, "}}\n");
    }

    /// What the taps of a lane touch of a source row.
    fn window(&mut self, bytes: usize) {
        let quads = self.shape.quads();
        let fields = (0..quads.len()).map(|n| format!("q{n}: vec4<f32>"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        line!(self, "struct Window {{ {fields} }}\n");

        let each = (4 / bytes) as i64;
        let vectors = self.shape.vectors(VECTOR / bytes);
        let lowest = vectors.first().copied().unwrap_or(0);
        line!(self, "fn inside_window(at: u32) -> Window {{");
        for (n, vector) in vectors.iter().enumerate() {
            line!(self, "    let v{n} = src[at + {}u];", vector - lowest);
        }
        let unpacked = quads.iter().map(|quad| {
            let vector = quad.div_euclid(each);
            let n = vectors.iter().position(|v| *v == vector).unwrap_or(0);
            match (each, quad.rem_euclid(each) as usize) {
                (1, _) => format!("v{n}"),
                (2, half) => format!("unpacked(v{n}.{})", ["xy", "zw"][half]),
                (_, word) => format!("unpacked(v{n}.{})", COMPONENTS[word]),
            }
        });
        let unpacked = unpacked.collect::<Vec<_>>().join(", ");
        line!(self, "    return Window({unpacked});");
        line!(self, "}}\n");

        line!(self, "fn edge_window(row: i32, row_base: u32, first: i32) -> Window {{");
        line!(self, "    return Window(");
        for quad in &quads {
            line!(self, "        edge_quad(row, row_base, first + ({})),", 4 * quad);
        }
        line!(self, "    );");
        line!(self, "}}\n");
    }

    /// The sums of an output row: of each filter, four neighbouring scalars a field.
    fn sums(&mut self) {
        let fields: Vec<String> =
            self.sum_names().map(|name| format!("{name}: vec4<f32>")).collect();
        let zeros = vec!["vec4(0.0)"; fields.len()].join(", ");
        line!(self, "struct Sums {{ {} }}\n", fields.join(", "));
        line!(self, "fn no_sums() -> Sums {{ return Sums({zeros}); }}\n");
    }

    fn sum_names(&self) -> impl Iterator<Item = String> + use<> {
        let (filters, quads) = (self.shape.filters, self.shape.quads_of_sums());
        (0..filters).flat_map(move |f| (0..quads).map(move |quad| format!("s{f}_{quad}")))
    }

    /// A row of taps, joined to the sums.
    fn join(&mut self) {
        let shape = self.shape;
        let quads = shape.quads();
        let (rows, tap_row) = (shape.kernel.0, shape.tap_row());
        line!(self, "fn join(sums: Sums, i: u32, w: Window) -> Sums {{");
        line!(self, "    var s = sums;");
        for f in 0..shape.filters {
            for v in 0..tap_row {
                line!(self, "    let k{f}_{v} = weights[({}u + i) * {tap_row}u + {v}u];", f * rows);
            }
        }
        for tap in 0..shape.kernel.1 {
            for quad in 0..shape.quads_of_sums() {
                // Which scalars of the window the tap's four read.
                let read = [0, 1, 2, 3].map(|k| {
                    let at = shape.offset(4 * quad + k, tap);
                    let held = quads.iter().position(|q| *q == at.div_euclid(4)).unwrap_or(0);
                    (held, at.rem_euclid(4) as usize)
                });
                let one = read[0].0;
                let met = if read == [0, 1, 2, 3].map(|k| (one, k)) {
                    format!("w.q{one}")
                } else {
                    let each = read.map(|(q, k)| format!("w.q{q}.{}", COMPONENTS[k]));
                    format!("vec4({})", each.join(", "))
                };
                line!(self, "    let t{tap}_{quad} = {met};");
                for f in 0..shape.filters {
                    let (v, k) = (tap / 4, COMPONENTS[tap as usize % 4]);
                    line!(
                        self,
                        "    s.s{f}_{quad} = fma(t{tap}_{quad}, vec4(k{f}_{v}.{k}), s.s{f}_{quad});"
                    );
                }
            }
        }
        line!(self, "    return s;");
        line!(self, "}}\n");
    }

    /// The rows of a block: each source row once, joined to every output row that needs it; a row is stored when
    /// its last source row was joined.
    fn inside(&mut self, bytes: usize) {
        let shape = self.shape;
        let lowest = shape.vectors(VECTOR / bytes).first().copied().unwrap_or(0);
        let kh = shape.kernel.0;
        line!(self, "fn inside(start: u32, to: u32) {{");
        line!(self, "    let step = p.dilation_rows * p.src_pitch / VECTOR;");
        line!(self, "    let down = SPACING * p.dst_pitch / STORED;");
        match lowest {
            0.. => line!(self, "    var at = start + {lowest}u;"),
            _ => line!(self, "    var at = start - {}u;", -lowest),
        }
        let mut last = 0;
        for t in 0..kh + (shape.rows - 1) * shape.phases {
            // Output row k meets it by tap row t - k * phases.
            let needs = (0..shape.rows).filter_map(|k| {
                t.checked_sub(k * shape.phases).filter(|i| *i < kh).map(|i| (k, i))
            });
            let needs: Vec<(u32, u32)> = needs.collect();
            if needs.is_empty() {
                continue;
            }
            match t - last {
                0 => {}
                1 => line!(self, "    at += step;"),
                rows => line!(self, "    at += {rows}u * step;"),
            }
            last = t;
            line!(self, "    let w{t} = inside_window(at);");
            for (k, i) in needs {
                match i {
                    0 => line!(self, "    var s{k} = join(no_sums(), 0u, w{t});"),
                    _ => line!(self, "    s{k} = join(s{k}, {i}u, w{t});"),
                }
                if i + 1 == kh {
                    line!(self, "    finish(s{k}, to + {k}u * down, ALL);");
                }
            }
        }
        line!(self, "}}\n");
    }

    /// From sums to what is stored.
    fn finish(&mut self, stored: usize) {
        let shape = self.shape;
        let MarchShape { filters, outputs, .. } = *shape;
        let quads = shape.quads_of_sums();
        let weight = |at: u32| format!("weights[{}].{}", at / 4, COMPONENTS[at as usize % 4]);
        line!(self, "// Room for all of a lane.");
        line!(self, "const ALL: u32 = 0xffffffffu;\n");
        line!(self, "fn finish(s: Sums, to: u32, room: u32) {{");
        for f in 0..filters {
            let (scale, bias) = (weight(shape.scale()), weight(shape.bias() + f));
            for quad in 0..quads {
                let sum = match shape.affine {
                    true => format!("fma(s.s{f}_{quad}, vec4({scale}), vec4({bias}))"),
                    false => format!("s.s{f}_{quad}"),
                };
                line!(
                    self,
                    "    let f{f}_{quad} = activate4(ACTIVATION, {sum}, p.activation_a, p.activation_b);"
                );
            }
        }
        for g in 0..outputs {
            for quad in 0..quads {
                if !shape.follows {
                    line!(self, "    let y{g}_{quad} = f{g}_{quad};");
                    continue;
                }
                let bias = weight(shape.matrix() + filters * outputs + g);
                let mut sum = format!("vec4({bias})");
                for f in 0..filters {
                    let factor = weight(shape.matrix() + f * outputs + g);
                    sum = format!("fma(vec4({factor}), f{f}_{quad}, {sum})");
                }
                line!(
                    self,
                    "    let y{g}_{quad} = activate4(FOLLOW_ACTIVATION, {sum}, p.follow_a, p.follow_b);"
                );
            }
        }
        let planes = if shape.planar { outputs } else { 1 };
        let together = outputs / planes;
        let each = (VECTOR / stored) as u32;
        for plane in 0..planes {
            for v in 0..shape.stores(stored) {
                // Scalars of a lane: unit by unit, its outputs together.
                let scalar = |e: u32| {
                    let (unit, g) = (e / together, plane + e % together);
                    (g, unit / 4, unit as usize % 4)
                };
                let quads = (0..each / 4).map(|quad| {
                    let first = v * each + quad * 4;
                    let of = [0, 1, 2, 3].map(|k| scalar(first + k));
                    let (g, q, _) = of[0];
                    if of == [0, 1, 2, 3].map(|k| (g, q, k)) {
                        return format!("y{g}_{q}");
                    }
                    let of = of.map(|(g, q, k)| format!("y{g}_{q}.{}", COMPONENTS[k]));
                    format!("vec4({})", of.join(", "))
                });
                let vector = quads.collect::<Vec<_>>().join(", ");
                let to = match plane {
                    0 => format!("to + {v}u"),
                    _ => format!("to + {plane}u * (p.dst_plane / STORED) + {v}u"),
                };
                line!(self, "    if {v}u < room {{ dst[{to}] = vector_of({vector}); }}");
            }
        }
        line!(self, "}}\n");
    }
}
