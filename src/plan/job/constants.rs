//! The shader of a pass, and its `override` constants.

use super::codes::{activation_code, border_codes, follow_activation, reaches_far};
use super::shader::{Data, Entry, Shader};
use super::texels::Texels;
use crate::plan::launch::{GpuLaunch, Scheme};
use crate::plan::pass::Pass;
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
    match pass {
        Pass::Direct if !problem.gathers() => Shader::new(Entry::Direct, source, output),
        Pass::Direct | Pass::Gather => Shader::new(Entry::Gather, source, output),
        Pass::Flat | Pass::Across | Pass::Down | Pass::Finish => {
            Shader::new(Entry::Flat, source, output)
        }
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
        (_, Pass::Gather) => constants.push(("SLICED", 1)),
        (Scheme::Direct { sliced, .. }, _) => constants.push(("SLICED", u32::from(*sliced))),
        (Scheme::Flat(_) | Scheme::Separable { .. } | Scheme::Fft(_), _) => {}
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
    let Some(block) = pass.block(launch) else { return constants };
    let work = pass.work(problem, launch);
    constants.extend([
        ("VECTORS", block.vectors),
        ("CHAINED", block.chained.into()),
        ("WORDS", block.words.into()),
        ("ROWS", block.rows),
        ("FILTERS", work.filters as u32),
        ("OUTPUTS", work.outputs as u32),
    ]);
    if block.specialised {
        constants.extend([
            ("ROW_SPACING", block.spacing.0),
            ("ROW_PHASES", block.phases.0),
            ("COLUMN_SPACING", block.spacing.1),
            ("COLUMN_PHASES", block.phases.1),
            ("TERMS", work.terms as u32),
            ("KERNEL_HEIGHT", work.kernel.0 as u32),
            ("KERNEL_WIDTH", work.kernel.1 as u32),
            ("CHANNELS", work.channels as u32),
            ("DILATION_ROWS", work.dilation.0 as u32),
            ("DILATION_COLUMNS", work.dilation.1 as u32),
            ("STRIDE_ROWS", work.stride.0 as u32),
            ("STRIDE_COLUMNS", work.stride.1 as u32),
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
