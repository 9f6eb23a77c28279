//! Answers of TensorFlow, Keras, PyTorch, JAX, SciPy and OpenCV, written by those tools in f64 (u8
//! for OpenCV's bytes): the reference and every engine must give them, through the options and
//! through the presets named after the tools. So must the reference give the gradients of
//! TensorFlow and PyTorch.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::common::{F16, F32, Outcome, Tally, U8, U16, compare, run_dirty, to_nchw};
use channelwise::ndarray::{Array4, ArrayD, Ix4};
use channelwise::reference::Expected;
use channelwise::{
    Activation, Border, Conv2d, Element, ElementType, Kernel, Layout, Padding, Problem, Shape, f16,
    reference,
};
use ndarray_npy::{ReadableElement, read_npy};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    format: u32,
    cases: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    source: String,
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Pad,
    border: Outside,
    flip: bool,
    activation: String,
    dtype: String,
    tolerance: Tolerance,
    input_shape: [usize; 4],
    output_shape: [usize; 4],
    files: Files,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Pad {
    Named(String),
    Sides([usize; 4]),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Outside {
    Named(String),
    Constant { constant: f32 },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Tolerance {
    /// Of an f32 case.
    Float { rtol: f64, atol: f64 },
    /// Of a u8 case: levels.
    Levels { abs: f64 },
    /// Of a gradient case: of its forward part, and of each gradient.
    Gradient { output: Both, grad_input: Both, grad_kernel: Both, grad_bias: Both },
}

#[derive(Clone, Copy, Deserialize)]
struct Both {
    rtol: f64,
    atol: f64,
}

#[derive(Deserialize)]
struct Files {
    input: String,
    kernel: String,
    bias: Option<String>,
    output: String,
    grad_output: Option<String>,
    grad_input: Option<String>,
    grad_kernel: Option<String>,
    grad_bias: Option<String>,
}

/// Gradients that a tool gave for a convolution, all in memory order.
struct GradientCase {
    conv: Conv2d,
    input_shape: [usize; 4],
    x: Vec<f32>,
    /// For the output.
    dy: Vec<f32>,
    /// For the input: the answers start here.
    dx: Vec<f64>,
    /// For the kernel, `[height, width, filters]`.
    dk: Vec<f64>,
    /// For the bias, where the convolution has one.
    db: Option<Vec<f64>>,
    /// Of `dx`, `dk` and `db`.
    tolerances: [Both; 3],
}

/// Where the vectors lie: beside this test, or where a machine that did not compile it says.
fn folder() -> PathBuf {
    let told = std::env::var_os("CHANNELWISE_GOLDEN").map(PathBuf::from);
    told.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/golden").into())
}

fn manifest() -> Vec<Entry> {
    let text = std::fs::read_to_string(folder().join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest.format, 1);
    manifest.cases
}

fn read<T: ReadableElement>(file: &str) -> ArrayD<T> {
    read_npy(folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.source)
    }
}

impl Entry {
    fn kernel(&self) -> Kernel {
        Kernel::from_array4(&read::<f32>(&self.files.kernel).into_dimensionality::<Ix4>().unwrap())
            .unwrap()
    }

    fn padding(&self) -> Padding {
        match &self.padding {
            Pad::Named(name) => match name.as_str() {
                "valid" => Padding::Valid,
                "same" => Padding::Same,
                other => panic!("{self}: padding {other}"),
            },
            &Pad::Sides([top, bottom, left, right]) => {
                Padding::Explicit { top, bottom, left, right }
            }
        }
    }

    fn border(&self) -> Border {
        match &self.border {
            Outside::Constant { constant } => Border::Constant((*constant).into()),
            Outside::Named(name) => match name.as_str() {
                "zero" => Border::ZERO,
                "replicate" => Border::Replicate,
                "reflect" => Border::Reflect,
                "reflect101" => Border::Reflect101,
                "wrap" => Border::Wrap,
                other => panic!("{self}: border {other}"),
            },
        }
    }

    fn activation(&self) -> Activation {
        match self.activation.as_str() {
            "none" => Activation::None,
            "relu" => Activation::Relu,
            other => panic!("{self}: activation {other}"),
        }
    }

    fn dtype(&self) -> ElementType {
        match self.dtype.as_str() {
            "f32" => F32,
            "u8" => U8,
            "u16" => U16,
            "f16" => F16,
            other => panic!("{self}: dtype {other}"),
        }
    }

    /// Stride, dilation, bias and activation, which no preset sets.
    fn rest(&self, conv: Conv2d) -> Conv2d {
        let bias =
            self.files.bias.as_ref().map(|file| read::<f32>(file).into_raw_vec_and_offset().0);
        conv.stride(self.stride[0], self.stride[1])
            .dilation(self.dilation[0], self.dilation[1])
            .bias(bias.unwrap_or_default())
            .activation(self.activation())
    }

    /// Every option said.
    fn explicit(&self) -> Conv2d {
        let conv = Conv2d::new(self.kernel()).padding(self.padding()).border(self.border());
        self.rest(if self.flip { conv.flip() } else { conv })
    }

    /// Through the preset of the tool that gave the answer, with only what differs from its
    /// defaults said. The name tells whether nothing had to be.
    fn preset(&self) -> Option<(&'static str, bool, Conv2d)> {
        let kernel = self.kernel();
        let tool = self.source.split([' ', ',']).next().unwrap_or_default();
        let (name, mut conv) = match tool {
            "keras" | "tensorflow-cpu" => ("like_tensorflow", Conv2d::like_tensorflow(kernel)),
            "torch" => ("like_pytorch", Conv2d::like_pytorch(kernel)),
            "opencv" => ("like_opencv", Conv2d::like_opencv(kernel)),
            "scipy" if self.flip => ("like_scipy_convolve", Conv2d::like_scipy_convolve(kernel)),
            "scipy" => ("like_scipy_correlate", Conv2d::like_scipy_correlate(kernel)),
            "jax" => return None,
            other => panic!("{self}: no preset is known for {other}"),
        };
        let (padding, border) = match name {
            // Their default is no padding.
            "like_tensorflow" | "like_pytorch" => (Padding::Valid, Border::ZERO),
            "like_opencv" => (Padding::Same, Border::Reflect101),
            _ => (Padding::Same, Border::Reflect),
        };
        let mut plain = true;
        let wanted = match (name, self.padding()) {
            // For odd kernels PyTorch's "same" is k/2 on all sides.
            ("like_pytorch", Padding::Same) => Padding::all(self.kernel().height() / 2),
            ("like_opencv" | "like_scipy_correlate" | "like_scipy_convolve", _) => Padding::Same,
            (_, given) => given,
        };
        if wanted != padding {
            conv = conv.padding(wanted);
            plain = false;
        }
        if self.border() != border {
            conv = conv.border(self.border());
            plain = false;
        }
        Some((name, plain, self.rest(conv)))
    }

    /// Whether `got` is the tool's answer `want`.
    fn accepts(&self, got: f64, want: f64) -> bool {
        match self.tolerance {
            Tolerance::Float { rtol, atol } => Both { rtol, atol }.accepts(got, want),
            Tolerance::Gradient { output, .. } => output.accepts(got, want),
            Tolerance::Levels { abs } => (got - want).abs() <= abs,
        }
    }

    /// The tool's answer.
    fn output(&self) -> Vec<f64> {
        match self.dtype() {
            U8 => read::<u8>(&self.files.output).mapv(f64::from),
            U16 => read::<u16>(&self.files.output).mapv(f64::from),
            _ => read::<f64>(&self.files.output),
        }
        .into_dimensionality::<Ix4>()
        .inspect(|a: &Array4<f64>| assert_eq!(a.shape(), self.output_shape))
        .unwrap()
        .into_raw_vec_and_offset()
        .0
    }

    /// The input, which files hold as integers or as f32.
    fn input<T: Element>(&self) -> Vec<T> {
        fn of<F: ReadableElement, T>(case: &Entry, to: impl Fn(F) -> T) -> Vec<T> {
            let input = read::<F>(&case.files.input);
            assert_eq!(input.shape(), case.input_shape);
            input.into_raw_vec_and_offset().0.into_iter().map(to).collect()
        }
        match self.dtype() {
            U8 => of(self, |x: u8| T::from_f32(f32::from(x))),
            U16 => of(self, |x: u16| T::from_f32(f32::from(x))),
            _ => of(self, |x: f32| T::from_f32(x)),
        }
    }

    /// What the reference gives: exactly, and as an engine would store it.
    fn by_reference<T: Element>(&self, problem: &Problem) -> (Vec<f64>, Vec<f64>) {
        let all = reference::run(problem, &self.input::<T>());
        let stored = |e: &Expected| match T::TYPE {
            F32 => e.value,
            _ => f64::from(e.nearest::<T>().to_f32()),
        };
        all.iter().map(|e| (e.value, stored(e))).unzip()
    }

    /// The gradients, where the case has some.
    fn gradients(&self) -> Option<GradientCase> {
        let Tolerance::Gradient { grad_input, grad_kernel, grad_bias, .. } = self.tolerance else {
            return None;
        };
        fn flat<T: ReadableElement>(file: Option<&String>, shape: &[usize]) -> Option<Vec<T>> {
            let read = read::<T>(file?);
            assert_eq!(read.shape(), shape, "{file:?}");
            Some(read.into_raw_vec_and_offset().0)
        }
        let (files, kernel) = (&self.files, self.kernel());
        let filters = kernel.filters();
        let taps = [kernel.height(), kernel.width(), 1, filters];
        Some(GradientCase {
            conv: self.explicit(),
            input_shape: self.input_shape,
            x: self.input(),
            dy: flat(files.grad_output.as_ref(), &self.output_shape)?,
            dx: flat(files.grad_input.as_ref(), &self.input_shape)?,
            dk: flat(files.grad_kernel.as_ref(), &taps)?,
            db: flat(files.grad_bias.as_ref(), &[filters]),
            tolerances: [grad_input, grad_kernel, grad_bias],
        })
    }

    /// The first wrong elements of `got`, in the order of the tool's file.
    fn judge(&self, got: &[f64], want: &[f64]) -> Result<(), String> {
        judge(got, want, |got, want| self.accepts(got, want))
    }
}

impl Both {
    fn accepts(self, got: f64, want: f64) -> bool {
        (got - want).abs() <= self.atol + self.rtol * want.abs()
    }
}

impl GradientCase {
    /// Whether these are the tool's gradients.
    fn judge(&self, dx: &[f64], dk: &[f64], db: &[f64]) -> Result<(), String> {
        let all = [("input", dx, Some(&self.dx)), ("kernel", dk, Some(&self.dk))];
        let all = all.into_iter().chain([("bias", db, self.db.as_ref())]);
        for ((what, got, want), tolerance) in all.zip(self.tolerances) {
            if let Some(want) = want {
                judge(got, want, |got, want| tolerance.accepts(got, want))
                    .map_err(|text| format!("gradient of the {what}: {text}"))?;
            }
        }
        Ok(())
    }
}

/// The first of `got` that are not accepted for what the tool says.
fn judge(got: &[f64], want: &[f64], accepts: impl Fn(f64, f64) -> bool) -> Result<(), String> {
    let wrong: Vec<String> = got
        .iter()
        .zip(want)
        .enumerate()
        .filter(|(_, (got, want))| !accepts(**got, **want))
        .map(|(i, (got, want))| format!("element {i}: got {got}, the tool says {want}"))
        .collect();
    if got.len() == want.len() && wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} of {} wrong ({} wanted): {}",
        wrong.len(),
        got.len(),
        want.len(),
        wrong.into_iter().take(3).collect::<Vec<_>>().join("; ")
    ))
}

