//! What GPUs that are not here would take at least: a roofline, from the plans' own model.
//!
//! A pass takes as long as the slowest of its memory traffic, its arithmetic, and its accesses to
//! caches and workgroup memory, each at the maker's peak (Williams, Waterman and Patterson 2009).
//! Real times are longer; ratios between algorithms, and what bounds them, are what it is for.

use channelwise::plan::{AdapterClass, GpuLimits, Machine, Residence, Traffic, choose};
use channelwise::{Algorithm, PlannedShader};
use serde::Serialize;

use crate::Failure;
use crate::cases::Case;

/// A GPU by its data sheet.
struct Gpu {
    name: &'static str,
    class: AdapterClass,
    /// Bytes of memory a second.
    memory: f64,
    /// Multiply-adds a second.
    sums: f64,
    /// Bytes a second that first-level caches and workgroup memory give: units x bytes a clock x clock.
    cache: f64,
}

const GPUS: [Gpu; 3] = [
    Gpu {
        name: "GeForce RTX 4060",
        class: AdapterClass::Discrete,
        memory: 272e9,
        sums: 7.5e12,
        cache: 24.0 * 128.0 * 2.46e9,
    },
    Gpu {
        name: "Radeon 780M",
        class: AdapterClass::Integrated,
        memory: 89.6e9,
        // Without dual issue.
        sums: 2.1e12,
        cache: 12.0 * 128.0 * 2.7e9,
    },
    Gpu {
        name: "Apple M2, 10 cores",
        class: AdapterClass::Integrated,
        memory: 100e9,
        sums: 1.8e12,
        cache: 10.0 * 128.0 * 1.4e9,
    },
];

/// A case as one GPU would do it.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    case: String,
    gpu: &'static str,
    algorithm: String,
    passes: usize,
    /// Bytes through memory over those that any method moves.
    bytes_over_least: f64,
    accesses_per_output: f64,
    multiply_adds_per_output: f64,
    milliseconds: f64,
    /// What most of the time goes to.
    bound: &'static str,
}

impl Gpu {
    /// Seconds of a pass, and what bounds it.
    fn seconds(&self, pass: &Traffic) -> (f64, &'static str) {
        let all = [
            (pass.bytes / self.memory, "memory"),
            (pass.sums / self.sums, "arithmetic"),
            (4.0 * (pass.accesses + pass.exchanges) / self.cache, "caches"),
        ];
        all.into_iter().fold((0.0, "memory"), |a, b| if b.0 > a.0 { b } else { a })
    }

    fn row(&self, case: &Case, algorithm: Algorithm) -> Result<Option<Row>, Failure> {
        let problem = case.problem()?;
        let limits = GpuLimits { class: self.class, ..GpuLimits::webgpu_defaults() };
        let machine = Machine::Gpu(limits, Residence::Device);
        // What does not apply has no row.
        let Ok(plan) = choose(&problem, &machine, algorithm) else { return Ok(None) };
        let passes: Vec<Traffic> =
            PlannedShader::of(&problem, &plan).iter().map(|shader| shader.traffic).collect();
        let sum = |part: fn(&Traffic) -> f64| passes.iter().map(part).sum::<f64>();
        let outputs = problem.output_len() as f64;
        let times: Vec<_> = passes.iter().map(|pass| self.seconds(pass)).collect();
        let longest = times.iter().fold((0.0, "memory"), |a, b| if b.0 > a.0 { *b } else { a });
        Ok(Some(Row {
            case: case.name.clone(),
            gpu: self.name,
            algorithm: plan.algorithm().to_string(),
            passes: passes.len(),
            bytes_over_least: sum(|pass| pass.bytes) / problem.bytes() as f64,
            accesses_per_output: sum(|pass| pass.accesses + pass.exchanges) / outputs,
            multiply_adds_per_output: sum(|pass| pass.sums) / outputs,
            milliseconds: 1e3 * times.iter().map(|(seconds, _)| seconds).sum::<f64>(),
            bound: longest.1,
        }))
    }
}

/// Every case on every GPU, by each of the algorithms that applies.
pub(crate) fn rows(cases: &[Case], algorithms: &[Algorithm]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for case in cases {
        for gpu in &GPUS {
            for algorithm in algorithms {
                rows.extend(gpu.row(case, *algorithm)?);
            }
        }
    }
    Ok(rows)
}

/// As a table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | GPU | algorithm | passes | bytes / least | accesses an output | \
         multiply-adds an output | ms at least | bound by |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for row in rows {
        text += &format!(
            "| {} | {} | {} | {} | {:.2} | {:.1} | {:.1} | {:.4} | {} |\n",
            row.case,
            row.gpu,
            row.algorithm,
            row.passes,
            row.bytes_over_least,
            row.accesses_per_output,
            row.multiply_adds_per_output,
            row.milliseconds,
            row.bound
        );
    }
    text
}
