//! What computes: the CPU, a GPU, or for each problem the faster.

use std::sync::{Arc, Mutex, PoisonError};

use channelwise::{Algorithm, Conv2d, Cpu, Engine};
use numpy::PyUntypedArrayMethods;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::backward::{Gradients, backward};
use crate::call::{self, Ends, Spec};
use crate::elements::{element_named, element_of};
use crate::failure::{raised, refused};
use crate::filter::{Filter, filter, reshaped, run_each};
use crate::fork::{self, Once};
use crate::given::{Given, count, shown};
use crate::kernel::kernel_of;
use crate::memory::Lent;
use crate::options::Options;
use crate::prepared::Prepared;

/// What computes, for calls from any number of threads.
///
/// engine: "auto" (the CPU and a hardware GPU, for each problem the one that takes less time by the model), "cpu" or
/// "gpu" (the best adapter; `WGPU_ADAPTER_NAME` and `WGPU_BACKEND` choose another).
/// algorithm: "auto", or one that is forced: "direct", "separable", "fft", and on a GPU "flat" and "march".
/// threads: of the CPU; all that the process may use unless it is said. Engines of as many threads share them. With 1
/// each call computes on the thread that makes it.
///
/// It survives pickling and `fork`: a child process makes threads of its own. A GPU that was used before a fork cannot
/// be used after it.
///
/// >>> import channelwise, numpy
/// >>> engine = channelwise.Engine("cpu", threads=2)
/// >>> engine.filter2d(numpy.eye(3, dtype="uint8"), channelwise.box_blur(1, 3), border="zero", dtype="float32")[0, 0]
/// np.float32(0.33333334)
#[pyclass(frozen, name = "Engine", module = "channelwise")]
#[derive(Debug)]
pub struct PyEngine {
    kind: Kind,
    algorithm: Algorithm,
    threads: Option<usize>,
    made: Once<Engine>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Auto,
    Cpu,
    Gpu,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

/// One pool for each number of threads, of all engines.
static POOLS: Mutex<Vec<(usize, Arc<Once<Cpu>>)>> = Mutex::new(Vec::new());

fn cpu(threads: Option<usize>) -> PyResult<Cpu> {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok());
    let usual = || std::thread::available_parallelism().map_or(1, Into::into);
    let threads = threads.unwrap_or_else(|| asked.filter(|n| *n > 0).unwrap_or_else(usual));
    let pool = {
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        match pools.iter().find(|(n, _)| *n == threads) {
            Some((_, pool)) => pool.clone(),
            None => {
                let pool = Arc::new(Once::empty());
                pools.push((threads, pool.clone()));
                pool
            }
        }
    };
    let cpu = pool.get_or(|| Cpu::with_threads(threads)).map_err(raised)?;
    Ok((*cpu).clone())
}

impl PyEngine {
    pub fn get(&self, py: Python<'_>) -> PyResult<Arc<Engine>> {
        self.made.get_or(|| {
            let engine = match self.kind {
                Kind::Cpu => cpu(self.threads)?.into(),
                Kind::Auto if fork::gpu_is_gone() => cpu(self.threads)?.into(),
                Kind::Auto => {
                    let auto = py.detach(Engine::auto);
                    if auto.as_gpu().is_some() {
                        fork::with_gpu();
                    }
                    auto.with_cpu(cpu(self.threads)?)
                }
                Kind::Gpu if fork::gpu_is_gone() => {
                    let limit = "this process was forked from one that used a GPU, whose drivers do not \
                                 survive that: start processes by \"spawn\"";
                    return Err(pyo3::exceptions::PyRuntimeError::new_err(limit));
                }
                Kind::Gpu => {
                    fork::with_gpu();
                    py.detach(Engine::gpu).map_err(raised)?
                }
            };
            Ok(engine.with_algorithm(self.algorithm))
        })
    }