#[test]
fn reference_gives_the_tools_answers() {
    let cases = manifest();
    let mut failures = Vec::new();
    for case in &cases {
        let conv = case.explicit();
        let problem = Problem::new(&conv, case.input_shape, case.dtype(), case.dtype()).unwrap();
        if problem.output_shape().dims() != case.output_shape {
            failures.push(format!("{case}: shape {}", problem.output_shape()));
            continue;
        }
        let (values, stored) = match case.dtype() {
            U8 => case.by_reference::<u8>(&problem),
            U16 => case.by_reference::<u16>(&problem),
            F16 => case.by_reference::<f16>(&problem),
            _ => case.by_reference::<f32>(&problem),
        };
        let want = case.output();
        if let Err(text) = case.judge(&stored, &want) {
            failures.push(format!("{case}: {text}"));
        }
        // f64 against f64: far closer than any f32 engine has to be.
        let size = want.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
        let close = |(got, want): (&f64, &f64)| (got - want).abs() <= 1e-12 * size;
        if case.dtype() == F32 && !values.iter().zip(&want).all(close) {
            failures.push(format!("{case}: the reference is not exact"));
        }
    }
    crate::common::say(&format!("golden reference: {} cases", cases.len()));
    crate::common::refuse("reference", &failures);
    assert!(cases.len() >= 32, "only {} cases", cases.len());
}

