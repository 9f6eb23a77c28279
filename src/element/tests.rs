use half::f16;

use super::*;

#[test]
fn u8_rounds_half_to_even_and_saturates() {
    let cases = [
        (0.5, 0),
        (1.5, 2),
        (2.5, 2),
        (254.5, 254),
        (255.5, 255),
        (-0.5, 0),
        (-7.0, 0),
        (300.0, 255),
        (f32::NAN, 0),
        (f32::INFINITY, 255),
        (f32::NEG_INFINITY, 0),
    ];
    for (sum, want) in cases {
        assert_eq!(u8::from_f32(sum), want, "{sum}");
    }
}

#[test]
fn u16_rounds_half_to_even_and_saturates() {
    let cases = [
        (0.5, 0),
        (40_001.5, 40_002),
        (65_534.5, 65_534),
        (65_535.5, 65_535),
        (-0.5, 0),
        (70_000.0, 65_535),
        (f32::NAN, 0),
        (f32::INFINITY, 65_535),
    ];
    for (sum, want) in cases {
        assert_eq!(u16::from_f32(sum), want, "{sum}");
    }
    assert!((0..=u16::MAX).all(|x| u16::from_f32(x.to_f32()) == x));
}

#[test]
fn f16_rounds_half_to_even_and_overflows() {
    let cases = [
        (2049.0, 2048.0),
        (2051.0, 2052.0),
        (65_519.0, 65_504.0),
        (65_520.0, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
        // The smallest number, and half of it.
        (2f32.powi(-24), 2f32.powi(-24)),
        (2f32.powi(-25), 0.0),
    ];
    let mut rows = vec![f16::ZERO; cases.len()];
    f16::narrow(&cases.map(|(sum, _)| sum), &mut rows);
    for ((sum, want), row) in cases.into_iter().zip(rows) {
        assert_eq!(<f16 as Element>::from_f32(sum).to_f32(), want, "{sum}");
        assert_eq!(row.to_f32(), want, "{sum} in a row");
    }
    assert!(<f16 as Element>::from_f32(f32::NAN).is_nan());
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let mut wide = vec![0.0; all.len()];
    f16::widen(&all, &mut wide);
    assert!(
        all.iter()
            .zip(wide)
            .all(|(x, wide)| x.to_f32().to_bits() == wide.to_bits() || x.is_nan() && wide.is_nan())
    );
}

#[test]
fn rows_convert_like_scalars() {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut wide = vec![f32::NAN; 256];
    u8::widen(&bytes, &mut wide);
    assert!(wide.iter().enumerate().all(|(i, v)| *v == i as f32));
    let mut back = vec![7u8; 256];
    u8::narrow(&wide, &mut back);
    assert_eq!(back, bytes);
}

/// Every value there and back, and what lies between and beyond, of sums in f32 and in f64.
#[test]
fn signed_integers_round_half_to_even_and_saturate() {
    let cases = [
        (0.5, 0, 0),
        (-0.5, 0, 0),
        (-1.5, -2, -2),
        (-2.5, -2, -2),
        (1.5, 2, 2),
        (126.5, 126, 126),
        (127.5, 127, 128),
        (-128.5, -128, -128),
        (-300.0, -128, -300),
        (32_766.5, 127, 32_766),
        (32_767.5, 127, 32_767),
        (-32_768.5, -128, -32_768),
        (1e30, 127, 32_767),
        (-1e30, -128, -32_768),
        (f32::NAN, 0, 0),
        (-f32::NAN, 0, 0),
        (f32::INFINITY, 127, 32_767),
        (f32::NEG_INFINITY, -128, -32_768),
    ];
    for (sum, byte, word) in cases {
        assert_eq!((i8::from_f32(sum), i16::from_f32(sum)), (byte, word), "{sum}");
        let sum = f64::from(sum);
        assert_eq!((i8::from_f64(sum), i16::from_f64(sum)), (byte, word), "{sum}");
    }
    // Just off a half, which f32 still tells.
    assert_eq!((i8::from_f32(-0.500_000_06), i8::from_f32(-0.499_999_97)), (-1, 0));
    assert!((i16::MIN..=i16::MAX).all(|x| i16::from_f32(x.to_f32()) == x));
    let all: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    let (mut wide, mut back) = ([f32::NAN; 256], [7i8; 256]);
    i8::widen(&all, &mut wide);
    i8::narrow(&wide, &mut back);
    assert_eq!(back[..], all[..]);
}

#[test]
fn long_integers_round_half_to_even_and_saturate() {
    for (sum, signed, unsigned) in [
        (0.5, 0, 0),
        (1.5, 2, 2),
        (-1.5, -2, 0),
        (2_147_483_646.5, 2_147_483_646, 2_147_483_646),
        (2_147_483_647.5, i32::MAX, 2_147_483_648),
        (4_294_967_294.5, i32::MAX, 4_294_967_294),
        (4_294_967_295.5, i32::MAX, u32::MAX),
        (-2_147_483_648.5, i32::MIN, 0),
        (-1e300, i32::MIN, 0),
        (f64::INFINITY, i32::MAX, u32::MAX),
        (f64::NAN, 0, 0),
    ] {
        assert_eq!((i32::from_f64(sum), u32::from_f64(sum)), (signed, unsigned), "{sum}");
    }
    for x in [0, 1, -1, 16_777_217, i32::MAX, i32::MIN] {
        assert_eq!(i32::from_f64(x.to_f64()), x);
    }
    assert_eq!(u32::from_f64(u32::MAX.to_f64()), u32::MAX);
    assert_eq!((i32::from_f32(2.5), u32::from_f32(-7.0)), (2, 0));
}

/// One rounding: what lies just beyond the middle of two halves, by less than f32 tells, is on its side.
#[test]
fn f64_becomes_f16_in_one_rounding() {
    let of = |sum: f64| <f16 as Element>::from_f64(sum).to_f64();
    let middle = 1.0 + 2f64.powi(-11);
    assert_eq!((of(middle), of(middle + 2f64.powi(-40))), (1.0, 1.0 + 2f64.powi(-10)));
    assert_eq!((of(-middle), of(-middle - 2f64.powi(-52))), (-1.0, -1.0 - 2f64.powi(-10)));
    assert_eq!(
        (of(65_519.999_999), of(65_520.0), of(-1e300)),
        (65_504.0, f64::INFINITY, f64::NEG_INFINITY)
    );
    assert_eq!((of(2f64.powi(-25)), of(2f64.powi(-25) * (1.0 + 1e-15))), (0.0, 2f64.powi(-24)));
    assert_eq!((of(1e-300), of(0.0)), (0.0, 0.0));
    assert!(of(f64::NAN).is_nan());
    assert!((0..=u16::MAX).map(f16::from_bits).all(|x| {
        <f16 as Element>::from_f64(x.to_f64()).to_bits() == x.to_bits() || x.is_nan()
    }));
}

#[test]
fn what_types_are() {
    for &element in ElementType::ALL {
        with_type!(element, T => {
            assert_eq!((T::TYPE, size_of::<T>()), (element, element.bytes()));
            let Some(whole) = element.integers() else { return };
            let ends = [*whole.start() as f64, *whole.end() as f64];
            assert_eq!(ends.map(|x| T::from_f64(2.0 * x).to_f64()), ends, "{element}");
        });
        let exact = element.bytes() < 4 || element == ElementType::F32;
        assert_eq!(element.sums_in_f64(), !exact, "{element}");
    }
}
