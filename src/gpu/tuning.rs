//! Choosing an algorithm by running it.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::device::{Clock, Tuning};
use crate::plan::{self, Candidate, GpuLimits, Machine, Plan};
use crate::{Algorithm, Error, Problem, Result};

/// Algorithms that are tried, and by how much the model may think one slower than the best.
const TRIED: usize = 3;
const WITHIN: f64 = 4.0;

/// Microseconds of each algorithm that was tried.
pub(super) type Times = Vec<(Algorithm, f64)>;

/// What was measured on a device.
#[derive(Debug)]
pub(super) struct Tuner {
    /// Adapter, back end, driver, and version of this crate: its shaders change.
    device: String,
    file: Option<PathBuf>,
    times: Mutex<HashMap<String, Times>>,
}

impl Tuner {
    /// None where the model decides.
    pub fn new(tuning: &Tuning, device: String) -> Result<Option<Self>> {
        let file = match tuning {
            Tuning::Model => return Ok(None),
            _ if !Clock::TELLS => return Ok(None),
            Tuning::Measured => None,
            Tuning::MeasuredIn(path) => Some(path.clone()),
        };
        let device = one_field(&format!("{device}, channelwise {}", env!("CARGO_PKG_VERSION")));
        let times = match &file {
            Some(path) => read(path, &device)?,
            None => HashMap::new(),
        };
        Ok(Some(Self { device, file, times: Mutex::new(times) }))
    }

    /// What the file says of this device under `key`, the last of several.
    pub fn line(&self, key: &str) -> Result<Option<String>> {
        let Some(path) = &self.file else { return Ok(None) };
        let lines = lines(path, &self.device)?;
        Ok(lines.into_iter().rev().find(|(of, _)| of == key).map(|(_, text)| text))
    }

    /// Adds such a line to the file, if there is one.
    pub fn add_line(&self, key: &str, text: &str) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |path| append(path, &self.device, key, text))
    }

    /// What decides about a problem, given the model's plan.
    pub fn ask(&self, problem: &Problem, machine: &Machine, plan: &Plan) -> Decision {
        let tried = candidates(plan);
        if tried.len() < 2 || problem.output_len() == 0 {
            return Decision::Model;
        }
        let key = key(problem, machine, &tried);
        let known = self.times.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        match known {
            Some(times) => Decision::Times(times),
            None => Decision::Measure(key, tried),
        }
    }

    /// Remembers what was measured.
    pub fn learn(&self, key: String, times: &Times) -> Result<()> {
        let mut all = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key.clone(), times.clone());
        match &self.file {
            Some(path) => append(path, &self.device, &key, &text(times)),
            None => Ok(()),
        }
    }
}

/// What decides about a problem.
pub(super) enum Decision {
    /// The model: there is no choice worth measuring.
    Model,
    /// Times of this device.
    Times(Times),
    /// Those of these algorithms, once they are measured; remembered by this key.
    Measure(String, Vec<Algorithm>),
}

/// The plan with the algorithm that is fastest by these times, given the model's.
pub(super) fn fastest(
    problem: &Problem,
    machine: &Machine,
    plan: Plan,
    times: &Times,
) -> Result<Plan> {
    match times.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((algorithm, _)) => plan.retaken(problem, machine, *algorithm, times),
        None => Ok(plan),
    }
}

/// What is worth trying, the least work by the model first.
fn candidates(plan: &Plan) -> Vec<Algorithm> {
    // Of this engine, and of what it computes alone: copies are the same for all.
    let costs = plan.candidates().iter().filter(|c| c.engine == plan.engine());
    let work = |c: &Candidate| Some((c.algorithm, c.verdict.as_ref().ok()? - c.transfers));
    let mut costs: Vec<_> = costs.filter_map(work).collect();
    costs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut costs = costs.into_iter();
    let Some((first, least)) = costs.next() else { return Vec::new() };
    let others = costs.filter(|(_, us)| *us <= WITHIN * least).map(|(algorithm, _)| algorithm);
    [first].into_iter().chain(others).take(TRIED).collect()
}

/// What the times of a problem depend on.
fn key(problem: &Problem, machine: &Machine, tried: &[Algorithm]) -> String {
    let conv = problem.conv();
    let limits = match machine {
        Machine::Gpu(GpuLimits { specialise_from, max_workgroup_memory, .. }, residence) => {
            format!("{residence:?} {specialise_from} {max_workgroup_memory}")
        }
        Machine::Cpu(_) => String::new(),
    };
    let follow = conv.pointwise.as_ref().map_or(0, |p| p.outputs());
    let (rank, folded) = (plan::separable_terms(problem), problem.weights().follow.is_none());
    one_field(&format!(
        "{problem}, padding {:?}, layout {:?}, activation {:?}, outputs {follow}, folded {folded}, terms {rank}, {limits}, {tried:?}",
        conv.padding, conv.layout, conv.activation
    ))
}

/// Without what separates fields and lines.
fn one_field(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::TuningFile { path: path.display().to_string(), reason: error.to_string() }
}

/// Times of this device in the file; what cannot be read is measured anew.
fn read(path: &Path, device: &str) -> Result<HashMap<String, Times>> {
    let times = |(key, text): (String, String)| {
        let times = text.split(' ').map(time).collect::<Option<Times>>()?;
        Some((key, times))
    };
    Ok(lines(path, device)?.into_iter().filter_map(times).collect())
}

/// What the file says of this device. A line: device, problem (or what else was measured), times.
fn lines(path: &Path, device: &str) -> Result<Vec<(String, String)>> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(path, &error)),
    };
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let (of, key, rest) = (fields.next()?, fields.next()?, fields.next()?);
        (of == device).then(|| (key.to_string(), rest.to_string()))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// `fft=123.4`
fn time(text: &str) -> Option<(Algorithm, f64)> {
    let (name, us) = text.split_once('=')?;
    let algorithm = Algorithm::ALL.iter().copied().find(|a| a.to_string() == name)?;
    let us: f64 = us.parse().ok()?;
    (us.is_finite() && us > 0.0).then_some((algorithm, us))
}

fn text(times: &Times) -> String {
    let times: Vec<String> = times.iter().map(|(a, us)| format!("{a}={us:.3}")).collect();
    times.join(" ")
}

/// Adds a line in one write, so that programs that share the file do not mix theirs.
fn append(path: &Path, device: &str, key: &str, text: &str) -> Result<()> {
    let line = format!("{device}\t{key}\t{text}\n");
    let open = fs::OpenOptions::new().create(true).append(true).open(path);
    open.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| failed(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_read_is_measured_anew() {
        let folder = std::env::temp_dir().join(format!("channelwise-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tuning");
        assert_eq!(read(&path, "gpu").unwrap(), HashMap::new());
        let times = vec![(Algorithm::Flat, 12.5), (Algorithm::Fft, 7.0)];
        append(&path, "gpu", "one", &text(&times)).unwrap();
        append(&path, "another", "two", &text(&times)).unwrap();
        let noise =
            b"gpu\tthree\tflat=fast\ngpu\tfour\nno fields\n\xff\xfe\tgpu\n\ngpu\tfive\tflat=-1\n";
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(noise).unwrap();
        append(&path, "gpu", "six", &text(&times)).unwrap();
        let all = read(&path, "gpu").unwrap();
        let mut keys: Vec<_> = all.keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["one", "six"]);
        assert_eq!(all["one"], times);
        let refused = read(&folder, "gpu").unwrap_err();
        assert!(matches!(refused, Error::TuningFile { .. }), "{refused}");
        fs::remove_dir_all(folder).unwrap();
    }
}