    /// Made ready for the shape and types of a specification.
    pub fn filter(&self, py: Python<'_>, spec: &Spec) -> PyResult<Box<dyn Filter>> {
        filter(py, &*self.get(py)?, &spec.conv, spec.shape, (spec.input, spec.output))
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (engine = "auto", *, algorithm = "auto", threads = None))]
    fn new(engine: &str, algorithm: &str, threads: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let kind = match engine {
            "auto" => Kind::Auto,
            "cpu" => Kind::Cpu,
            "gpu" => Kind::Gpu,
            other => return Err(refused("engine", other, "'auto', 'cpu' or 'gpu' is needed")),
        };
        let algorithm = match algorithm {
            "auto" => Algorithm::Auto,
            "direct" => Algorithm::Direct,
            "flat" => Algorithm::Flat,
            "march" => Algorithm::March,
            "separable" => Algorithm::Separable,
            "fft" => Algorithm::Fft,
            other => {
                let limit = "'auto', 'direct', 'flat', 'march', 'separable' or 'fft' is needed";
                return Err(refused("algorithm", other, limit));
            }
        };
        let threads = threads.map(|threads| count("threads", threads)).transpose()?;
        if threads == Some(0) {
            return Err(refused("threads", 0, "at least 1 is needed"));
        }
        Ok(Self { kind, algorithm, threads, made: Once::empty() })
    }

    /// Applies one kernel to every channel: `channelwise.filter2d` by this engine.
    #[pyo3(signature = (x, kernel, *, mask = None, dtype = None, out = None, **options))]
    fn filter2d<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        kernel: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
        dtype: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = Options::new(options)?;
        let (kernel, _) = kernel_of(kernel, options.like()?)?;
        let conv = options.conv(kernel)?;
        let conv =
            if mask.is_some() && conv.get_missing().is_none() { conv.normalized() } else { conv };
        let given = Given::new("x", x)?;
        let x = Lent::of("x", &given.array, conv.get_layout())?;
        let output = named(dtype, out, x.element)?;
        let spec = Spec::new(conv, given.array.shape(), (x.element, output))?;
        let filter = self.filter(x.array().py(), &spec)?;
        call::run(&*filter, &spec, given, x, Ends { mask, out })
    }

    /// Applies to every image of a batch a kernel of its own: `channelwise.filter2d_each` by this engine.
    #[pyo3(signature = (x, kernels, *, dtype = None, out = None, **options))]
    fn filter2d_each<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        kernels: &Bound<'py, PyAny>,
        dtype: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = Options::new(options)?;
        let like = options.like()?;
        let convs: Vec<Conv2d> = kernels
            .try_iter()
            .map_err(|_| refused("kernels", shown(kernels), "one for each image is needed"))?
            .map(|kernel| options.conv(kernel_of(&kernel?, like)?.0))
            .collect::<PyResult<_>>()?;
        let layout = options.layout()?;
        let given = Given::new("x", x)?;
        let x = Lent::of("x", &given.array, layout)?;
        let output = named(dtype, out, x.element)?;
        let made = run_each(&*self.get(x.array().py())?, &convs, &x, output)?;
        let axes = given.array.ndim();
        let dims: Vec<usize> = made.getattr("shape")?.extract()?;
        let shape = channelwise::Shape::from_dims(&dims).unwrap_or(x.shape());
        call::finish(given, reshaped(&made, shape, axes, layout)?, out)
    }

    /// Checks, plans and (on a GPU) compiles once, for many calls with arrays of one shape.
    ///
    /// shape: of the arrays, or one of them. input_dtype: theirs, float32 unless an array or this says otherwise.
    /// dtype: of the results, that of the arrays unless it is said. Other keywords are those of `channelwise.filter2d`.
    ///
    /// >>> import channelwise, numpy
    /// >>> blur = channelwise.Engine().prepare((48, 64, 3), channelwise.gaussian(5, 1.0), input_dtype="uint8")
    /// >>> frame = numpy.full((48, 64, 3), 7, "uint8")
    /// >>> bool((blur(frame) == frame).all())
    /// True
    #[pyo3(signature = (shape, kernel, *, input_dtype = None, dtype = None, **options))]
    fn prepare<'py>(
        slf: Bound<'py, Self>,
        shape: &Bound<'py, PyAny>,
        kernel: &Bound<'py, PyAny>,
        input_dtype: Option<&Bound<'py, PyAny>>,
        dtype: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Prepared> {
        let options = Options::new(options)?;
        let (kernel, _) = kernel_of(kernel, options.like()?)?;
        let (dims, there) = match shape.getattr_opt("shape")? {
            Some(dims) => (dims, shape.getattr_opt("dtype")?),
            None => (shape.clone(), None),
        };
        let dims = crate::given::several(&dims).ok_or_else(|| {
            refused("shape", shown(&dims), "a tuple of two to four sizes is needed")
        })?;
        let dims = dims.iter().map(|n| count("shape", n)).collect::<PyResult<Vec<_>>>()?;
        let input = match (input_dtype, there) {
            (Some(named), _) => element_any("input_dtype", named)?,
            (None, Some(there)) => element_any("input_dtype", &there)?,
            (None, None) => channelwise::ElementType::F32,
        };
        let output = dtype.map_or(Ok(input), |named| element_named("dtype", named))?;
        let spec = Spec::new(options.conv(kernel)?, &dims, (input, output))?;
        Prepared::new(slf, spec)
    }

    /// Gradients of a loss: `channelwise.backward` by this engine.
    #[pyo3(signature = (x, kernel, grad, **options))]
    fn backward<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        kernel: &Bound<'py, PyAny>,
        grad: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Gradients> {
        let options = Options::new(options)?;
        let like = options.like()?;
        let (kernel, axes) = kernel_of(kernel, like)?;
        let conv = options.conv(kernel)?;
        backward(&*self.get(x.py())?, &conv, x, grad, (axes, like))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<channelwise.Engine {}>", self.get(py)?))
    }

    fn __reduce__<'py>(
        slf: Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        let make = py.import("channelwise")?.getattr("_engine")?;
        let given = (this.kind.name(), this.algorithm.to_string(), this.threads);
        Ok((make, given.into_pyobject(py)?))
    }
}

/// The element type of results: as named, or that of the array they go into, or that of the input.
fn named(
    dtype: Option<&Bound<'_, PyAny>>,
    out: Option<&Bound<'_, PyAny>>,
    input: channelwise::ElementType,
) -> PyResult<channelwise::ElementType> {
    match (dtype, out) {
        (Some(dtype), _) => element_named("dtype", dtype),
        (None, Some(out)) => {
            let out = Given::new("out", out)?;
            element_named("out", &out.array.dtype())
        }
        (None, None) => Ok(input),
    }
}

/// The element type of inputs of this dtype, truth values too.
fn element_any(argument: &str, named: &Bound<'_, PyAny>) -> PyResult<channelwise::ElementType> {
    let dtype = numpy::PyArrayDescr::new(named.py(), named.clone())
        .map_err(|_| refused(argument, shown(named), "a dtype is needed"))?;
    element_of(argument, &dtype)
}
