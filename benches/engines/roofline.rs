//! What GPUs that are not here would take at least: a roofline, from the plans' own model.
//!
//! A pass takes as long as the slowest of its memory traffic, its arithmetic, its accesses to caches
//! and workgroup memory, each at the maker's peak (Williams, Waterman and Patterson 2009), and the
//! issue of its instructions. Real times are longer; ratios between algorithms, and what bounds them,
//! are what it is for.
//!
//! Instructions are estimated from what a pass does, by the constants below. They were fitted to
//! estimates of the whole for `flat`: 32 to 36 instructions an output where it makes 1.9 loads, a store
//! and 9 multiply-adds (rgb3), 55 to 60 for 3.0, 1 and 25 (rgba5), 60 for 4.8, 1 and 9 (feat3s2), 42 to 48
//! for bytes with 3.0, 1/4 and 9, and 65 to 75 for halves with 3.0, 1/2 and 9. `sh benches/isa/run.sh`
//! counts them as compilers make them, chip by chip; where the two differ, that is right.

use channelwise::plan::{AdapterClass, GpuLimits, Machine, Residence, Traffic, choose};
use channelwise::{Algorithm, ElementType, PlannedShader};
use serde::Serialize;

use crate::Failure;
use crate::cases::Case;

/// Instructions of a load or store: the address, the border's test and its selects, the check of bounds.
const ACCESS: f64 = 9.0;

/// Of a scalar to workgroup memory or from it: its address and itself.
const EXCHANGE: f64 = 3.0;

/// Of a scalar that is not a word of its own: to and from f32.
const CONVERSION: f64 = 2.0;

/// Of a half, which is taken apart by hand.
const HALF: f64 = 8.0;

/// Part of its lanes' peak that a GPU issues of such code.
const ISSUED: f64 = 0.7;

/// A GPU by its data sheet.
struct Gpu {
    name: &'static str,
    class: AdapterClass,
    /// Bytes of memory a second.
    memory: f64,
    /// Multiply-adds a second: one instruction on each lane and clock.
    sums: f64,
    /// Bytes a second that first-level caches and workgroup memory give: units x bytes a clock x clock.
    cache: f64,
}

const GPUS: [Gpu; 4] = [
    Gpu {
        name: "GeForce RTX 4060",
        class: AdapterClass::Discrete,
        memory: 272e9,
        sums: 7.5e12,
        cache: 24.0 * 128.0 * 2.46e9,
    },
    Gpu {
        name: "H100 SXM",
        class: AdapterClass::Discrete,
        memory: 3.35e12,
        sums: 33.4e12,
        cache: 132.0 * 128.0 * 1.98e9,
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
    /// Estimated: see the head of this file.
    instructions_per_output: f64,
    milliseconds: f64,
    /// What most of the time goes to.
    bound: &'static str,
}

impl Gpu {
    /// Seconds of a pass, and what bounds it.
    fn seconds(&self, pass: &Traffic, element: ElementType) -> (f64, &'static str) {
        let all = [
            (instructions(pass, element) / self.sums / ISSUED, "issue"),
            (pass.bytes / self.memory, "memory"),
            (pass.sums / self.sums, "arithmetic"),
            (4.0 * (pass.accesses + pass.exchanges) / self.cache, "caches"),
        ];
        all.into_iter().fold((0.0, "memory"), |a, b| if b.0 > a.0 { b } else { a })
    }

    fn row(&self, case: &Case, algorithm: Algorithm) -> Result<Option<Row>, Failure> {
        let problem = case.problem()?;
        let limits = GpuLimits::webgpu_defaults().with_class(self.class);
        let machine = Machine::Gpu(limits, Residence::Device);
        // What does not apply has no row.
        let Ok(plan) = choose(&problem, &machine, algorithm) else { return Ok(None) };
        let passes: Vec<Traffic> =
            PlannedShader::of(&problem, &plan).iter().map(|shader| shader.traffic).collect();
        let sum = |part: fn(&Traffic) -> f64| passes.iter().map(part).sum::<f64>();
        let (outputs, element) = (problem.output_len() as f64, problem.input_type());
        let issued: f64 = passes.iter().map(|pass| instructions(pass, element)).sum();
        let times: Vec<_> = passes.iter().map(|pass| self.seconds(pass, element)).collect();
        let longest = times.iter().fold((0.0, "memory"), |a, b| if b.0 > a.0 { *b } else { a });
        Ok(Some(Row {
            case: case.name.clone(),
            gpu: self.name,
            algorithm: plan.algorithm().to_string(),
            passes: passes.len(),
            bytes_over_least: sum(|pass| pass.bytes) / problem.bytes() as f64,
            accesses_per_output: sum(|pass| pass.accesses + pass.exchanges) / outputs,
            multiply_adds_per_output: sum(|pass| pass.sums) / outputs,
            instructions_per_output: issued / outputs,
            milliseconds: 1e3 * times.iter().map(|(seconds, _)| seconds).sum::<f64>(),
            bound: longest.1,
        }))
    }
}

/// Estimated instructions of a pass, on one lane each.
fn instructions(pass: &Traffic, element: ElementType) -> f64 {
    let convert = match element {
        ElementType::U8 | ElementType::U16 => CONVERSION,
        ElementType::F16 => HALF,
        _ => 0.0,
    };
    (ACCESS + convert) * pass.accesses + EXCHANGE * pass.exchanges + pass.sums
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
         multiply-adds an output | instructions an output | ms at least | bound by |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for row in rows {
        text += &format!(
            "| {} | {} | {} | {} | {:.2} | {:.1} | {:.1} | {:.0} | {:.4} | {} |\n",
            row.case,
            row.gpu,
            row.algorithm,
            row.passes,
            row.bytes_over_least,
            row.accesses_per_output,
            row.multiply_adds_per_output,
            row.instructions_per_output,
            row.milliseconds,
            row.bound
        );
    }
    text
}