#[test]
fn reference_gives_the_tools_gradients() {
    let mut told = Vec::new();
    for entry in manifest() {
        let Some(case) = entry.gradients() else { continue };
        let problem = Problem::new(&case.conv, case.input_shape, F32, F32).unwrap();
        let got = reference::backward(&problem, &case.x, &case.dy, problem.output_len());
        let values = |all: &[Expected]| all.iter().map(|e| e.value).collect::<Vec<_>>();
        let (dx, dk, db) = (values(&got.input), values(&got.kernel), values(&got.bias));
        case.judge(&dx, &dk, &db).unwrap_or_else(|text| panic!("{entry}: {text}"));
        // f64 against f64: far closer than any f32 engine has to be.
        let size = case.dk.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
        let exact = [Both { rtol: 1e-12, atol: 1e-12 * size }; 3];
        let case = GradientCase { tolerances: exact, ..case };
        case.judge(&dx, &dk, &db).unwrap_or_else(|text| panic!("{entry}: not exact: {text}"));
        // One wrong element of any is seen.
        let wrong = |all: &[f64]| [&[all[0] + 1e-3], &all[1..]].concat();
        assert!(case.judge(&wrong(&dx), &dk, &db).is_err());
        assert!(case.judge(&dx, &wrong(&dk), &db).is_err());
        assert_eq!(case.judge(&dx, &dk, &wrong(&db)).is_err(), case.db.is_some());
        // And rounded to f32 they lie within their allowances.
        let kept = |all: &[Expected]| all.iter().all(|e| e.accepts(e.value as f32));
        assert!(kept(&got.input) && kept(&got.kernel) && kept(&got.bias));
        told.push(entry.name.clone());
    }
    assert_eq!(told, ["grad_torch_valid", "grad_tf_same_s2_f2"]);
}

