use super::*;
use crate::{Conv2d, ElementType, Kernel, Layout, Padding};

fn problem(shape: [usize; 4], kernel: usize, layout: Layout) -> Problem {
    let conv = Conv2d::new(Kernel::box_blur(kernel, kernel).unwrap()).layout(layout);
    Problem::new(&conv, shape, ElementType::U8, ElementType::F32).unwrap()
}

/// Every unit is made by one step exactly, and no step is larger than asked for.
#[test]
fn steps_make_each_wanted_unit_once() {
    let mut state = 1u32;
    let mut below = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % n
    };
    for case in 0..400 {
        let whole = [1 + below(4), 1 + below(40), 1 + below(40)];
        let size = whole.map(|n| 1 + below(n));
        let units = Units { whole, size };
        let len = units.len();
        let all = case % 3 == 0;
        let wanted: Vec<bool> = (0..len).map(|_| all || below(4) > 0).collect();
        let step = Step { images: 1 + below(3), down: 1 + below(5), across: 1 + below(5) };
        let steps = units.steps(step, &wanted);
        let mut made = vec![0; len];
        for window in &steps {
            let limits = [step.images, step.down, step.across];
            for (axis, n) in window.size().into_iter().enumerate() {
                assert!(n > 0 && n <= limits[axis] * size[axis], "{window} of {units:?}");
            }
            for (index, made) in made.iter_mut().enumerate() {
                *made += usize::from(window.contains(&units.window(index)));
            }
        }
        for (index, (made, wanted)) in made.iter().zip(&wanted).enumerate() {
            assert_eq!(*made, usize::from(*wanted), "{index} of {units:?} by {step:?}: {steps:?}");
        }
        // And nothing else is.
        let places = |window: &Window| window.size().iter().product::<usize>();
        let of_units: usize =
            (0..len).filter(|i| wanted[*i]).map(|i| places(&units.window(i))).sum();
        assert_eq!(steps.iter().map(places).sum::<usize>(), of_units);
        // Shares are in order, and together all of it.
        let parts = 1 + below(9);
        let shares: Vec<_> = (0..parts).map(|n| units.share(n, parts)).collect();
        assert_eq!((shares[0].start, shares[parts - 1].end), (0, len));
        assert!(shares.windows(2).all(|two| two[0].end == two[1].start));
        assert!(shares.iter().all(|s| s.len().abs_diff(len / parts) <= 1));
    }
}

/// Units are bands of some megabytes, whatever the shape, or the chunks that are asked for.
#[test]
fn units_are_bands_or_chunks() {
    let size = |shape, chunks| Units::new(&problem(shape, 3, Layout::Nhwc), chunks).size;
    assert_eq!(size([1, 30_000, 20_000, 3], None), [1, 17, 20_000]);
    assert_eq!(size([1, 30_000, 20_000_000, 3], None), [1, 1, 349_525]);
    assert_eq!(size([1000, 64, 64, 3], None), [85, 64, 64]);
    assert_eq!(size([0, 64, 64, 3], None), [1, 64, 64]);
    assert_eq!(size([7, 900, 900, 3], Some([2, 512, 1024])), [2, 512, 900]);
}

/// What is held is within the budget; more room makes steps larger only as long as that is of use.
#[test]
fn steps_are_within_the_budget() {
    for (shape, kernel, chunks, layout) in [
        ([1, 30_000, 20_000, 3], 3, None, Layout::Nhwc),
        ([1, 30_000, 20_000, 3], 31, None, Layout::Nhwc),
        ([1, 30_000, 20_000, 3], 31, Some([1, 512, 512]), Layout::Nhwc),
        ([3, 40, 30_000, 20_000], 5, Some([1, 1024, 1024]), Layout::Nchw),
        ([100_000, 64, 64, 3], 5, None, Layout::Nhwc),
    ] {
        let problem = problem(shape, kernel, layout);
        let units = Units::new(&problem, chunks);
        let held = Held { at_once: 1, of_input: 0, of_output: 4, fixed: 1 << 20 };
        let read_at_once = chunks.map_or((1, 1), |c| (c[1], c[2]));
        let grain = (1, 1);
        let cutter = Cutter { problem: &problem, units: &units, grain, read_at_once, held };
        let one = Step { images: 1, down: 1, across: 1 };
        let least = cutter.bytes(&one);
        assert!(cutter.step(least - 1).is_err());
        let mut last = 0;
        for budget in [least, 2 * least, 1 << 28, 1 << 30, 1 << 40] {
            if budget < least {
                continue;
            }
            let step = cutter.step(budget).unwrap();
            let bytes = cutter.bytes(&step);
            assert!(bytes <= budget, "{step:?} takes {bytes} of {budget}");
            last = bytes;
        }
        assert!(last < 2 << 30, "{shape:?}: {last}");
    }
    // Chunks beside a narrow stripe are unpacked twice: as wide as there is room for.
    let wide = problem([1, 30_000, 60_000, 3], 3, Layout::Nhwc);
    let units = Units::new(&wide, Some([1, 512, 512]));
    let (grain, read_at_once) = ((1, 1), (512, 512));
    let held = Held { at_once: 1, ..Held::default() };
    let cutter = Cutter { problem: &wide, units: &units, grain, read_at_once, held };
    let step = cutter.step(1 << 30).unwrap();
    assert!(step.across >= 59, "{step:?}");
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap()).padding(Padding::Valid);
    let f32 = ElementType::F32;
    let small = Problem::new(&conv, [10, 10], f32, f32).unwrap();
    let units = Units::new(&small, None);
    let held = Held { at_once: 1, ..Held::default() };
    let (grain, read_at_once) = ((1, 1), (1, 1));
    let cutter = Cutter { problem: &small, units: &units, grain, read_at_once, held };
    assert_eq!(cutter.step(1 << 20).unwrap(), Step { images: 1, down: 1, across: 1 });
}
