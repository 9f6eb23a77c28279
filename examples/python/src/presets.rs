//! The crate's kernels by name. Each is normalised unless it says otherwise.

use channelwise::Kernel;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::failure::refused;
use crate::given::{count, number, numbers, pair, several, shown};
use crate::kernel::{PyKernel, kernels_of};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

/// The input itself, 1x1.
///
/// >>> import channelwise
/// >>> channelwise.identity().shape
/// (1, 1)
#[pyfunction]
pub fn identity(py: Python<'_>) -> PyResult<PyKernel> {
    PyKernel::made("identity", PyTuple::empty(py), Ok(Kernel::identity()))
}

/// A Gaussian of size x size taps, normalised: `k = cv2.getGaussianKernel(size, sigma); k @ k.T` for odd sizes.
///
/// >>> import channelwise
/// >>> channelwise.gaussian(5, 1.2).shape
/// (5, 5)
#[pyfunction]
pub fn gaussian(size: Any<'_, '_>, sigma: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size, sigma])?;
    PyKernel::made(
        "gaussian",
        given,
        Kernel::gaussian(count("size", size)?, number("sigma", sigma)?),
    )
}

/// The Gaussian of `cv2.GaussianBlur(img, (size, size), 0)`: OpenCV's tables and its sigma of a size.
///
/// >>> import channelwise
/// >>> channelwise.gaussian_sized(3) == channelwise.binomial(3)
/// True
#[pyfunction]
pub fn gaussian_sized(size: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size])?;
    PyKernel::made("gaussian_sized", given, Kernel::gaussian_sized(count("size", size)?))
}

/// The Gaussian of `scipy.ndimage.gaussian_filter`, cut off at four sigma: one for both axes, or (rows, columns).
///
/// >>> import channelwise
/// >>> channelwise.gaussian_sigma(1.0).shape, channelwise.gaussian_sigma((1.0, 2.0)).shape
/// ((9, 9), (9, 17))
#[pyfunction]
pub fn gaussian_sigma(sigma: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(sigma.py(), [sigma])?;
    let kernel = match several(sigma).as_deref() {
        Some([rows, columns]) => {
            Kernel::gaussian_sigmas(number("sigma", rows)?, number("sigma", columns)?)
        }
        Some(_) => {
            let limit = "one number or (rows, columns) is needed";
            return Err(refused("sigma", shown(sigma), limit));
        }
        None => Kernel::gaussian_sigma(number("sigma", sigma)?),
    };
    PyKernel::made("gaussian_sigma", given, kernel)
}

/// A Gaussian of (height, width) taps with a sigma for rows and one for columns.
///
/// >>> import channelwise
/// >>> channelwise.gaussian_axes((5, 9), (1.0, 2.0)).shape
/// (5, 9)
#[pyfunction]
pub fn gaussian_axes(size: Any<'_, '_>, sigma: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size, sigma])?;
    let sides = pair("size", size)?;
    let sigmas = match several(sigma).as_deref() {
        Some([rows, columns]) => (number("sigma", rows)?, number("sigma", columns)?),
        _ => return Err(refused("sigma", shown(sigma), "(rows, columns) is needed")),
    };
    PyKernel::made("gaussian_axes", given, Kernel::gaussian_axes(sides, sigmas))
}

/// The mean over height x width pixels: `cv2.blur`, `scipy.ndimage.uniform_filter`.
///
/// >>> import channelwise, numpy
/// >>> numpy.asarray(channelwise.box_blur(1, 4))
/// array([[0.25, 0.25, 0.25, 0.25]])
#[pyfunction]
pub fn box_blur(height: Any<'_, '_>, width: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(height.py(), [height, width])?;
    let kernel = Kernel::box_blur(count("height", height)?, count("width", width)?);
    PyKernel::made("box_blur", given, kernel)
}

/// Pascal's row down times across: size 5 is the kernel of `cv2.pyrDown`.
///
/// >>> import channelwise, numpy
/// >>> (16 * numpy.asarray(channelwise.binomial(3))).astype(int)
/// array([[1, 2, 1],
///        [2, 4, 2],
///        [1, 2, 1]])
#[pyfunction]
pub fn binomial(size: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size])?;
    PyKernel::made("binomial", given, Kernel::binomial(count("size", size)?))
}

