//! The shader of a pass, and its `override` constants.

use super::codes::{activation_code, border_codes, follow_activation, reaches_far};
use super::shader::{Data, Entry, Shader};
use super::texels::Texels;
use crate::plan::direct;
use crate::plan::launch::{GpuLaunch, Scheme};
use crate::plan::march::MarchShape;
use crate::plan::pass::Pass;
use crate::plan::phases::Phases;
use crate::plan::tile::Lines;
use crate::{Border, Problem};

/// The shader of a pass; between textures where `texels` says so.
pub(super) fn shader(
    problem: &Problem,
    pass: Pass,
    scheme: &Scheme,
    texels: Option<&Texels>,
) -> Shader {
    let ends = pass.ends(scheme);
    let (input, output) = match texels {
        Some(texels) => (Data::Texture, Data::Stored(texels.destination)),
        None => (problem.input_type().into(), problem.output_type().into()),
    };
    let source = if ends.reads_source() { input } else { Data::F32 };
    let output = if ends.writes_destination() { output } else { Data::F32 };
    if let (Pass::March, Scheme::March(march)) = (pass, scheme) {
        return Shader::new(Entry::March(MarchShape::of(problem, march)), source, output);
    }
    match pass {
        Pass::Direct if !problem.gathers() => Shader::new(Entry::Direct, source, output),
        Pass::Direct => Shader::new(Entry::Gather, source, output),
        Pass::Edges => Shader::new(Entry::Edges, source, output),
        Pass::Phases => Shader::new(Entry::Phases, source, output),
        Pass::Flat | Pass::March | Pass::Across | Pass::Down | Pass::Finish => {
            Shader::new(Entry::Flat, source, output)
        }
        Pass::Strip => Shader::new(Entry::Strip, source, output),
        Pass::Forward => Shader::new(Entry::Forward, source, Data::Complex),
        Pass::Multiply => Shader::new(Entry::Multiply, Data::Complex, Data::Complex),
        Pass::Back => Shader::new(Entry::Back, Data::Complex, Data::F32),
        Pass::Whole => Shader::new(Entry::Whole, source, Data::F32),
    }
}

