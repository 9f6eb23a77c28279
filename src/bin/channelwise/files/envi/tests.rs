//! Headers, and cubes against arrays built beside them.

use super::*;
use crate::files::{Type, with_array};
use channelwise::Element;
use channelwise::ndarray::{Array3, ArrayD};
use channelwise::store::cubes::{self as header, Header};

const HEADER: &str = "ENVI\n; a comment\ndescription = {\n  two lines\n  of it}\nSamples = 4\nlines   = 3\n\
    bands = 2\nheader offset = 5\nfile type = ENVI Standard\ndata type = 12\ninterleave = BIL\n\
    byte  order = 1\nwavelength = {400.5,\n; not a line of it\n 500}\nno entry\n";

fn refused(text: &str) -> String {
    Header::parse(text).expect_err(text)
}

#[test]
fn what_headers_say() {
    let header = Header::parse(HEADER).unwrap();
    let Header { lines, samples, bands, offset, kind, interleave, big_endian, keys } = header;
    assert_eq!((lines, samples, bands, offset), (3, 4, 2, 5));
    assert_eq!((kind.to_string(), interleave, big_endian), ("u16".into(), Interleave::Bil, true));
    let said: Vec<_> = keys.entries().iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let want = [("description", "{\n  two lines\n  of it}"), ("wavelength", "{400.5,\n 500}")];
    assert_eq!(said, want);
    // As written, it is read again.
    let again = header::text([3, 4, 2], 12, interleave, &keys);
    let again = Header::parse(&again).unwrap();
    assert_eq!((again.offset, again.big_endian), (0, false));
    assert_eq!((again.keys, again.interleave, again.kind), (keys, interleave, kind));
    // Windows ends lines otherwise, and bytes have no order.
    let bytes =
        "ENVI\r\nsamples = 1\r\nlines = 2\r\nbands = 3\r\ndata type = 1\r\ninterleave = bsq\r\n";
    let header = Header::parse(bytes).unwrap();
    assert_eq!((header.samples, header.lines, header.bands), (1, 2, 3));
}

#[test]
fn headers_that_lie() {
    let with = |from: &str, to: &str| {
        assert!(HEADER.contains(from), "{from}");
        refused(&HEADER.replace(from, to))
    };
    for (from, to, part) in [
        ("ENVI\n;", "ENVY\n;", "its first line is not `ENVI`"),
        ("Samples = 4\n", "", "it says no `samples`"),
        ("lines   = 3\n", "", "it says no `lines`"),
        ("bands = 2\n", "", "it says no `bands`"),
        ("data type = 12\n", "", "it says no `data type`"),
        ("interleave = BIL\n", "", "it says no `interleave`"),
        ("byte  order = 1\n", "", "it says no `byte order`"),
        ("bands = 2", "bands = 0", "its `bands` is 0, and 1 is needed"),
        ("bands = 2", "bands = -2", "its `bands` is `-2`, which is no whole number"),
        ("bands = 2", "bands = two", "its `bands` is `two`"),
        ("bands = 2", "bands = 99999999999999999999", "its `bands` is `99999999999999999999`"),
        ("bands = 2", "bands = 2\nbands = 3", "it says `bands` twice"),
        ("offset = 5", "offset = -1", "its `header offset` is `-1`"),
        ("type = 12", "type = 6", "complex64 (data type 6)"),
        ("type = 12", "type = 9", "complex128 (data type 9)"),
        ("type = 12", "type = 7", "of no known type (data type 7)"),
        ("= BIL", "= bsl", "its interleave is `bsl`; there are bsq, bil and bip"),
        ("order = 1", "order = 2", "its byte order is 2"),
        (" 500}", " 500", "the braces of its `wavelength` are not closed"),
        ("no entry", "file compression = 1", "packed (file compression 1)"),
        ("no entry", "major frame offsets = {0, 8}", "it has major frame offsets"),
    ] {
        let text = with(from, to);
        assert!(text.contains(part), "{from} as {to}: {text}");
        assert_eq!(text.lines().count(), 1);
    }
    assert!(Header::parse(&HEADER.replace("no entry", "major frame offsets = {0, 0}")).is_ok());
    for length in 0..HEADER.len() - 12 {
        // Whatever is cut off, an error or a header, never more.
        let _ = Header::parse(&HEADER[..length]);
    }
}

#[test]
fn lengths_are_held_against_the_file() {
    let header = Header::parse(HEADER).unwrap();
    assert_eq!(header.range(5 + 48), Ok(5..53));
    let short = header.range(52).unwrap_err();
    assert_eq!(
        short,
        "the file is truncated: its header asks for 5 bytes and 3 lines of 4 samples in 2 bands of u16, \
         53 bytes, and 52 are there"
    );
    assert!(header.range(54).unwrap_err().starts_with("bytes follow the samples"));
    for (samples, offset) in [(usize::MAX, 0), (usize::MAX / 12, 0), (1, u64::MAX)] {
        let header = Header { samples, offset, ..Header::parse(HEADER).unwrap() };
        assert!(header.range(100).unwrap_err().contains("cannot be counted"), "{samples}");
    }
}

