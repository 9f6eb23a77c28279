//! The comparison that all of this rests on sees one wrong element.

use channelwise::reference::{self, Expected};
use channelwise::{Conv2d, Element, ElementType, Engine, Shape};

use crate::common::{Case, F32, Rng, U8, compare, engines, refuse, same_bits};

fn answer<U: Element>(to: ElementType) -> (Vec<U>, Vec<Expected>, Shape) {
    let case = Case::new(Conv2d::new(Rng::new(15).kernel(3, 3, 1)), [1, 6, 7, 3]).types((F32, to));
    let problem = case.problem().unwrap();
    let input: Vec<f32> = case.input(&problem);
    let want = reference::run(&problem, &input);
    let got = want.iter().map(Expected::nearest).collect();
    (got, want, problem.output_shape())
}

#[test]
fn takes_the_right_answer() {
    let (got, want, shape) = answer::<f32>(F32);
    assert_eq!(compare(&got, &want, shape), Ok(()));
    let (got, want, shape) = answer::<u8>(U8);
    assert_eq!(compare(&got, &want, shape), Ok(()));
}

#[test]
fn refuses_one_wrong_float() {
    let (got, want, shape) = answer::<f32>(F32);
    // Twice the allowance, a NaN, an infinity, and what outputs are filled with.
    let at = got.len() - 5;
    let off = got[at] + 2.0 * want[at].allowance as f32;
    assert!((off - got[at]).abs() < 1e-5, "the bound is wide: {off} for {}", got[at]);
    for wrong in [off, f32::NAN, f32::NEG_INFINITY, 1.234_567e30, -got[at]] {
        let mut got = got.clone();
        got[at] = wrong;
        let text = compare(&got, &want, shape).unwrap_err();
        assert!(text.starts_with("1 of 126 elements are wrong"), "{text}");
        assert!(text.contains("at [0, 5, 5, 1]"), "{text}");
    }
}

#[test]
fn refuses_one_wrong_byte() {
    let (got, want, shape) = answer::<u8>(U8);
    for at in [0, 60, got.len() - 1] {
        let mut got = got.clone();
        // A byte that is wrong by one, away from ties.
        got[at] = if got[at] == 255 { 254 } else { got[at] + 1 };
        assert!(compare(&got, &want, shape).is_err(), "element {at}");
    }
}

#[test]
fn tells_three_and_counts_the_rest() {
    let (got, want, shape) = answer::<f32>(F32);
    let wrong: Vec<f32> = got.iter().map(|x| x + 1.0).collect();
    let text = compare(&wrong, &want, shape).unwrap_err();
    assert_eq!(text.lines().count(), 1 + 3 + 1, "{text}");
    assert!(text.ends_with("and 123 more"), "{text}");
    assert!(compare(&got[1..], &want, shape).is_err());
}

#[test]
#[should_panic(expected = "1 failures")]
fn fails_its_test() {
    refuse("a test", &["cpu: 1 of 9 elements are wrong".into()]);
}

/// An engine that leaves elements as they were would be seen, bytes too.
#[test]
fn dirt_is_never_right() {
    let case = Case::new(Conv2d::new(Rng::new(15).kernel(3, 3, 1)), [1, 6, 7, 3]);
    let problem = case.problem().unwrap();
    let input: Vec<f32> = case.input(&problem);
    let want = reference::run(&problem, &input);
    assert!(!want.iter().any(|e| e.accepts(f32::NAN) || e.accepts(1.234_567e30f32)));
    assert!(same_bits(&[170u8], &[85u8]).is_err());
}

/// Every engine there is takes part: none drops out in silence.
#[test]
fn all_engines_take_part() {
    let names: Vec<&str> = engines().iter().map(|b| b.name.as_str()).collect();
    for level in channelwise::Cpu::simd_levels() {
        assert!(names.contains(&format!("cpu {level} x1").as_str()), "{names:?}");
        assert!(names.contains(&format!("cpu {level} x2").as_str()), "{names:?}");
    }
    assert_eq!(names.contains(&"gpu direct"), Engine::gpu().is_ok(), "{names:?}");
}