/// A kernel without an argument: its words and its weights.
macro_rules! fixed {
    ($($name:ident: $doc:literal, $weights:literal),* $(,)?) => {
        $(
            #[doc = concat!(
                $doc,
                "\n\n>>> import channelwise, numpy\n>>> numpy.asarray(channelwise.",
                stringify!($name),
                "()).astype(int)\n",
                $weights,
            )]
            #[pyfunction]
            pub fn $name(py: Python<'_>) -> PyResult<PyKernel> {
                PyKernel::made(stringify!($name), PyTuple::empty(py), Ok(Kernel::$name()))
            }
        )*
    };
}

fixed! {
    sobel_x: "Differences of columns: `cv2.Sobel(x, ddepth, 1, 0)`, `scipy.ndimage.sobel(x, 1)`. Its weights sum to 0.",
        "array([[-1,  0,  1],\n       [-2,  0,  2],\n       [-1,  0,  1]])",
    sobel_y: "Differences of rows: `cv2.Sobel(x, ddepth, 0, 1)`, `scipy.ndimage.sobel(x, 0)`. Its weights sum to 0.",
        "array([[-1, -2, -1],\n       [ 0,  0,  0],\n       [ 1,  2,  1]])",
    scharr_x: "Differences of columns: `cv2.Scharr(x, ddepth, 1, 0)`. Its weights sum to 0.",
        "array([[ -3,   0,   3],\n       [-10,   0,  10],\n       [ -3,   0,   3]])",
    scharr_y: "Differences of rows: `cv2.Scharr(x, ddepth, 0, 1)`. Its weights sum to 0.",
        "array([[ -3, -10,  -3],\n       [  0,   0,   0],\n       [  3,  10,   3]])",
    prewitt_x: "Differences of columns: `scipy.ndimage.prewitt(x, 1)`. Its weights sum to 0.",
        "array([[-1,  0,  1],\n       [-1,  0,  1],\n       [-1,  0,  1]])",
    prewitt_y: "Differences of rows: `scipy.ndimage.prewitt(x, 0)`. Its weights sum to 0.",
        "array([[-1, -1, -1],\n       [ 0,  0,  0],\n       [ 1,  1,  1]])",
    laplacian4: "The Laplacian over four neighbours: `cv2.Laplacian(x, ddepth)`, `scipy.ndimage.laplace(x)`.",
        "array([[ 0,  1,  0],\n       [ 1, -4,  1],\n       [ 0,  1,  0]])",
    laplacian8: "The Laplacian over eight neighbours.",
        "array([[ 1,  1,  1],\n       [ 1, -8,  1],\n       [ 1,  1,  1]])",
    sharpen: "The image less its Laplacian over four neighbours.",
        "array([[ 0, -1,  0],\n       [-1,  5, -1],\n       [ 0, -1,  0]])",
    emboss: "Light from the upper left.",
        "array([[-2, -1,  0],\n       [-1,  1,  1],\n       [ 0,  1,  2]])",
}

/// The Laplacian of a Gaussian, whose sum is 0: MATLAB's `fspecial('log', size, sigma)`.
///
/// >>> import channelwise, numpy
/// >>> abs(float(numpy.asarray(channelwise.log(9, 1.4)).sum())) < 1e-12
/// True
#[pyfunction]
pub fn log(size: Any<'_, '_>, sigma: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size, sigma])?;
    PyKernel::made("log", given, Kernel::log(count("size", size)?, number("sigma", sigma)?))
}

/// A wave under a Gaussian: `cv2.getGaborKernel((size, size), sigma, theta, wavelength, gamma, psi)`. Angles are in
/// radians, lengths in pixels.
///
/// >>> import channelwise, math
/// >>> bank = [channelwise.gabor(9, 2.0, n * math.pi / 4, 4.0, 0.5, 0.0) for n in range(4)]
/// >>> channelwise.stack(bank).shape
/// (9, 9, 4)
#[pyfunction]
pub fn gabor(
    size: Any<'_, '_>,
    sigma: Any<'_, '_>,
    theta: Any<'_, '_>,
    wavelength: Any<'_, '_>,
    gamma: Any<'_, '_>,
    psi: Any<'_, '_>,
) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size, sigma, theta, wavelength, gamma, psi])?;
    let kernel = Kernel::gabor(
        count("size", size)?,
        number("sigma", sigma)?,
        number("theta", theta)?,
        number("wavelength", wavelength)?,
        number("gamma", gamma)?,
        number("psi", psi)?,
    );
    PyKernel::made("gabor", given, kernel)
}

