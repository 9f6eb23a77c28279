//! What the peers share: the cases as data, the check of an answer, and the timing.

use std::time::{Duration, Instant};

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub shape: [usize; 4],
    r#type: String,
    pub kernel: Kernel,
    padding: String,
    pub stride: usize,
    border: String,
}

#[derive(Deserialize)]
pub struct Kernel {
    pub height: usize,
    pub width: usize,
    weights: String,
    pub sigma: Option<f64>,
}

/// A case's numbers, worked out.
pub struct Problem {
    pub case: Case,
    /// `[N, H, W, C]`; bytes as whole numbers.
    pub x: Vec<f32>,
    pub weights: Vec<f32>,
    pub out: [usize; 2],
    /// Before and after the rows, before and after the columns.
    pub pad: [(usize, usize); 2],
    pub reflect: bool,
    pub bytes: bool,
}

/// Random numbers that are the same everywhere.
struct Noise(u32);

impl Noise {
    /// In 0..1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

impl Kernel {
    fn weights(&self, bytes: bool) -> Vec<f32> {
        let (h, w) = (self.height, self.width);
        if self.weights == "random" {
            let mut noise = Noise(3);
            let scale = if bytes { 2.0 / (h * w) as f32 } else { 1.0 };
            return (0..h * w).map(|_| noise.next() * scale).collect();
        }
        let (rows, columns) = (self.bell(h), self.bell(w));
        rows.iter().flat_map(|r| columns.iter().map(move |c| (r * c) as f32)).collect()
    }

    /// One factor of a Gaussian, of sum 1.
    pub fn bell(&self, n: usize) -> Vec<f64> {
        let sigma = self.sigma.expect("a Gaussian has a sigma");
        let at = |i| i as f64 - (n - 1) as f64 / 2.0;
        let all: Vec<f64> =
            (0..n).map(|i| (-at(i) * at(i) / (2.0 * sigma * sigma)).exp()).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|v| v / sum).collect()
    }
}

/// TensorFlow's SAME along one axis: output length, padding before and after.
fn extent(n: usize, k: usize, stride: usize, same: bool) -> (usize, usize, usize) {
    if !same {
        return ((n - k) / stride + 1, 0, 0);
    }
    let out = n.div_ceil(stride);
    let pad = ((out - 1) * stride + k).saturating_sub(n);
    (out, pad / 2, pad - pad / 2)
}

/// Where row or column `i` is read, if anywhere.
fn source(i: isize, n: usize, reflect: bool) -> Option<usize> {
    let last = n as isize - 1;
    match i {
        _ if (0..=last).contains(&i) => Some(i as usize),
        _ if !reflect => None,
        _ if i < 0 => Some(-i as usize),
        _ => Some((2 * last - i) as usize),
    }
}

impl Problem {
    pub fn load(name: &str) -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../cases.json");
        let text = std::fs::read_to_string(file).expect("cases.json");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("cases.json");
        let case = cases.into_iter().find(|c| c.name == name).expect("a case of cases.json");
        let (same, bytes) = (case.padding == "same", case.r#type == "u8");
        let (oh, top, bottom) = extent(case.shape[1], case.kernel.height, case.stride, same);
        let (ow, left, right) = extent(case.shape[2], case.kernel.width, case.stride, same);
        let mut noise = Noise(11);
        let value = |v: f32| if bytes { (v * 255.0).round_ties_even() } else { v };
        Self {
            x: (0..case.shape.iter().product()).map(|_| value(noise.next())).collect(),
            weights: case.kernel.weights(bytes),
            out: [oh, ow],
            pad: [(top, bottom), (left, right)],
            reflect: case.border == "reflect101",
            bytes,
            case,
        }
    }

    /// The input in a frame of `pad`, and more columns on the right, for peers that know no such
    /// border.
    pub fn framed(&self, more: usize) -> (Vec<f32>, [usize; 2]) {
        let [n, h, w, c] = self.case.shape;
        let [(top, bottom), (left, right)] = self.pad;
        let size = [h + top + bottom, w + left + right + more];
        let mut framed = vec![0.0; n * size[0] * size[1] * c];
        for (at, row) in framed.chunks_exact_mut(size[1] * c).enumerate() {
            let (b, r) = (at / size[0], at % size[0]);
            let Some(i) = source(r as isize - top as isize, h, self.reflect) else { continue };
            for (q, pixel) in row.chunks_exact_mut(c).take(size[1] - more).enumerate() {
                if let Some(j) = source(q as isize - left as isize, w, self.reflect) {
                    pixel.copy_from_slice(&self.x[((b * h + i) * w + j) * c..][..c]);
                }
            }
        }
        (framed, size)
    }

