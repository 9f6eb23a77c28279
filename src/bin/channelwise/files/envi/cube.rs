//! Samples in their places, in each of ENVI's three orders.

use std::io::Write;

use bytemuck::Zeroable;
use channelwise::ndarray::ArrayD;
use channelwise::{ElementType, Layout, f16};
use rayon::prelude::*;

use channelwise::store::cubes::{Header, Interleave};
use channelwise::store::{Sample, Wide, memory};

use crate::files::Tensor;

type Result<T> = std::result::Result<T, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Line,
    Sample,
    Band,
}

/// From the outermost axis inwards.
fn order(interleave: Interleave) -> [Axis; 3] {
    match interleave {
        Interleave::Bsq => [Axis::Band, Axis::Line, Axis::Sample],
        Interleave::Bil => [Axis::Line, Axis::Band, Axis::Sample],
        Interleave::Bip => [Axis::Line, Axis::Sample, Axis::Band],
    }
}

/// The axes of a tensor of this layout.
fn axes(layout: Layout) -> [Axis; 3] {
    if layout == Layout::Nchw {
        [Axis::Band, Axis::Line, Axis::Sample]
    } else {
        [Axis::Line, Axis::Sample, Axis::Band]
    }
}

/// `[lines, samples, bands]`, or `[bands, lines, samples]` for a layout of planes; and what is to be said of how
/// samples became elements.
pub(super) fn read(
    header: &Header,
    data: &[u8],
    layout: Layout,
) -> Result<(Tensor, Option<String>)> {
    let from = Source { header, data, layout };
    let kind = match header.kind {
        Sample::Plain(kind) => kind,
        Sample::I64 => return from.floats(|bytes, wide| wide.signed(i64::from_ne_bytes(bytes))),
        Sample::Bool => return Err("it holds bool".into()),
        Sample::U64 => return from.floats(|bytes, wide| wide.unsigned(u64::from_ne_bytes(bytes))),
    };
    let tensor = match kind {
        ElementType::U8 => Tensor::U8(from.placed(u8::from_ne_bytes)?),
        ElementType::I8 => Tensor::I8(from.placed(i8::from_ne_bytes)?),
        ElementType::U16 => Tensor::U16(from.placed(u16::from_ne_bytes)?),
        ElementType::I16 => Tensor::I16(from.placed(i16::from_ne_bytes)?),
        ElementType::U32 => Tensor::U32(from.placed(u32::from_ne_bytes)?),
        ElementType::I32 => Tensor::I32(from.placed(i32::from_ne_bytes)?),
        ElementType::F16 => Tensor::F16(from.placed(f16::from_ne_bytes)?),
        ElementType::F32 => Tensor::F32(from.placed(f32::from_ne_bytes)?),
        ElementType::F64 => Tensor::F64(from.placed(f64::from_ne_bytes)?),
        // Headers know no others.
        _ => return Err(format!("it holds {kind}")),
    };
    Ok((tensor, None))
}

/// The samples of a file.
struct Source<'a> {
    header: &'a Header,
    data: &'a [u8],
    layout: Layout,
}

impl Source<'_> {
    /// Integers of 64 bits.
    fn floats(
        &self,
        value: impl Fn([u8; 8], &Wide) -> f64 + Sync,
    ) -> Result<(Tensor, Option<String>)> {
        let wide = Wide::default();
        let numbers = self.placed(|bytes| value(bytes, &wide))?;
        Ok((Tensor::F64(numbers), Some(wide.note(&format!("{} samples", self.header.kind)))))
    }

    /// `value` gets bytes in this machine's order.
    fn placed<U: Zeroable + Copy + Send, const N: usize>(
        &self,
        value: impl Fn([u8; N]) -> U + Sync,
    ) -> Result<ArrayD<U>> {
        let Header { lines, samples, bands, interleave, big_endian, .. } = *self.header;
        let foreign = big_endian == cfg!(target_endian = "little");
        let data = self.data.as_chunks::<N>().0;
        let get = |at: usize| {
            let mut bytes = data[at];
            if foreign {
                bytes.reverse();
            }
            value(bytes)
        };
        // Where the samples of a line and band begin, and how far apart they are.
        let places = |line: usize, band: usize| match interleave {
            Interleave::Bsq => ((band * lines + line) * samples, 1),
            Interleave::Bil => ((line * bands + band) * samples, 1),
            Interleave::Bip => (line * samples * bands + band, bands),
        };
        let mut out = memory::zeroed::<U>(lines * samples * bands)?;
        let shape = if self.layout == Layout::Nchw {
            out.par_chunks_mut(samples).enumerate().for_each(|(row, to)| {
                let (start, step) = places(row % lines, row / lines);
                for (k, to) in to.iter_mut().enumerate() {
                    *to = get(start + k * step);
                }
            });
            vec![bands, lines, samples]
        } else {
            out.par_chunks_mut(samples * bands).enumerate().for_each(|(line, row)| {
                for band in 0..bands {
                    let (start, step) = places(line, band);
                    for (k, to) in row[band..].iter_mut().step_by(bands).enumerate() {
                        *to = get(start + k * step);
                    }
                }
            });
            vec![lines, samples, bands]
        };
        ArrayD::from_shape_vec(shape, out).map_err(|error| error.to_string())
    }
}

/// Lines, samples and bands of a tensor of three axes.
pub(super) fn sizes(tensor: &Tensor, layout: Layout) -> Option<[usize; 3]> {
    let &[a, b, c] = tensor.shape() else { return None };
    Some(if layout == Layout::Nchw { [b, c, a] } else { [a, b, c] })
}

/// Writes a tensor of three axes in this order of samples, its bytes little-endian.
pub(super) fn write(
    tensor: Tensor,
    layout: Layout,
    interleave: Interleave,
    to: &mut impl Write,
) -> std::io::Result<()> {
    let there = axes(layout);
    let wanted = order(interleave).map(|axis| there.iter().position(|a| *a == axis).unwrap_or(0));
    let size = tensor.kind().bytes();
    let tensor = tensor.permuted(&wanted);
    let bytes = tensor.bytes();
    if cfg!(target_endian = "little") || size == 1 {
        return to.write_all(&bytes);
    }
    let mut bytes = bytes.into_owned();
    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    to.write_all(&bytes)
}