/// A line of length pixels: MATLAB's `fspecial('motion', length, angle)`. The angle is in degrees, counter-clockwise.
///
/// >>> import channelwise
/// >>> channelwise.motion(5, 90) == channelwise.box_blur(5, 1)
/// True
#[pyfunction]
pub fn motion(length: Any<'_, '_>, angle: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(length.py(), [length, angle])?;
    PyKernel::made(
        "motion",
        given,
        Kernel::motion(number("length", length)?, number("angle", angle)?),
    )
}

/// A disc of radius pixels: a lens out of focus.
///
/// >>> import channelwise
/// >>> channelwise.disk(5.0).shape
/// (11, 11)
#[pyfunction]
pub fn disk(radius: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(radius.py(), [radius])?;
    PyKernel::made("disk", given, Kernel::disk(number("radius", radius)?))
}

/// The image and amount times what a Gaussian takes away from it.
///
/// >>> import channelwise, numpy
/// >>> round(float(numpy.asarray(channelwise.unsharp(5, 1.0, 0.5)).sum()), 6)
/// 1.0
#[pyfunction]
pub fn unsharp(size: Any<'_, '_>, sigma: Any<'_, '_>, amount: Any<'_, '_>) -> PyResult<PyKernel> {
    let given = PyTuple::new(size.py(), [size, sigma, amount])?;
    let kernel =
        Kernel::unsharp(count("size", size)?, number("sigma", sigma)?, number("amount", amount)?);
    PyKernel::made("unsharp", given, kernel)
}

/// A column times a row: `cv2.sepFilter2D(x, -1, kernelX=row, kernelY=column)`.
///
/// >>> import channelwise
/// >>> channelwise.separable([1, 2, 1], [-1, 0, 1]) == channelwise.sobel_x()
/// True
#[pyfunction]
pub fn separable(column: Any<'_, '_>, row: Any<'_, '_>) -> PyResult<PyKernel> {
    let line = |name: &str, given: Any<'_, '_>| -> PyResult<Vec<f64>> {
        let (shape, numbers) = numbers(name, given)?;
        match shape.len() {
            1 => Ok(numbers),
            _ => Err(refused(name, shown(given), "a list of numbers is needed")),
        }
    };
    let (down, across) = (line("column", column)?, line("row", row)?);
    let py = column.py();
    let given = PyTuple::new(py, [PyList::new(py, &down)?, PyList::new(py, &across)?])?;
    PyKernel::made("separable", given, Kernel::separable(&down, &across))
}

/// The filters of all kernels, in order, as one kernel.
///
/// >>> import channelwise
/// >>> channelwise.stack([channelwise.sobel_x(), channelwise.sobel_y()]).shape
/// (3, 3, 2)
#[pyfunction]
pub fn stack(kernels: Any<'_, '_>) -> PyResult<PyKernel> {
    let all = kernels_of(kernels)?;
    let given = PyTuple::new(kernels.py(), [PyList::new(kernels.py(), &all)?])?;
    let all: Vec<Kernel> = all.iter().map(|kernel| kernel.get().kernel().clone()).collect();
    PyKernel::made("stack", given, Kernel::stack(&all))
}

/// The sum of kernels of one size, each times a number: differences of Gaussians, say.
///
/// >>> import channelwise
/// >>> blobs = channelwise.weighted_sum([1, -1], [channelwise.gaussian(15, s) for s in (1.4, 2.2)])
/// >>> blobs.rank
/// 2
#[pyfunction]
pub fn weighted_sum(weights: Any<'_, '_>, kernels: Any<'_, '_>) -> PyResult<PyKernel> {
    let py = kernels.py();
    let (_, numbers) = numbers("weights", weights)?;
    let all = kernels_of(kernels)?;
    if numbers.len() != all.len() {
        let limit = format!("one for each of the {} kernels is needed", all.len());
        return Err(refused("weights", shown(weights), &limit));
    }
    let (list, of) = (PyList::new(py, &numbers)?, PyList::new(py, &all)?);
    let given = PyTuple::new(py, [list, of])?;
    let terms: Vec<(f64, Kernel)> =
        numbers.into_iter().zip(all.iter().map(|kernel| kernel.get().kernel().clone())).collect();
    PyKernel::made("weighted_sum", given, Kernel::weighted_sum(&terms))
}
