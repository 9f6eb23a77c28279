use super::*;

fn refused(result: Result<Kernel>) -> String {
    result.expect_err("an error").to_string()
}

#[test]
fn weights_are_products_rounded_once() -> Result<()> {
    let (column, row) = ([0.1f32, -0.3, 1e-30], [7.0f32, 0.7, -1e-12, 0.0]);
    let kernel = Kernel::separable(&column, &row)?;
    assert_eq!((kernel.height(), kernel.width(), kernel.filters()), (3, 4, 1));
    for (i, c) in column.iter().enumerate() {
        for (j, r) in row.iter().enumerate() {
            let want = (f64::from(*c) * f64::from(*r)) as f32;
            assert_eq!(kernel.get(i, j, 0), Some(want), "{i}, {j}");
        }
    }
    // No -0 of a negative weight times 0.
    assert!(kernel.weights().iter().all(|w| *w != 0.0 || w.is_sign_positive()));
    Ok(())
}

#[test]
fn what_is_no_kernel_is_named() {
    let of = |column: &[f32], row: &[f32]| refused(Kernel::separable(column, row));
    assert_eq!(of(&[], &[1.0]), "column: [] is not allowed, at least 1 weight is needed");
    assert_eq!(of(&[1.0], &[]), "row: [] is not allowed, at least 1 weight is needed");
    assert_eq!(of(&[1.0, f32::NAN], &[1.0]), "column: NaN is not allowed, weights must be finite");
    assert_eq!(of(&[1.0], &[f32::INFINITY]), "row: inf is not allowed, weights must be finite");
    let beyond = "column * row: inf is not allowed, every product must be finite in f32";
    assert_eq!(of(&[1e30, 1.0], &[1e30]), beyond);
    let long = vec![1.0; (1 << 12) + 1];
    let many = "column * row: 4097 * 4097 is not allowed, at most 16777216 taps are possible";
    assert_eq!(of(&long, &long), many);
    assert!(Kernel::separable(&long, &[1.0]).is_ok());
}

#[test]
fn sums_are_weight_by_weight() -> Result<()> {
    let pair = Kernel::stack(&[Kernel::sobel_x(), Kernel::emboss()])?;
    let other = Kernel::stack(&[Kernel::sobel_y(), Kernel::laplacian8()])?;
    let sum = Kernel::weighted_sum(&[(2.0, pair.clone()), (-0.5, other.clone())])?;
    for (at, got) in sum.weights().iter().enumerate() {
        assert_eq!(*got, 2.0 * pair.weights()[at] - 0.5 * other.weights()[at], "{at}");
    }
    // The second has a part of which none is known.
    assert_eq!(sum.terms().counts(), [2, 0]);
    Ok(())
}

/// What cancels is as exact as anything else: f32 has one rounding of Gaussians that are nearly equal.
#[test]
fn a_difference_keeps_its_digits() -> Result<()> {
    let [narrow, wide] = [500.0, 800.0].map(|sigma| Kernel::gaussian(31, sigma));
    let dog = Kernel::weighted_sum(&[(1.0, narrow?), (-1.0, wide?)])?;
    let exact = |sigma: f64| {
        let bell = move |x: usize| (-0.5 * ((x as f64 - 15.0) / sigma).powi(2)).exp();
        let sum: f64 = (0..31).map(bell).sum();
        move |i: usize, j: usize| bell(i) / sum * bell(j) / sum
    };
    let (narrow, wide) = (exact(500.0), exact(800.0));
    for (at, got) in dog.weights().iter().enumerate() {
        let want = narrow(at / 31, at % 31) - wide(at / 31, at % 31);
        let off = (f64::from(*got) - want).abs();
        assert!(off <= 1e-7 * want.abs() + 1e-18, "{at}: {got} for {want}");
    }
    assert_eq!(dog.rank(), 2);
    Ok(())
}

#[test]
fn sums_of_kernels_that_do_not_fit_are_refused() {
    assert_eq!(
        refused(Kernel::weighted_sum(&[])),
        "kernels: [] is not allowed, at least 1 is needed"
    );
    let one = |by| [(by, Kernel::sobel_x())];
    let by = "factor of a kernel: NaN is not allowed, it must be finite";
    assert_eq!(refused(Kernel::weighted_sum(&one(f64::NAN))), by);
    let both = [(1.0, Kernel::sobel_x()), (1.0, Kernel::identity())];
    let sides = "kernel of a sum: expected shape [3, 3, 1], found [1, 1, 1]";
    assert_eq!(refused(Kernel::weighted_sum(&both)), sides);
}

/// What is done to a kernel is done to what it was made from, and is dropped with the weights.
#[test]
fn terms_follow_their_kernel() -> Result<()> {
    let kernel = Kernel::separable(&[1.0, 2.0, 4.0], &[1.0, 3.0, 0.5, 0.25])?;
    let dense = Kernel::new(3, 4, kernel.weights().to_vec())?;
    let holds = |kernel: &Kernel| {
        for f in 0..kernel.filters() {
            let terms = kernel.terms().of(f);
            for (at, w) in kernel.filter(f).enumerate() {
                let want = terms::weight(terms, at / kernel.width(), at % kernel.width());
                let off = (f64::from(w) - want).abs();
                assert!(terms.is_empty() || off <= 2e-7 * want.abs(), "{kernel:?}, {f}, {at}");
            }
        }
        kernel.terms().counts()
    };
    assert_eq!(holds(&kernel), [1]);
    assert_eq!(holds(&kernel.flipped()), [1]);
    assert_eq!(holds(&kernel.normalized()?), [1]);
    assert_eq!(holds(&kernel.flipped().normalized()?.flipped()), [1]);
    assert_eq!(
        holds(&Kernel::stack(&[kernel.clone(), dense.clone(), kernel.flipped()])?),
        [1, 0, 1]
    );
    let sum = Kernel::weighted_sum(&[(0.3, kernel.clone()), (1.5, kernel.flipped())])?;
    assert_eq!(holds(&sum.normalized()?.flipped()), [2]);
    let none: [usize; 0] = [];
    assert_eq!(holds(&dense), none);
    assert_eq!(holds(&dense.flipped().normalized()?), none);
    assert_eq!(holds(&Kernel::stack(&[dense.clone(), dense.clone()])?), none);
    Ok(())
}

#[test]
fn equal_weights_are_equal_kernels() -> Result<()> {
    let kernel = Kernel::gaussian(5, 1.0)?;
    let dense = Kernel::new(5, 5, kernel.weights().to_vec())?;
    assert_eq!(kernel, dense);
    // Whose plans are two.
    assert!(!kernel.same_bits(&dense) && kernel.same_bits(&kernel.clone()));
    let doubled = Kernel::weighted_sum(&[(2.0, kernel.clone())])?;
    assert_ne!(doubled, kernel);
    assert_eq!(kernel.to_string(), dense.to_string());
    assert_eq!(
        format!("{:?}", Kernel::sobel_x()).rsplit_once("], ").map(|s| s.1),
        Some("terms [1])")
    );
    Ok(())
}
