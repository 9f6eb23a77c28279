//! `gaussian`: a size, a sigma or both, each for both axes or one for rows and one for columns.

use channelwise::Kernel;

use super::{Built, Given, built};

pub(super) fn gaussian(g: &Given<'_>) -> Built {
    let sizes = || g.axes(0, "a whole number, or two as in 5x9");
    let sigmas = || g.axes(1, "a number, or two as in 1.2x2.5");
    match (g.has(0), g.has(1)) {
        (true, true) => built(match (sizes()?, sigmas()?) {
            ((rows, columns), (down, across)) if rows == columns && down == across => {
                Kernel::gaussian(rows, down)
            }
            (sizes, sigmas) => Kernel::gaussian_axes(sizes, sigmas),
        }),
        (true, false) => match sizes()? {
            (rows, columns) if rows == columns => built(Kernel::gaussian_sized(rows)),
            (rows, columns) => Err(format!(
                "a size for each axis needs a sigma, as in gaussian:{rows}x{columns},1.2"
            )),
        },
        (false, true) => built(match sigmas()? {
            (down, across) if down == across => Kernel::gaussian_sigma(down),
            (down, across) => Kernel::gaussian_sigmas(down, across),
        }),
        (false, false) => {
            Err("it needs a size, a sigma or both, as in gaussian:5, gaussian:sigma=1.2 and \
                 gaussian:5,1.2"
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::presets::parse;

    #[test]
    fn axes_of_their_own() {
        let kernel = parse("gaussian:5x9,1.2x2.5").unwrap();
        assert_eq!((kernel.height(), kernel.width(), kernel.rank()), (5, 9, 1));
        let weights = kernel.weights_f64();
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        // By the formula, beside the middle.
        let (middle, below, right) = (weights[2 * 9 + 4], weights[3 * 9 + 4], weights[2 * 9 + 5]);
        let bell = |sigma: f64| (-0.5 / sigma / sigma).exp();
        assert!((below / middle - bell(1.2)).abs() < 1e-14);
        assert!((right / middle - bell(2.5)).abs() < 1e-14);
        let (one, other) = (parse("gaussian:5x9,1.5").unwrap(), parse("gaussian:9x5,1.5").unwrap());
        assert_eq!((one.height(), one.width()), (other.width(), other.height()));
        let kernel = parse("gaussian:sigma=1x2.5").unwrap();
        assert_eq!((kernel.height(), kernel.width()), (9, 21));
        assert_eq!(parse("gaussian:5,1x2").unwrap().width(), 5);
    }
}
