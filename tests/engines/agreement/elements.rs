//! Element types whose sums are made in f64, which the CPU does and a GPU refuses.

use channelwise::ndarray::{Array2, Array4, array};
use channelwise::{Activation, Algorithm, Border, Conv2d, Engine, Error, Kernel, Padding};

use super::*;
use crate::adjoint;
use crate::agreement::random::{random, random_separable};
use crate::common::{Case, F64, I32, Kind, Rng, Tally, U32, main_engines, times};

/// Types that go with a case that random chance made for f32 outputs, and for integers and halves.
const INTO_FLOATS: [(ElementType, ElementType); 6] =
    [(F64, F64), (I32, F64), (F64, F32), (U8, F64), (U32, F32), (F16, F64)];
const INTO_OTHERS: [(ElementType, ElementType); 8] =
    [(I32, I32), (U32, U8), (F64, I16), (I16, U32), (F64, F16), (F64, I32), (U8, I32), (U32, U32)];

fn types(rng: &mut Rng, to: ElementType) -> (ElementType, ElementType) {
    if to == F32 { *rng.pick(&INTO_FLOATS) } else { *rng.pick(&INTO_OTHERS) }
}

/// A case that has nothing to do with f32.
pub(crate) fn double(rng: &mut Rng, seed: u64) -> Case {
    let case = random(seed);
    let types = types(rng, case.to);
    case.types(types)
}

#[test]
fn sums_in_f64() {
    let mut tally = Tally::cpu_only("sums in f64").only(Kind::Cpu);
    let mut rng = Rng::new(21);
    for seed in 0..times(400) as u64 {
        tally.case(&double(&mut rng, seed));
    }
    for seed in 0..times(120) as u64 {
        let to = *rng.pick(&[F32, U8]);
        let types = types(&mut rng, to);
        tally.case(&adjoint::case(&mut rng, types, seed));
    }
    for types in INTO_FLOATS.into_iter().chain(INTO_OTHERS) {
        let conv = Conv2d::new(rng.kernel(5, 3, 2)).stride(1, 2);
        tally.case(&Case::new(conv, [1, 9, 13, 4]).types(types).non_finite());
    }
    tally.finish(0);
}

/// Two passes, too.
#[test]
fn sums_in_f64_of_two_passes() {
    let mut tally = Tally::cpu_only("sums in f64 of two passes");
    let mut rng = Rng::new(22);
    for seed in 0..times(150) as u64 {
        let mut case = random_separable(3000 + seed);
        let types = if rng.chance(2) { &INTO_FLOATS[..] } else { &INTO_OTHERS[..] };
        if rng.chance(3) {
            let bias = vec![0.3; case.conv.kernel().filters()];
            case.conv = case.conv.bias_f64(bias).activation(Activation::Abs);
        }
        tally.case(&case.types(*rng.pick(types)));
    }
    // Of several terms, which are taken where nothing is infinite: their bound is a wider one.
    let several = [Kernel::log(9, 1.4), Kernel::unsharp(9, 2.0, 1.0), Kernel::disk(5.0)];
    for kernel in several.map(Result::unwrap) {
        for types in [(F64, F64), (I32, F64), (I32, I32), (U8, F64)] {
            let conv = Conv2d::new(kernel.clone()).border(Border::Reflect).assume_finite();
            tally.case(&Case::new(conv, [1, 23, 31, 3]).types(types));
        }
    }
    assert_eq!(tally.covered_by(Kind::CpuSeparable), Some(times(150) + 12));
    tally.finish(0);
}

/// Weights, biases and constants keep the digits that f32 does not hold, in sums and in the reference.
#[test]
fn digits_are_kept() -> Result<(), Error> {
    let engine = Engine::cpu();
    let third = Kernel::from_f64(1, 2, 1, vec![1.0 / 3.0, 0.1])?;
    let conv = Conv2d::new(third).padding(Padding::Full).border(Border::Constant(0.7));
    let conv = conv.bias_f64([1e-9]);
    let y = engine.run(&conv, &array![[3.0f64, 7.0]])?;
    let of = |a: f64, b: f64| (1.0f64 / 3.0).mul_add(a, 1e-9) + 0.1 * b;
    for (got, want) in y.iter().zip([of(0.7, 3.0), of(3.0, 7.0), of(7.0, 0.7)]) {
        assert!((got - want).abs() < 1e-15, "{got} {want}");
    }
    // 2^24 + 1 is no f32, and 2^31 - 1 neither.
    let whole = array![[16_777_217i32, i32::MAX, i32::MIN, -16_777_217]];
    assert_eq!(engine.run(&Conv2d::new(Kernel::identity()), &whole)?, whole);
    let sums = Conv2d::new(Kernel::new(1, 2, vec![1.0, 1.0])?).padding(Padding::Valid);
    let y = engine.run_as::<_, f64, _>(&sums, &whole)?;
    assert_eq!(y, array![[2_164_260_864.0, -1.0, -2_164_260_865.0]]);
    // A Gaussian sums to 1 in f64, and in f32 it does not.
    let flat = Array2::from_elem((9, 9), 1.0f64);
    let blur = Conv2d::new(Kernel::gaussian(7, 1.3)?).border(Border::Reflect);
    let y = engine.run(&blur, &flat)?;
    assert!(y.iter().all(|y| (y - 1.0).abs() < 1e-15), "{y}");
    Ok(())
}

/// A chain has f64 between its stages where it begins or ends with it.
#[test]
fn chains_in_f64() -> Result<(), Error> {
    let engine = Engine::cpu();
    let tenth = || -> Result<_, Error> { Ok(Conv2d::new(Kernel::from_f64(1, 1, 1, vec![0.1])?)) };
    let chain = engine.chain::<f64, f64>(&[tenth()?, tenth()?], [1, 2])?;
    assert_eq!(chain.run(&array![[1.0, 3.0]])?, array![[0.1 * 0.1, 0.1 * (0.1 * 3.0)]]);
    Ok(())
}

/// What has no way is refused with its reason.
#[test]
fn refusals() -> Result<(), Error> {
    let conv = Conv2d::new(Kernel::sobel_x());
    let x = Array4::<f64>::zeros((1, 4, 5, 3));
    for backend in main_engines().filter(|backend| backend.kind.is_gpu()) {
        let error = backend.engine.run(&conv, &x).unwrap_err();
        assert!(error.to_string().contains("sums are made in f64"), "{error}");
    }
    let round = conv.clone().border(Border::Wrap).adjoint();
    for (algorithm, conv, why) in [
        (Algorithm::Separable, &round, "are made by direct"),
        (Algorithm::Fft, &conv, "transforms are of f32"),
        (Algorithm::Flat, &conv, "flat rows"),
    ] {
        let error = Engine::cpu().with_algorithm(algorithm).run(conv, &x).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = Engine::cpu().prepare_backward::<f64>(&conv, [1, 4, 5, 3]).unwrap_err();
    assert!(error.to_string().contains("gradients are made in f32"), "{error}");
    // Where an engine is chosen, it is the CPU.
    assert_eq!(Engine::auto().prepare::<i32, f64>(&conv, [1, 4, 5, 3])?.plan().engine(), "cpu");
    Ok(())
}
