//! What shaders are told of textures.

use super::codes::border_codes;
use super::placement::{Placement, own_placement};
use super::shader::Texel;
use crate::plan::bands::Band;
use crate::plan::launch::GpuLaunch;
use crate::plan::pass::Ends;
use crate::{AlphaMode, Problem};

/// What shaders do with texels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Texels {
    pub destination: Texel,
    pub alpha: AlphaMode,
    /// Whether shaders decode the source's colours from sRGB, and encode the destination's. The texture
    /// unit decodes those of sRGB formats.
    pub to_light: bool,
    pub from_light: bool,
}

impl Texels {
    /// The override constants of `shaders/texel.wgsl` and `shaders/out_texture.wgsl`, of a pass with these
    /// ends.
    pub fn constants(&self, problem: &Problem, ends: Ends) -> Vec<(&'static str, u32)> {
        let single = self.destination.channels() == 1;
        let mut constants = Vec::new();
        if ends.reads_source() || ends.writes_destination() {
            constants.extend([
                ("ALPHA", if single { 0 } else { alpha_code(self.alpha) }),
                ("TO_LIGHT", self.to_light.into()),
                ("FROM_LIGHT", self.from_light.into()),
                ("SINGLE", single.into()),
            ]);
        }
        if ends.writes_destination() {
            let names = ["KEEP_TOP", "KEEP_BOTTOM", "KEEP_LEFT", "KEEP_RIGHT"];
            let codes = border_codes(problem.border()).map(|(_, code)| code);
            constants.extend(names.into_iter().zip(codes));
        }
        constants
    }
}

/// Number of `alpha` in shaders.
fn alpha_code(alpha: AlphaMode) -> u32 {
    match alpha {
        AlphaMode::Filter => 0,
        AlphaMode::Keep => 1,
        AlphaMode::Premultiply => 2,
    }
}

/// Scalars from row to row of a source texture, as shaders count: a power of two.
pub(crate) fn source_pitch(problem: &Problem) -> usize {
    problem.geometry().row().next_power_of_two()
}

/// Where a band's scalars lie: in the source at addresses of the whole texture, in the destination at
/// those of the band.
pub(super) fn placement(problem: &Problem, launch: &GpuLaunch, band: &Band) -> Placement {
    let own = own_placement(problem, launch, band);
    Placement { src_pitch: source_pitch(problem), src_image: 0, ..own }
}