#[test]
fn engines_give_the_tools_gradients() {
    let mut judged = 0;
    for entry in manifest() {
        let Some(case) = entry.gradients() else { continue };
        let shape = |[a, b, c, d]: [usize; 4]| (a, b, c, d);
        let x = Array4::from_shape_vec(shape(case.input_shape), case.x.clone()).unwrap();
        let dy = Array4::from_shape_vec(shape(entry.output_shape), case.dy.clone()).unwrap();
        for backend in crate::common::main_engines() {
            let got = backend.engine.backward(&case.conv, &x, &dy).unwrap();
            let wide = |all: &mut dyn Iterator<Item = &f32>| -> Vec<f64> {
                all.map(|v| f64::from(*v)).collect()
            };
            let (dx, weights) = (wide(&mut got.input.iter()), &got.weights);
            let (dk, db) = (wide(&mut weights.kernel.iter()), wide(&mut weights.bias.iter()));
            case.judge(&dx, &dk, &db)
                .unwrap_or_else(|text| panic!("{} on {entry}: {text}", backend.name));
            judged += 1;
        }
    }
    assert_eq!(judged, 2 * crate::common::main_engines().count());
}

/// One case with these options on all engines, against the tool and against the reference.
fn engines_give<T: Element>(tally: &mut Tally, case: &Entry, conv: &Conv2d) {
    let layout =
        if format!("{conv:?}").contains("layout: Nchw") { Layout::Nchw } else { Layout::Nhwc };
    let mut input: Vec<T> = case.input();
    let mut want = case.output();
    if layout == Layout::Nchw {
        input = to_nchw(&input, case.input_shape);
        want = to_nchw(&want, case.output_shape);
    }
    let shape = Shape::from(crate::common::dims(case.input_shape, layout));
    let problem = Problem::new(conv, shape, T::TYPE, T::TYPE).unwrap();
    assert_eq!(
        problem.output_shape().dims(),
        crate::common::dims(case.output_shape, layout),
        "{case}"
    );
    let expected = reference::run(&problem, &input);
    tally.each(case, |engine| match run_dirty::<T, T>(engine, conv, shape, &input) {
        Outcome::Done(got) => {
            let values: Vec<f64> = got.iter().map(|x| f64::from(x.to_f32())).collect();
            let told = case.judge(&values, &want);
            match told.and(compare(&got, &expected, problem.output_shape())) {
                Ok(()) => Outcome::Done(got),
                Err(text) => Outcome::Failed(text),
            }
        }
        other => other,
    });
}

