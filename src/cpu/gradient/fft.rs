//! The gradient of a large kernel, by transforms of tiles.
//!
//! With `X` and `D` the transforms of an input's tile and of the output's gradient there, `conj(D) X`
//! transformed back is at each distance the sum of what lies so far apart: at the distance of a tap its
//! gradient. Tiles hold zeros behind the outputs, so that nothing comes round. A tile of two planes,
//! `a + ib` and `c + id`, gives `(c * a + d * b)` as its real part: the sum over both, which is what is
//! wanted. Products are added up before they are transformed back, once for many tiles.

use fearless_simd::Simd;
use rustfft::num_complex::Complex;

use super::Part;
use crate::cpu::fft::{self, Parts, Plane, Transform, Way};
use crate::cpu::scratch::Scratch;
use crate::cpu::source::{Image, Input};
use crate::element::with_f32_type;
use crate::memory::{self, NoRoom};
use crate::plan::{PAIRS, tile_outputs};

/// The sums of a part, whose rows one tile meets; as those of `correlate`.
#[inline(always)]
pub(in crate::cpu) fn run<S: Simd>(
    simd: S,
    part: &Part<'_>,
    transform: &Transform,
    scratch: &mut Scratch,
) -> Result<Vec<f64>, NoRoom> {
    let Part { problem, src, image, rows, .. } = part;
    let g = problem.geometry();
    let (kh, kw) = g.kernel;
    let (points, columns) = (transform.points(), transform.tile.1);
    let filters = problem.weights().filters;
    let image = Image::new(problem, Input::Whole(src), *image);
    let mut sums = super::empty(problem)?;
    let (kernel, bias) = sums.split_at_mut(filters * kh * kw);

    let Scratch { tiles: [input, gradient, products, lines, room], .. } = scratch;
    let room = &mut transform.room(lines, room)?;
    let len = transform.turned();
    for (tile, len) in [(&mut *input, len), (&mut *gradient, len), (&mut *products, filters * len)]
    {
        memory::resize(fft::TILES, tile, len, Complex::default())?;
    }
    let first_row = g.first_row(rows.start);
    let read = (rows.len() - 1) * g.stride.0 + g.extent().0;
    let wide = tile_outputs(columns, g.extent().1, g.stride.1);
    let planes = fft::list_of_planes(0..g.out_width, wide, g.channels)?;
    for some in planes.chunks(2 * PAIRS) {
        products.fill(Complex::default());
        for pair in some.chunks(2) {
            for (first, some) in fft::blocks(read) {
                let lines = transform.lines(some, room);
                simd.vectorize(
                    #[inline(always)]
                    || {
                        with_f32_type!(problem.input_type(), T => {
                            for (i, line) in lines.chunks_exact_mut(columns).enumerate() {
                                let row = first_row + (first + i) as isize;
                                fft::each(
                                    pair,
                                    #[inline(always)]
                                    |plane, parts| {
                                        fft::load::<T>(problem, image, row, plane, parts, line);
                                    },
                                );
                            }
                        })
                    },
                );
                transform.turn_in((first, some), input, room);
            }
            for j in 0..columns {
                let column = transform.column(j, input);
                column[read..].fill(Complex::default());
                transform.along_column(Way::There, column, room);
            }
            for (f, products) in products.chunks_exact_mut(transform.turned()).enumerate() {
                let read = (rows.len() - 1) * g.stride.0 + 1;
                for (first, some) in fft::blocks(read) {
                    let lines = transform.lines(some, room);
                    lines.fill(Complex::default());
                    for (i, line) in lines.chunks_exact_mut(columns).enumerate() {
                        let row = first + i;
                        if row.is_multiple_of(g.stride.0) {
                            let row = rows.start + row / g.stride.0;
                            fft::each(
                                pair,
                                #[inline(always)]
                                |plane, parts| bias[f] += load(part, f, row, plane, line, parts),
                            );
                        }
                    }
                    transform.turn_in((first, some), gradient, room);
                }
                for j in 0..columns {
                    let column = transform.column(j, gradient);
                    column[read..].fill(Complex::default());
                    transform.along_column(Way::There, column, room);
                    let input = transform.column(j, input);
                    add(simd, column, input, transform.column(j, products));
                }
            }
        }
        for (f, products) in products.chunks_exact_mut(transform.turned()).enumerate() {
            for j in 0..columns {
                transform.along_column(Way::Back, transform.column(j, products), room);
            }
            let mut taps = kernel[f * kh * kw..(f + 1) * kh * kw].chunks_exact_mut(kw);
            for (first, some) in fft::blocks(kh) {
                let from = (first * g.dilation.0, some, g.dilation.0);
                for (line, taps) in transform.turn_out(from, products, room).zip(&mut taps) {
                    for (tap, sum) in taps.iter_mut().zip(line.iter().step_by(g.dilation.1)) {
                        *tap += f64::from(sum.re) / points as f64;
                    }
                }
            }
        }
    }
    Ok(sums)
}