/// The override constants of a pass.
pub(super) fn constants(
    problem: &Problem,
    pass: Pass,
    launch: &GpuLaunch,
    texels: Option<&Texels>,
) -> Vec<(&'static str, u32)> {
    let [x, y] = pass.workgroup(launch);
    // What follows the sums is left to the pass that writes outputs, and where it reads what lies
    // between passes it meets no border.
    let ends = pass.ends(&launch.scheme);
    let if_last = |code: u32| if ends.writes_destination() { code } else { 0 };
    let border = if ends.reads_source() { problem.border() } else { Border::Replicate.into() };
    let mut constants = vec![
        ("WORKGROUP_X", x),
        ("WORKGROUP_Y", y),
        ("FAR", u32::from(ends.reads_source() && reaches_far(problem))),
        ("ACTIVATION", if_last(activation_code(problem.weights().activation).0)),
        ("FOLLOW", if_last(problem.weights().follow.is_some().into())),
        ("FOLLOW_ACTIVATION", if_last(activation_code(follow_activation(problem)).0)),
    ];
    constants.extend(border_codes(border));
    if let Some(texels) = texels {
        constants.extend(texels.constants(problem, ends));
    }
    match (&launch.scheme, pass) {
        (_, Pass::Edges) => {}
        (Scheme::Direct { sliced, .. }, _) => {
            constants.extend([("SLICED", (*sliced).into()), ("SLICE", direct::SLICE as u32)]);
        }
        (Scheme::March(march), _) => {
            constants.extend([("EDGES", 1), ("FOLDS", march.folds.into())]);
        }
        (Scheme::Flat(_) | Scheme::Separable { .. } | Scheme::Fft(_), _) => {}
        (Scheme::Strips { .. }, _) => {}
        (Scheme::Phases(phases), _) => constants.extend(of_phases(problem, phases)),
    }
    if let Some(lines) = pass.lines(launch) {
        constants.extend(transforms(lines, pass == Pass::Multiply));
        if matches!(pass, Pass::Multiply | Pass::Whole) {
            constants.push(("ONE", u32::from(problem.weights().filters == 1)));
        }
        if let (Pass::Whole, Scheme::Fft(tile)) = (pass, &launch.scheme) {
            constants.push(("LAST_DOWN", tile.lines.1.steps().1));
        }
    }
    let work = pass.work(problem, launch);
    let (spacing, phases, specialised) = match (pass.block(launch), pass.strip(launch)) {
        (Some(block), _) => {
            constants.extend([
                ("VECTORS", block.vectors),
                ("CHAINED", block.chained.into()),
                ("WORDS", block.words.into()),
                ("ROWS", block.rows),
            ]);
            if block.specialised {
                constants.push(("TERMS", work.terms as u32));
            }
            (block.spacing, block.phases, block.specialised)
        }
        (None, Some(strip)) => {
            constants.extend([
                ("SPAN", strip.channels),
                ("COLUMNS", strip.columns),
                ("BATCH", strip.batch),
                ("VECTORS", strip.vectors),
                ("PARTS", strip.parts),
                ("FOUR", strip.four.into()),
                ("WORDS", strip.words.into()),
                ("STAGED", strip.batch * strip.pitches.0),
                ("EXCHANGED", strip.batch * strip.pitches.1),
                ("CHAIN", strip.chain),
                ("TERMS", work.terms as u32),
            ]);
            if work.packed {
                constants.push(("LEAVING", strip.batch * strip.leaving));
            }
            (strip.spacing, strip.phases, strip.specialised)
        }
        (None, None) => return constants,
    };
    constants.extend([("FILTERS", work.filters as u32), ("OUTPUTS", work.outputs as u32)]);
    if specialised {
        constants.extend([
            ("ROW_SPACING", spacing.0),
            ("ROW_PHASES", phases.0),
            ("COLUMN_SPACING", spacing.1),
            ("COLUMN_PHASES", phases.1),
            ("CHANNELS", work.channels as u32),
            ("DILATION_ROWS", work.dilation.0 as u32),
            ("DILATION_COLUMNS", work.dilation.1 as u32),
            ("STRIDE_ROWS", work.stride.0 as u32),
            ("STRIDE_COLUMNS", work.stride.1 as u32),
        ]);
    }
    if specialised && pass.block(launch).is_none_or(|block| block.unrolled) {
        constants.extend([
            ("KERNEL_HEIGHT", work.kernel.0 as u32),
            ("KERNEL_WIDTH", work.kernel.1 as u32),
        ]);
    }
    constants
}

/// Those of the shader of phases alone.
fn of_phases(problem: &Problem, phases: &Phases) -> Vec<(&'static str, u32)> {
    let g = problem.geometry();
    let mut constants = vec![
        ("UNITS", phases.units),
        ("ROWS", phases.rows),
        ("PHASE_ROWS", phases.cell.0),
        ("PHASE_COLUMNS", phases.cell.1),
        ("WORDS", phases.words.into()),
    ];
    if phases.specialised {
        constants.extend([
            ("FILTERS", g.inputs as u32),
            ("ROW_SPACING", phases.spacing.0),
            ("COLUMN_SPACING", phases.spacing.1),
            ("ROW_APART", phases.apart.0),
            ("COLUMN_APART", phases.apart.1),
            ("ROW_BEFORE", (g.top % g.stride.0) as u32),
            ("COLUMN_BEFORE", (g.left % g.stride.1) as u32),
            ("KERNEL_HEIGHT", g.kernel.0 as u32),
            ("KERNEL_WIDTH", g.kernel.1 as u32),
            ("CHANNELS", g.channels as u32),
            ("DILATION_ROWS", g.dilation.0 as u32),
            ("DILATION_COLUMNS", g.dilation.1 as u32),
            ("STRIDE_ROWS", g.stride.0 as u32),
            ("STRIDE_COLUMNS", g.stride.1 as u32),
        ]);
    }
    constants
}

/// Of how a workgroup has its lines: whether neighbouring ones lie beside each other.
pub(super) fn transforms(lines: &Lines, beside: bool) -> [(&'static str, u32); 6] {
    [
        ("LENGTH", lines.length),
        ("LINES", lines.count),
        ("EXCHANGED", lines.length * lines.count),
        ("POINTS", lines.points),
        ("LAST", lines.steps().1),
        ("BESIDE", beside.into()),
    ]
}