    /// The answer within one of stride 1 and this size, whose kernel was centred on every pixel.
    pub fn crop<T: Copy + Into<f32>>(&self, y: &[T], size: [usize; 2]) -> Vec<f32> {
        let [n, h, w, c] = self.case.shape;
        let (kernel, stride) = (&self.case.kernel, self.case.stride);
        // Padding that the answer has too moves nothing.
        let start = |k: usize, pad: (usize, usize), same| k / 2 - if same { pad.0 } else { 0 };
        let top = start(kernel.height, self.pad[0], size[0] == h);
        let left = start(kernel.width, self.pad[1], size[1] == w);
        let mut all = Vec::with_capacity(n * self.out[0] * self.out[1] * c);
        for b in 0..n {
            for r in 0..self.out[0] {
                for q in 0..self.out[1] {
                    let row = b * size[0] + top + r * stride;
                    let at = (row * size[1] + left + q * stride) * c;
                    all.extend(y[at..at + c].iter().map(|&v| v.into()));
                }
            }
        }
        all
    }

    /// Compares samples of an answer with plain sums in f64. The error of floats is relative to
    /// the sum of |weight * value|: what rounding may do to a sum, in any order.
    fn check(&self, y: &[f32]) -> Result<(), String> {
        let [n, h, w, c] = self.case.shape;
        let [oh, ow] = self.out;
        let (kw, stride) = (self.case.kernel.width, self.case.stride);
        if y.len() != n * c * oh * ow {
            return Err(format!("{} values", y.len()));
        }
        // 500 from everywhere, and the corners of the first and last image.
        let near = |m: usize| (0..m).filter(move |i| *i < 3 || i + 3 >= m);
        let corners = [0, n - 1].into_iter().flat_map(|b| {
            near(oh).flat_map(move |r| near(ow).map(move |q| ((b * oh + r) * ow + q + 1) * c - 1))
        });
        let mut worst = 0.0f64;
        for index in (0..y.len()).step_by(y.len() / 500 + 1).chain(corners) {
            let (p, ch) = (index / c, index % c);
            let (b, r, q) = (p / (oh * ow), p / ow % oh, p % ow);
            let (mut want, mut size) = (0.0, 0.0);
            for (tap, weight) in self.weights.iter().enumerate() {
                let at = |p, tap, pad| (p * stride + tap) as isize - pad as isize;
                let i = source(at(r, tap / kw, self.pad[0].0), h, self.reflect);
                let j = source(at(q, tap % kw, self.pad[1].0), w, self.reflect);
                if let (Some(i), Some(j)) = (i, j) {
                    let value = self.x[((b * h + i) * w + j) * c + ch];
                    let product = f64::from(value) * f64::from(*weight);
                    want += product;
                    size += product.abs();
                }
            }
            let got = f64::from(y[index]);
            let error = if self.bytes {
                (got - want.clamp(0.0, 255.0)).abs()
            } else {
                (got - want).abs() / size.max(1e-30)
            };
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
        match self.bytes {
            true if worst > 0.6 => Err(format!("error {worst:.1}")), // nearest, less what fixed point loses
            false if worst > 2e-5 => Err(format!("relative error {worst:.1e}")),
            _ => Ok(()),
        }
    }

    /// Checks what a call leaves in `y`, repeats it for 2 s (at least 5 times, but for 20 s at
    /// most) and gives the row's times: median, least, the 90th of 100.
    pub fn time<Y>(
        &self,
        mut y: Y,
        answer: impl Fn(&Y) -> Vec<f32>,
        mut call: impl FnMut(&mut Y) -> Result<(), String>,
    ) -> Result<[f64; 3], String> {
        call(&mut y)?;
        self.check(&answer(&y)).map_err(|wrong| format!("wrong answer, {wrong}"))?;
        let mut times = vec![];
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(if times.len() < 5 { 20 } else { 2 }) {
            let call_start = Instant::now();
            call(&mut y)?;
            times.push(call_start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
        Ok([at(0.5), at(0.0), at(0.9)])
    }

    /// Bytes in and out.
    pub fn moved(&self) -> usize {
        let [n, _, _, c] = self.case.shape;
        let elements = self.x.len() + n * self.out[0] * self.out[1] * c;
        if self.bytes { elements } else { 4 * elements }
    }
}
