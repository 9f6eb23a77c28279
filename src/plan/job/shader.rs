//! Which shaders there are: an entry point between two kinds of data.

use crate::ElementType;
use crate::plan::march::{Halves, MarchShape};

/// What a shader computes: its file in `shaders/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    /// Everything, one word an invocation.
    Direct,
    /// The same for what gathers.
    Gather,
    /// The same for a frame of it, whose rest others make.
    Edges,
    /// A block of outputs an invocation: also the passes of `separable`, and the last one of `fft`.
    Flat,
    /// Vectors of flat rows, down the image: written for a shape.
    March(MarchShape),
    /// A block of outputs of what gathers, phase by phase.
    Phases,
    /// Rows and columns of a strip, through workgroup memory.
    Strip,
    /// Transforms of the rows of tiles.
    Forward,
    /// Transforms of their columns, times the spectrum of every filter, and back.
    Multiply,
    /// The rows back, and outputs.
    Back,
    /// All three of a tile that a workgroup has whole.
    Whole,
    /// Partial sums of the gradients of kernel and bias.
    Correlate,
    /// Transforms of the rows of tiles of the output's gradient.
    Delta,
    /// Those of their columns and of the input's, partial sums of their products, and back.
    Products,
    /// The sums of these, and their rows back to the gradients of kernel and bias.
    Taps,
    /// Partial sums of the gradients of a pointwise step.
    Mix,
    /// Their sums.
    Reduce,
    /// Through the activation behind a pointwise step.
    Follow,
    /// Through a pointwise step, and the activation before it.
    Slope,
}

/// What a shader reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    F32,
    U8,
    U16,
    F16,
    I8,
    I16,
    /// Pairs of f32, between passes.
    Complex,
    /// A texture that is read, of any format.
    Texture,
    /// A texture that is written.
    Stored(Texel),
}

impl From<ElementType> for Data {
    fn from(element: ElementType) -> Self {
        match element {
            // Of 32-bit integers and f64 nothing is planned for a GPU.
            ElementType::F32 | ElementType::U32 | ElementType::I32 | ElementType::F64 => Self::F32,
            ElementType::U8 => Self::U8,
            ElementType::U16 => Self::U16,
            ElementType::F16 => Self::F16,
            ElementType::I8 => Self::I8,
            ElementType::I16 => Self::I16,
        }
    }
}

impl Data {
    /// Its part of a file's name, `in_u8.wgsl` or `out_u8.wgsl`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::F16 => "f16",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::Complex => "complex",
            Self::Texture => "texture",
            Self::Stored(Texel::Rgba8) => "rgba8",
            Self::Stored(Texel::Bgra8) => "bgra8",
            Self::Stored(Texel::Rgba16) => "rgba16",
            Self::Stored(Texel::Rgba32) => "rgba32",
            Self::Stored(Texel::R32) => "r32",
        }
    }

    /// Bits of its scalars, where a word of 32 holds several.
    pub fn packed(self) -> Option<u32> {
        match self {
            Self::U8 | Self::I8 => Some(8),
            Self::U16 | Self::F16 | Self::I16 => Some(16),
            Self::F32 | Self::Complex | Self::Texture | Self::Stored(_) => None,
        }
    }

    pub fn is_texture(self) -> bool {
        matches!(self, Self::Texture | Self::Stored(_))
    }
}

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

    pub fn channels(self) -> usize {
        if self == Self::R32 { 1 } else { 4 }
    }

    /// Whether it knows no infinities and NaNs.
    pub fn is_finite(self) -> bool {
        matches!(self, Self::Rgba8 | Self::Bgra8)
    }
}

/// A shader: what it computes, and from what to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    pub entry: Entry,
    pub source: Data,
    pub output: Data,
}

impl Shader {
    pub fn new(entry: Entry, source: Data, output: Data) -> Self {
        Self { entry, source, output }
    }

    /// Every shader that any plan takes, but for those that are written for a shape.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let scalars = [Data::F32, Data::U8, Data::U16, Data::F16, Data::I8, Data::I16];
        let mut all = Vec::new();
        for entry in
            [Entry::Direct, Entry::Gather, Entry::Edges, Entry::Flat, Entry::Phases, Entry::Strip]
        {
            let to = |from: Data| scalars.map(|output| Self::new(entry, from, output));
            all.extend(scalars.into_iter().flat_map(to));
        }
        all.extend(scalars.map(|from| Self::new(Entry::Forward, from, Data::Complex)));
        all.extend(scalars.map(|from| Self::new(Entry::Correlate, from, Data::F32)));
        all.extend(scalars.map(|from| Self::new(Entry::Whole, from, Data::F32)));
        all.push(Self::new(Entry::Delta, Data::F32, Data::Complex));
        all.push(Self::new(Entry::Products, Data::Complex, Data::Complex));
        all.push(Self::new(Entry::Taps, Data::Complex, Data::F32));
        all.push(Self::new(Entry::Multiply, Data::Complex, Data::Complex));
        all.push(Self::new(Entry::Back, Data::Complex, Data::F32));
        for entry in [Entry::Mix, Entry::Reduce, Entry::Follow, Entry::Slope] {
            all.push(Self::new(entry, Data::F32, Data::F32));
        }
        for texel in Texel::ALL.map(Data::Stored) {
            all.push(Self::new(Entry::Direct, Data::Texture, texel));
            all.push(Self::new(Entry::Flat, Data::Texture, texel));
            all.push(Self::new(Entry::Strip, Data::Texture, texel));
            all.push(Self::new(Entry::Flat, Data::F32, texel));
        }
        all.push(Self::new(Entry::Flat, Data::Texture, Data::F32));
        all.push(Self::new(Entry::Forward, Data::Texture, Data::Complex));
        all.push(Self::new(Entry::Whole, Data::Texture, Data::F32));
        all
    }

    /// Its name in messages and debuggers.
    pub fn label(self) -> String {
        let Self { entry, source, output } = self;
        let entry = match entry {
            Entry::March(_) => "March".to_string(),
            entry => format!("{entry:?}"),
        };
        format!("channelwise.{entry}.in_{}.out_{}", source.name(), output.name())
    }

    /// The same for a device that converts half floats so; where it has none the shader is what it was.
    pub fn with_halves(self, halves: Halves) -> Self {
        let Entry::March(shape) = self.entry else { return self };
        let halves = Halves {
            unpacks: halves.unpacks && self.source == Data::F16,
            packs: halves.packs && self.output == Data::F16,
        };
        Self { entry: Entry::March(MarchShape { halves, ..shape }), ..self }
    }

    /// Whether it has half floats that a device may convert by itself.
    pub fn has_halves(self) -> bool {
        matches!(self.entry, Entry::March(_)) && [self.source, self.output].contains(&Data::F16)
    }

    /// Whether it reads or writes a texture.
    pub fn has_textures(self) -> bool {
        self.source.is_texture() || self.output.is_texture()
    }
}