/// The gradient of filter `f` at an output row of a plane, into a line of a tile; and its sum.
fn load(
    part: &Part<'_>,
    f: usize,
    row: usize,
    plane: &Plane,
    line: &mut [Complex<f32>],
    parts: Parts,
) -> f64 {
    let g = part.problem.geometry();
    let (together, f_together) = (part.together(), if g.planar { 0 } else { f });
    let pixel = g.channels * together;
    let at_channel = |channel: usize| channel * together + f_together;
    let (first, second) = (at_channel(plane.channel), at_channel(plane.channel + parts.apart()));
    let columns = plane.first * pixel..(plane.first + plane.columns) * pixel;
    let mut totals = [0.0; 2];
    let pixels = part.delta[part.row(f, row)..][columns].chunks_exact(pixel);
    for (at, pixel) in line.iter_mut().step_by(g.stride.1).zip(pixels) {
        parts.set(at, pixel[first], pixel[second]);
        totals[0] += f64::from(pixel[first]);
        totals[1] += f64::from(pixel[second]);
    }
    if parts == Parts::Both { totals[0] + totals[1] } else { totals[0] }
}

/// Adds to `products` the conjugate of `gradient` times `input`, point by point.
fn add<S: Simd>(
    simd: S,
    gradient: &[Complex<f32>],
    input: &[Complex<f32>],
    products: &mut [Complex<f32>],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            for ((product, d), x) in products.iter_mut().zip(gradient).zip(input) {
                product.re += d.re * x.re + d.im * x.im;
                product.im += d.re * x.im - d.im * x.re;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg32;
    use rand_pcg::rand_core::{Rng, SeedableRng};

    use crate::cpu::CpuKernelGradient;
    use crate::plan::{KernelGradient, PAIRS, tile_outputs};
    use crate::{Border, Conv2d, Cpu, ElementType, Kernel, Layout, Padding, Problem};

    /// Small problems with every option, which a plan would not give to transforms: what both ways make is
    /// the same but for rounding, and tiles of other sizes change no more.
    #[test]
    fn transforms_make_what_sums_make() {
        let mut random = Pcg32::seed_from_u64(5);
        let mut below = |n: u32| (random.next_u32() % n) as usize;
        let cpu = Cpu::with_threads(2).unwrap();
        let mut tried = 0;
        while tried < 400 {
            let (kh, kw, filters) = (1 + below(9), 1 + below(9), 1 + below(3));
            let kernel =
                Kernel::with_filters(kh, kw, filters, vec![1.0; kh * kw * filters]).unwrap();
            let borders = [
                Border::Constant(0.75),
                Border::Replicate,
                Border::Reflect,
                Border::Reflect101,
                Border::Wrap,
            ];
            let paddings = [Padding::Valid, Padding::Same, Padding::Full, Padding::all(7)];
            let layout = [Layout::Nhwc, Layout::Nchw][below(2)];
            let conv = Conv2d::new(kernel)
                .border(borders[below(5)])
                .padding(paddings[below(4)])
                .stride(1 + below(3), 1 + below(3))
                .dilation(1 + below(3), 1 + below(3))
                .layout(layout);
            // Of many channels products are transformed back more than once.
            let c = if tried % 20 == 0 { 2 * PAIRS + 1 + below(200) } else { 1 + below(5) };
            let (n, h, w) = (1 + below(2), 1 + below(50), 1 + below(70));
            let shape = [n, c, h, w];
            let shape = if layout == Layout::Nchw { shape } else { [n, h, w, c] };
            let kind = [ElementType::F32, ElementType::U8][below(2)];
            let Ok(problem) = Problem::new(&conv, shape, kind, ElementType::F32) else { continue };
            let problem = problem.sums().unwrap();
            let sizes = [32, 48, 64, 80];
            let tile = (sizes[below(4)], sizes[below(4)]);
            let g = problem.geometry();
            let most = tile_outputs(tile.0, g.extent().0, g.stride.0);
            if most == 0 || tile_outputs(tile.1, g.extent().1, g.stride.1) == 0 {
                continue;
            }
            tried += 1;
            let rows = 1 + below(most as u32);
            let mut unit = || below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
            let delta: Vec<f32> = (0..problem.output_len()).map(|_| unit()).collect();
            let values: Vec<f32> = (0..problem.input_len()).map(|_| unit()).collect();
            let bytes: Vec<u8> = values.iter().map(|v| (127.0 * (v + 1.0)) as u8).collect();
            let (src, largest) = match kind {
                ElementType::U8 => (&bytes[..], 255.0),
                _ => (bytemuck::cast_slice(&values), 1.0),
            };
            let made = |plan: KernelGradient| {
                let correlation = CpuKernelGradient::new(&plan).unwrap();
                cpu.kernel_gradient(&problem, &correlation, src, &delta).unwrap()
            };
            let want = made(KernelGradient::Cpu { rows: g.out_height });
            let got = made(KernelGradient::CpuFft { rows, tile });
            let allowed = 1e-6 * largest * (delta.len() as f64 + 10.0);
            assert_eq!(got.len(), want.len());
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                let off = (got - want).abs();
                assert!(off <= allowed, "{i}: {got} for {want}, tile {tile:?}, {problem}");
            }
        }
    }
}
