//! What the Rust peers share: the cases as data, the check of an answer, and the timing.

use std::time::{Duration, Instant};

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub shape: [usize; 4],
    pub r#type: String,
    pub kernel: Kernel,
    pub padding: String,
    pub stride: usize,
    pub border: String,
}

#[derive(Deserialize)]
pub struct Kernel {
    pub height: usize,
    pub width: usize,
    pub weights: String,
    pub sigma: Option<f64>,
}

/// A case's numbers, worked out.
pub struct Problem {
    pub case: Case,
    /// `[N, H, W, C]`.
    pub x: Vec<f32>,
    pub weights: Vec<f32>,
    pub out: [usize; 2],
    /// Before and after the rows, before and after the columns.
    pub pad: [(usize, usize); 2],
    pub reflect: bool,
    bytes: bool,
}

/// Random numbers that are the same everywhere.
pub struct Noise(u32);

impl Noise {
    /// In 0..1.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

impl Kernel {
    pub fn weights(&self) -> Vec<f32> {
        let (h, w) = (self.height, self.width);
        if self.weights == "random" {
            let mut noise = Noise(3);
            return (0..h * w).map(|_| noise.next()).collect();
        }
        let sigma = self.sigma.expect("a Gaussian has a sigma");
        let bell = |i: usize, n: usize| {
            let x = i as f64 - (n - 1) as f64 / 2.0;
            (-x * x / (2.0 * sigma * sigma)).exp()
        };
        let all: Vec<f64> = (0..h * w).map(|i| bell(i / w, h) * bell(i % w, w)).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|v| (v / sum) as f32).collect()
    }
}

/// TensorFlow's SAME along one axis: output length, padding before and after.
pub fn extent(n: usize, k: usize, stride: usize, same: bool) -> (usize, usize, usize) {
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

/// The first, middle and last few positions: every border and the interior.
fn sample(n: usize) -> Vec<usize> {
    let mut all: Vec<usize> =
        [0, n / 2, n.saturating_sub(6)].iter().flat_map(|&from| from..(from + 6).min(n)).collect();
    all.dedup();
    all
}

pub fn fail(kind: &str, row: &str, case: &str, reason: &str) -> ! {
    println!("{}", serde_json::json!({"case": case, "row": row, "engine": "gpu", kind: reason}));
    std::process::exit(0)
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
        let value = |v: f32| if bytes { (v * 256.0).floor() } else { v };
        Self {
            x: (0..case.shape.iter().product()).map(|_| value(noise.next())).collect(),
            weights: case.kernel.weights(),
            out: [oh, ow],
            pad: [(top, bottom), (left, right)],
            reflect: case.border == "reflect101",
            bytes,
            case,
        }
    }

    /// A peer's row, which says so where a u8 case is given to it as f32.
    pub fn row(&self, name: &str) -> String {
        format!("{name}{}", if self.bytes { " f32" } else { "" })
    }

    /// The input as `[N, C, H, W]`.
    pub fn nchw(&self) -> Vec<f32> {
        let [_, h, w, c] = self.case.shape;
        let mut turned = vec![0.0; self.x.len()];
        for (i, v) in self.x.iter().enumerate() {
            let (p, channel) = (i / c, i % c);
            turned[((p / (h * w)) * c + channel) * h * w + p % (h * w)] = *v;
        }
        turned
    }

    /// Compares samples of an `[N, C, H, W]` answer with plain sums in f64. The error is relative
    /// to the sum of |weight * value|: what rounding may do to a sum, in any order.
    pub fn check(&self, row: &str, y: &[f32]) {
        let [n, h, w, c] = self.case.shape;
        let [oh, ow] = self.out;
        let (kw, stride) = (self.case.kernel.width, self.case.stride);
        if y.len() != n * c * oh * ow {
            fail("wrong", row, &self.case.name, "shape");
        }
        let mut worst = 0.0f64;
        for b in [0, n - 1] {
            for r in sample(oh) {
                for q in sample(ow) {
                    for ch in 0..c {
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
                        let got = f64::from(y[((b * c + ch) * oh + r) * ow + q]);
                        let error = (got - want).abs() / size.max(1e-30);
                        worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
                    }
                }
            }
        }
        if worst > 2e-5 {
            fail("wrong", row, &self.case.name, &format!("relative error {worst:.1e}"));
        }
    }

    /// Repeats a call for 2 s (at least 5 times, but for 20 s at most) and prints the row.
    pub fn time(&self, row: &str, algorithm: Option<&str>, mut call: impl FnMut()) {
        call(); // what the first call left to do, such as the end of autotuning
        let mut times = vec![];
        let start = Instant::now();
        while times.len() < 200
            && (start.elapsed() < Duration::from_secs(2)
                || times.len() < 5 && start.elapsed() < Duration::from_secs(20))
        {
            let call_start = Instant::now();
            call();
            times.push(call_start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
        let moved = 4
            * (self.x.len() + self.case.shape[0] * self.out[0] * self.out[1] * self.case.shape[3]);
        println!(
            "{}",
            serde_json::json!({
                "case": self.case.name, "row": row, "engine": "gpu", "algorithm": algorithm,
                "threads": null, "median_ms": at(0.5), "min_ms": times[0], "p90_ms": at(0.9),
                "gb_per_s": moved as f64 / at(0.5) / 1e6,
            })
        );
    }
}
