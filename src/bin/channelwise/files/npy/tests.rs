//! Files of every type, of other writers, and damaged ones.

use super::*;
use crate::files::{Type, with_array};
use channelwise::{Element, ElementType};

/// What NumPy aligns data to.
const ALIGNMENT: usize = 64;

/// A version 1 file.
fn file(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn message(bytes: &[u8]) -> String {
    match read(Path::new("x.npy"), bytes) {
        Err(Failure::Work(text)) => text,
        other => panic!("a failure of the work was expected, found {other:?}"),
    }
}

#[test]
fn orders_of_bytes_and_axes() {
    let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    for (descr, data) in [("<f4", &little), (">f4", &big)] {
        for (order, at) in [("False", [0, 1]), ("True", [1, 0])] {
            let bytes = file(descr, order, "(2, 3)", data);
            let Ok((Tensor::F32(x), None)) = read(Path::new("x.npy"), &bytes) else {
                panic!("{descr} {order}");
            };
            assert_eq!(x.shape(), [2, 3]);
            assert_eq!(x[&at[..]], 2.0, "{descr} {order}");
        }
    }
}

/// As NumPy reads them, whoever wrote them.
#[test]
fn headers_of_other_writers() {
    let data = [1.0f32, -2.0].map(f32::to_ne_bytes).concat();
    for (descr, shape) in [("=f4", "(2,)"), ("f4", "(2L,)"), ("=f4", "( 1L , 2 )")] {
        let bytes = file(descr, "False", shape, &data);
        let Ok((Tensor::F32(x), None)) = read(Path::new("x.npy"), &bytes) else {
            panic!("{descr} {shape}");
        };
        assert_eq!(x.as_slice(), Some(&[1.0, -2.0][..]));
    }
    // No newline at the end, and no padding.
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
    let bytes = [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &data];
    assert!(matches!(read(Path::new("x.npy"), &bytes.concat()), Ok((Tensor::F32(_), None))));
}

/// What `bytes` are read as: the numbers in f64, their type, and what is said.
fn found(bytes: &[u8]) -> (Vec<f64>, Type, Option<String>) {
    let (tensor, note) = read(Path::new("x.npy"), bytes).unwrap();
    let kind = tensor.kind();
    let numbers = with_array!(tensor, x => x.iter().map(|v| v.to_f64()).collect());
    (numbers, kind, note)
}

#[test]
fn types_stay_what_they_are() {
    let cases = [
        ("|u1", vec![7, 255], Type::U8, [7.0, 255.0]),
        ("|i1", vec![0xff, 3], Type::I8, [-1.0, 3.0]),
        (">u2", [7u16, 65_535].map(u16::to_be_bytes).concat(), Type::U16, [7.0, 65_535.0]),
        (">i2", [-7i16, 9].map(i16::to_be_bytes).concat(), Type::I16, [-7.0, 9.0]),
        ("<u4", [u32::MAX, 1].map(u32::to_le_bytes).concat(), Type::U32, [u32::MAX.into(), 1.0]),
        ("<i4", [i32::MIN, 1].map(i32::to_le_bytes).concat(), Type::I32, [i32::MIN.into(), 1.0]),
        ("<f2", vec![0, 0x3c, 0, 0xc0], Type::F16, [1.0, -2.0]),
        ("<f4", [0.1f32, -2.0].map(f32::to_le_bytes).concat(), Type::F32, [0.1f32.into(), -2.0]),
        (">f8", [0.1f64, -2.0].map(f64::to_be_bytes).concat(), Type::F64, [0.1, -2.0]),
    ];
    for (descr, data, kind, want) in cases {
        let bytes = file(descr, "False", "(2,)", &data);
        assert_eq!(found(&bytes), (want.to_vec(), kind, None), "{descr}");
        // And as they are written: this machine's order, whatever theirs was.
        let mut again = Vec::new();
        write(&read(Path::new("x.npy"), &bytes).unwrap().0, &mut again).unwrap();
        assert_eq!(found(&again), (want.to_vec(), kind, None), "{descr}");
        assert_eq!(again.len() % ALIGNMENT, 2 * ElementType::from(kind).bytes(), "{descr}");
        let header = String::from_utf8_lossy(&again[10..]).into_owned();
        let order = if descr.starts_with('|') { '|' } else { '<' };
        assert!(header.starts_with(&format!("{{'descr': '{order}{}'", &descr[1..])), "{header}");
        assert!(header.contains("'shape': (2,), }"), "{header}");
    }
}

#[test]
fn wide_integers_become_floats_and_truth_bytes() {
    let (largest, two) = (9_007_199_254_740_993i64, [1.0, 0.0]);
    let cases = [
        (
            ">i8",
            [7i64, -2].map(i64::to_be_bytes).concat(),
            [7.0, -2.0],
            "int64 (>i8) elements are taken as float64",
        ),
        (
            "<i8",
            [largest, 1].map(i64::to_le_bytes).concat(),
            [largest as f64, 1.0],
            "rounded to float64",
        ),
        (
            "<i8",
            [i64::MIN, i64::MAX].map(i64::to_le_bytes).concat(),
            [i64::MIN as f64, i64::MAX as f64],
            "rounded to",
        ),
        (
            "<u8",
            [u64::MAX, 1].map(u64::to_le_bytes).concat(),
            [u64::MAX as f64, 1.0],
            "uint64 (<u8) elements are rounded to",
        ),
        (
            "<u8",
            [1u64 << 63, 1].map(u64::to_le_bytes).concat(),
            [(1u64 << 63) as f64, 1.0],
            "taken as",
        ),
        ("|b1", vec![1, 0], two, "bool (|b1) elements are taken as bytes 0 and 1"),
        ("?", vec![1, 0], two, "bool"),
    ];
    for (descr, data, want, said) in cases {
        let bytes = file(descr, "False", "(2,)", &data);
        let (numbers, kind, note) = found(&bytes);
        let expected = if said.contains("bool") { Type::U8 } else { Type::F64 };
        assert_eq!((&numbers[..], kind), (&want[..], expected), "{descr}");
        assert!(note.as_ref().is_some_and(|note| note.contains(said)), "{descr}: {note:?}");
    }
    let broken = file("|b1", "False", "(1,)", &[2]);
    assert!(matches!(read(Path::new("x.npy"), &broken), Err(Failure::Work(_))));
}

#[test]
fn weights_keep_their_digits() {
    let path = Path::new("k.npy");
    let cases = [
        ("<f8", [0.1f64, -2.0].map(f64::to_le_bytes).concat(), [0.1, -2.0], [false, true]),
        ("<f8", [0.5f64, -2.0].map(f64::to_le_bytes).concat(), [0.5, -2.0], [false; 2]),
        ("<f4", [0.1f32, -2.0].map(f32::to_le_bytes).concat(), [0.1f32.into(), -2.0], [false; 2]),
        (
            "<i4",
            [16_777_217i32, 1].map(i32::to_le_bytes).concat(),
            [16_777_217.0, 1.0],
            [false, true],
        ),
        ("<u4", [1u32 << 31, 1].map(u32::to_le_bytes).concat(), [2_147_483_648.0, 1.0], [false; 2]),
        (
            "<i8",
            [i64::MAX, 1].map(i64::to_le_bytes).concat(),
            [i64::MAX as f64, 1.0],
            [true, false],
        ),
        ("<u2", vec![1, 2, 0, 0], [513.0, 0.0], [false; 2]),
        ("<f2", vec![0, 0x3c, 0, 0], [1.0, 0.0], [false; 2]),
        ("|b1", vec![0, 1], [0.0, 1.0], [false; 2]),
    ];
    for (descr, data, want, rounded) in cases {
        let numbers = read_numbers(path, &file(descr, "False", "(2,)", &data)).unwrap();
        assert_eq!(numbers.values.as_slice(), Some(&want[..]), "{descr}");
        let said = [numbers.note.is_some(), numbers.as_f32().is_some()];
        assert_eq!(said, rounded, "{descr}");
    }
    let nan = [f64::NAN, 2.0].map(f64::to_be_bytes).concat();
    let numbers = read_numbers(path, &file(">f8", "False", "(2,)", &nan)).unwrap();
    assert!(numbers.values[0].is_nan() && numbers.as_f32().is_none());
}

#[test]
fn damaged_files_are_refused() {
    let whole = file("<f4", "False", "(2, 3)", &[0; 24]);
    for length in 0..whole.len() {
        message(&whole[..length]);
    }
    assert!(message(&whole[..whole.len() - 1]).contains("needs 24 bytes of data, 23 are there"));
    let long = [&whole[..], &[0]].concat();
    assert!(message(&long).contains("bytes follow the data"));
    for (bytes, part) in [
        (file("<c8", "False", "(1, 1)", &[0; 8]), "complex64 (<c8)"),
        (file("<f16", "False", "(1, 1)", &[0; 16]), "longdouble (<f16)"),
        (file("<U3", "False", "(1, 1)", &[0; 12]), "of type <U3"),
        (file("<f4", "False", "(4294967296, 4294967296, 4)", &[]), "cannot be counted"),
        (file("<f4", "False", "(0, 4294967296, 4294967296)", &[]), "cannot be counted"),
        (file("<f4", "False", "(99999999999999999999, 4)", &[]), "no type, order and shape"),
        (file("<f4", "False", "(1, 1), 'shape': (9, 9)", &[0; 4]), "no type, order and shape"),
        (file("<f4", "False", "(1000000000, 4)", &[]), "truncated"),
        (file("<f4", "False", &"(".repeat(9000), &[]), "no type, order and shape"),
        (file("<f4", "Perhaps", "(1, 1)", &[0; 4]), "no type, order and shape"),
        (file("<f4", "False", "(1, 1LL)", &[0; 4]), "no type, order and shape"),
    ] {
        let text = message(&bytes);
        assert!(text.contains(part), "{text}");
    }
}