/// Bytes of `x[line, sample, band]` in some order.
fn stored<T: Copy>(x: &Array3<T>, interleave: Interleave, bytes: impl Fn(T) -> Vec<u8>) -> Vec<u8> {
    let (lines, samples, bands) = x.dim();
    let mut out = Vec::new();
    let mut put = |l: usize, s: usize, b: usize| out.extend(bytes(x[[l, s, b]]));
    match interleave {
        Interleave::Bsq => {
            (0..bands)
                .for_each(|b| (0..lines).for_each(|l| (0..samples).for_each(|s| put(l, s, b))));
        }
        Interleave::Bil => {
            (0..lines)
                .for_each(|l| (0..bands).for_each(|b| (0..samples).for_each(|s| put(l, s, b))));
        }
        Interleave::Bip => {
            (0..lines)
                .for_each(|l| (0..samples).for_each(|s| (0..bands).for_each(|b| put(l, s, b))));
        }
    }
    out
}

fn numbers(tensor: &Tensor) -> ArrayD<f64> {
    with_array!(tensor, x => x.mapv(|v| v.to_f64()))
}

/// Every interleave, order of bytes and layout, of one type.
fn is_read<T: Copy>(
    code: u64,
    kind: Type,
    values: fn(usize) -> T,
    big: fn(T) -> Vec<u8>,
    exact: fn(T) -> f64,
) {
    let (lines, samples, bands) = (3, 5, 4);
    let x = Array3::from_shape_fn((lines, samples, bands), |(l, s, b)| values((l * 5 + s) * 4 + b));
    let want = x.mapv(exact);
    let swapped = |v: T| big(v).into_iter().rev().collect::<Vec<u8>>();
    for interleave in [Interleave::Bsq, Interleave::Bil, Interleave::Bip] {
        for big_endian in [false, true] {
            let data = if big_endian {
                stored(&x, interleave, big)
            } else {
                stored(&x, interleave, swapped)
            };
            let order = u8::from(big_endian);
            let name = interleave.name();
            let text = format!(
                "ENVI\nlines = {lines}\nsamples = {samples}\nbands = {bands}\ndata type = {code}\n\
                 interleave = {name}\nbyte order = {order}\n"
            );
            let header = Header::parse(&text).unwrap();
            assert_eq!(header.range(data.len() as u64), Ok(0..data.len()));
            let (nhwc, note) = cube::read(&header, &data, Layout::Nhwc).unwrap();
            let said = format!("{code}, {name}, {order}");
            assert_eq!((nhwc.kind(), note.is_some()), (kind, matches!(code, 14 | 15)), "{said}");
            assert_eq!(numbers(&nhwc), want.clone().into_dyn(), "{said}");
            let (nchw, _) = cube::read(&header, &data, Layout::Nchw).unwrap();
            assert_eq!(numbers(&nchw), want.clone().permuted_axes([2, 0, 1]).into_dyn(), "{said}");
            // And back, little-endian.
            if code == 14 || code == 15 {
                continue;
            }
            for (tensor, layout) in [(nhwc, Layout::Nhwc), (nchw, Layout::Nchw)] {
                let (mut data, mut text) = (Vec::new(), Vec::new());
                let files = (&mut data, &mut text);
                write(tensor, layout, interleave, &Keys::default(), files).unwrap();
                assert_eq!(data, stored(&x, interleave, swapped), "{said} {layout}");
                let again = Header::parse(&String::from_utf8(text).unwrap()).unwrap();
                assert_eq!((again.lines, again.samples, again.bands), (lines, samples, bands));
                assert_eq!((again.kind, again.interleave), (header.kind, interleave));
            }
        }
    }
}

#[test]
fn every_type_order_and_interleave() {
    let signed = |k: usize| k as i64 * 97 - 2000;
    is_read(1, Type::U8, |k| k as u8, |v| v.to_be_bytes().into(), f64::from);
    is_read(2, Type::I16, |k| k as i16 * 500 - 9000, |v| v.to_be_bytes().into(), f64::from);
    is_read(3, Type::I32, |k| k as i32 * 70_001 - 2_000_000, |v| v.to_be_bytes().into(), f64::from);
    is_read(4, Type::F32, |k| k as f32 / 3.0 - 9.0, |v| v.to_be_bytes().into(), f64::from);
    is_read(5, Type::F64, |k| k as f64 / 3.0 - 9.0, |v| v.to_be_bytes().into(), |v| v);
    is_read(12, Type::U16, |k| k as u16 * 1000, |v| v.to_be_bytes().into(), f64::from);
    is_read(13, Type::U32, |k| k as u32 * 70_000_001, |v| v.to_be_bytes().into(), f64::from);
    is_read(14, Type::F64, signed, |v| v.to_be_bytes().into(), |v| v as f64);
    is_read(15, Type::F64, |k| k as u64 * 9, |v| v.to_be_bytes().into(), |v| v as f64);
}

#[test]
fn types_without_a_number_are_refused() {
    for tensor in [
        Tensor::I8(ArrayD::zeros(vec![1, 1, 1])),
        Tensor::F16(ArrayD::from_elem(vec![1, 1, 1], channelwise::f16::ZERO)),
        Tensor::F32(ArrayD::zeros(vec![1, 1])),
    ] {
        let (mut data, mut text) = (Vec::new(), Vec::new());
        let files = (&mut data, &mut text);
        write(tensor, Layout::Nhwc, Interleave::Bip, &Keys::default(), files).unwrap_err();
        assert!(data.is_empty() && text.is_empty());
    }
}