fn run(tally: &mut Tally, case: &Entry, conv: &Conv2d) {
    match case.dtype() {
        U8 => engines_give::<u8>(tally, case, conv),
        U16 => engines_give::<u16>(tally, case, conv),
        F16 => engines_give::<f16>(tally, case, conv),
        _ => engines_give::<f32>(tally, case, conv),
    }
}

#[test]
fn every_engine_through_the_options() {
    let mut tally = Tally::new("golden by options");
    for case in manifest() {
        run(&mut tally, &case, &case.explicit());
    }
    tally.finish(20);
}

#[test]
fn every_engine_through_the_presets() {
    let mut tally = Tally::new("golden by presets");
    let (mut used, mut plain) = (BTreeSet::new(), BTreeSet::new());
    for case in manifest() {
        if let Some((name, untouched, conv)) = case.preset() {
            run(&mut tally, &case, &conv);
            used.insert(name);
            if untouched {
                plain.insert(name);
            }
        }
    }
    tally.finish(20);
    let all = [
        "like_opencv",
        "like_pytorch",
        "like_scipy_convolve",
        "like_scipy_correlate",
        "like_tensorflow",
    ];
    assert_eq!(used, BTreeSet::from(all));
    // SciPy's only `convolve` case has a border of its own.
    assert_eq!(plain.len(), all.len() - 1, "without any option added: {plain:?}");
}

#[test]
fn a_wrong_answer_is_seen() {
    let cases = manifest();
    for name in ["scipy_reflect", "cv_u8_random5"] {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let want = case.output();
        assert_eq!(case.judge(&want, &want), Ok(()));
        let mut wrong = want.clone();
        wrong[7] += if case.dtype() == U8 { 2.0 } else { 1e-4 };
        let text = case.judge(&wrong, &want).unwrap_err();
        assert!(text.contains("1 of") && text.contains("element 7"), "{text}");
        assert!(case.judge(&want[1..], &want).is_err());
    }
    // The other tool's preset is not the same answer.
    let even = cases.iter().find(|case| case.name == "scipy_convolve_4x4").unwrap();
    let conv = Conv2d::like_scipy_correlate(even.kernel()).border(even.border());
    let problem = Problem::new(&conv, even.input_shape, F32, F32).unwrap();
    let values: Vec<f64> =
        reference::run(&problem, &even.input::<f32>()).iter().map(|e| e.value).collect();
    assert!(even.judge(&values, &even.output()).is_err());
}
