//! What shaders are told of textures.

use wgpu::TextureFormat;

use super::params::{self, Placement};
use super::transfer;
use crate::plan::{Band, GpuLaunch, Place};
use crate::{AlphaMode, Problem};

/// Formats of textures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Texel {
    Rgba8,
    Bgra8,
    Rgba16,
    Rgba32,
    R32,
}

impl Texel {
    pub const ALL: [Self; 5] = [Self::Rgba8, Self::Bgra8, Self::Rgba16, Self::Rgba32, Self::R32];

    pub fn format(self) -> TextureFormat {
        match self {
            Self::Rgba8 => TextureFormat::Rgba8Unorm,
            Self::Bgra8 => TextureFormat::Bgra8Unorm,
            Self::Rgba16 => TextureFormat::Rgba16Float,
            Self::Rgba32 => TextureFormat::Rgba32Float,
            Self::R32 => TextureFormat::R32Float,
        }
    }

    pub fn of(format: TextureFormat) -> Option<Self> {
        Self::ALL.into_iter().find(|texel| texel.format() == format)
    }

    pub fn channels(self) -> usize {
        if self == Self::R32 { 1 } else { 4 }
    }

    /// Whether it knows no infinities and NaNs.
    pub fn is_finite(self) -> bool {
        matches!(self, Self::Rgba8 | Self::Bgra8)
    }
}

/// What shaders do with texels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texels {
    pub destination: Texel,
    pub alpha: AlphaMode,
    pub linear: bool,
}

impl Texels {
    /// The override constants of `shaders/texel.wgsl` and `shaders/out_texture.wgsl`, of a pass that goes
    /// this way.
    pub fn constants(&self, problem: &Problem, [from, to]: [Place; 2]) -> Vec<(&'static str, u32)> {
        let single = self.destination.channels() == 1;
        let mut constants = Vec::new();
        if from == Place::Source || to == Place::Destination {
            constants.extend([
                ("ALPHA", if single { 0 } else { alpha_code(self.alpha) }),
                ("LINEAR", self.linear.into()),
                ("SINGLE", single.into()),
            ]);
        }
        if to == Place::Destination {
            constants.push(("KEEP_BORDER", params::border_code(problem.border())));
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
pub(super) fn source_pitch(problem: &Problem) -> usize {
    problem.geometry().row().next_power_of_two()
}

/// Where a band's scalars lie: in the source at addresses of the whole texture, in the destination at
/// those of the band.
pub(super) fn placement(problem: &Problem, launch: &GpuLaunch, band: &Band) -> Placement {
    let own = transfer::own_placement(problem, launch, band);
    Placement { src_pitch: source_pitch(problem), src_image: 0, ..own }
}
