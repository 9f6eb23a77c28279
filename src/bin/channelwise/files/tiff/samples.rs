//! Chunks in their places: the samples of a page as elements `[height, width, samples]`.

use bytemuck::Zeroable;
use channelwise::f16;
use channelwise::ndarray::ArrayD;
use rayon::prelude::*;

use super::chunk::{self, row_bytes};
use super::page::{Format, Page, Photometric, name};
use super::{Result, Tensor, memory};
use crate::files::wide::Wide;

/// The samples as elements of the type that holds them, and what is to be said of that. What has fewer bits
/// takes its whole range, as 255 is white whatever the file; numbers of a palette stay. Of 64-bit integers f64
/// holds the most.
pub(super) fn read(bytes: &[u8], page: &Page) -> Result<(Tensor, Option<String>)> {
    let at = (bytes, page);
    let tensor = match (page.format, page.bits) {
        (Format::Uint, 8) => Tensor::U8(placed(at, u8::from_ne_bytes)?),
        (Format::Uint, 16) => Tensor::U16(placed(at, u16::from_ne_bytes)?),
        (Format::Uint, 32) => Tensor::U32(placed(at, u32::from_ne_bytes)?),
        (Format::Uint, 64) => {
            return floats(at, |bytes, wide| wide.unsigned(u64::from_ne_bytes(bytes)));
        }
        (Format::Uint, bits @ 0..8) => {
            let largest = full(page, bits, u8::MAX.into());
            let byte = |v| spread(v, largest, u8::MAX.into()) as u8;
            Tensor::U8(in_place(at, |row, to| unpack(row, bits, to, byte))?)
        }
        (Format::Uint, bits) => {
            let largest = full(page, bits, u16::MAX.into());
            let word = |v| spread(v, largest, u16::MAX.into()) as u16;
            let note = format!("its {} samples are spread over 16 bits", name(page.format, bits));
            let tensor = Tensor::U16(in_place(at, |row, to| unpack(row, bits, to, word))?);
            return Ok((tensor, Some(note)));
        }
        (Format::Int, 8) => Tensor::I8(placed(at, i8::from_ne_bytes)?),
        (Format::Int, 16) => Tensor::I16(placed(at, i16::from_ne_bytes)?),
        (Format::Int, 32) => Tensor::I32(placed(at, i32::from_ne_bytes)?),
        (Format::Int, _) => {
            return floats(at, |bytes, wide| wide.signed(i64::from_ne_bytes(bytes)));
        }
        (Format::Float, 16) => Tensor::F16(placed(at, f16::from_ne_bytes)?),
        (Format::Float, 32) => Tensor::F32(placed(at, f32::from_ne_bytes)?),
        (Format::Float, _) => Tensor::F64(placed(at, f64::from_ne_bytes)?),
    };
    Ok((tensor, None))
}

/// Integers of 64 bits.
fn floats(
    at: (&[u8], &Page),
    value: impl Fn([u8; 8], &Wide) -> f64 + Sync,
) -> Result<(Tensor, Option<String>)> {
    let wide = Wide::default();
    let numbers = placed(at, |bytes| value(bytes, &wide))?;
    let note = wide.note(&format!("{} samples", name(at.1.format, at.1.bits)));
    Ok((Tensor::F64(numbers), Some(note)))
}

/// The largest number, or `same` for those that stay.
fn full(page: &Page, bits: u16, same: u32) -> u32 {
    if page.photometric == Photometric::Palette { same } else { (1 << bits) - 1 }
}

fn spread(value: u32, largest: u32, to: u32) -> u32 {
    (value * to + largest / 2) / largest
}

/// Samples of so many bits each, the highest bit first.
fn unpack<U>(row: &[u8], bits: u16, to: &mut [U], value: impl Fn(u32) -> U) {
    for (number, place) in to.iter_mut().enumerate() {
        let first = number * usize::from(bits);
        // Nine bits and more can lie in three bytes.
        let three = (0..3).fold(0, |sum, byte| {
            sum << 8 | u32::from(row.get(first / 8 + byte).copied().unwrap_or(0))
        });
        let below = 24 - first % 8 - usize::from(bits);
        *place = value(three >> below & ((1 << bits) - 1));
    }
}

/// Samples of whole bytes.
fn placed<U: Zeroable + Copy + Send, const N: usize>(
    at: (&[u8], &Page),
    value: impl Fn([u8; N]) -> U + Sync,
) -> Result<ArrayD<U>> {
    in_place(at, |row: &[u8], to: &mut [U]| {
        for (place, sample) in to.iter_mut().zip(row.as_chunks::<N>().0) {
            *place = value(*sample);
        }
    })
}

/// Every row of every chunk is handed to `convert` with the place for its elements.
fn in_place<U: Zeroable + Copy + Send>(
    (bytes, page): (&[u8], &Page),
    convert: impl Fn(&[u8], &mut [U]) + Sync,
) -> Result<ArrayD<U>> {
    let (across, down) = page.grid();
    let (planes, all) = (page.planes(), page.samples);
    // In a chunk.
    let samples = all / planes;
    let row = page.width * all;
    let mut out = memory::zeroed::<U>(page.height.saturating_mul(row))?;
    out.par_chunks_mut(page.chunk.1.saturating_mul(row)).enumerate().try_for_each(
        |(below, band)| {
            let mut plane_row =
                vec![U::zeroed(); if planes > 1 { page.chunk.0.min(page.width) } else { 0 }];
            for plane in 0..planes {
                for right in 0..across {
                    let number = (plane * down + below) * across + right;
                    let rows = chunk::rows(bytes, page, number, samples)?;
                    let from = right * page.chunk.0;
                    let width = page.chunk.0.min(page.width - from);
                    // `rows` has counted them.
                    let pitch = row_bytes(page.chunk.0, samples, page.bits).unwrap_or(1);
                    for (source, target) in rows.chunks(pitch).zip(band.chunks_mut(row)) {
                        if planes == 1 {
                            convert(source, &mut target[from * all..][..width * all]);
                            continue;
                        }
                        let plane_row = &mut plane_row[..width];
                        convert(source, plane_row);
                        let places = target[from * all + plane..].iter_mut().step_by(all);
                        for (place, value) in places.zip(plane_row) {
                            *place = *value;
                        }
                    }
                }
            }
            Ok::<_, String>(())
        },
    )?;
    ArrayD::from_shape_vec(vec![page.height, page.width, all], out)
        .map_err(|error| error.to_string())
}
