//! Alpha and light around a filter: what `--alpha` and `--linear-light` ask for, or pictures by themselves.

use channelwise::color::{AlphaMode, decode, encode};
use channelwise::ndarray::{Array2, Array4, ArrayD, s};
use channelwise::{Borders, Element, Kernel, Layout, Problem};

use crate::args::{AlphaName, RunArgs};
use crate::failure::{Failure, Result, say};
use crate::files::{Alpha, Type, mapped};

/// A sum of weights of this part of their sizes is none.
const NOTHING: f64 = 1e-6;

/// What is done with pixels before and after the filter. They are f32 between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pixels {
    alpha: AlphaMode,
    linear: bool,
    /// What is opaque, and white.
    whole: f32,
}

impl Pixels {
    /// `None` where numbers are filtered as they are. `alpha` is what is known of the last of `count` channels,
    /// each of which gets so many `outputs`.
    pub(crate) fn new(
        args: &RunArgs,
        kernel: &Kernel,
        kind: Type,
        (alpha, count, outputs): (Alpha, usize, usize),
    ) -> Result<Option<Self>> {
        let has_alpha = match alpha {
            Alpha::Last => true,
            Alpha::None => false,
            Alpha::Unsaid => args.alpha.is_some() && matches!(count, 2 | 4),
        };
        let asked = args.linear_light
            || matches!(args.alpha, Some(AlphaName::Keep | AlphaName::Premultiply));
        let refuse = |why: String| {
            let option = if args.linear_light { "--linear-light" } else { "--alpha" };
            Err(Failure::usage(format!("{option}: {why}")))
        };
        if asked && outputs != 1 {
            return refuse(format!("each channel needs one output, and has {outputs}"));
        }
        if asked && args.layout == Layout::Nchw {
            return refuse("the channels of pixels lie together, and --layout is nchw".into());
        }
        if asked && alpha == Alpha::Unsaid && args.alpha.is_some() && !has_alpha {
            return refuse(format!("of 2 or 4 channels the last is alpha, and there are {count}"));
        }
        if args.linear_light && !has_alpha && !matches!(count, 1 | 3) {
            return refuse(format!("{count} channels without alpha are no colours of sRGB"));
        }
        if args.adjoint.is_some() && args.alpha == Some(AlphaName::Keep) {
            return refuse(
                "pixels of the adjoint stand on no pixel whose alpha could be kept".into(),
            );
        }
        let whole = match kind {
            Type::U8 => f32::from(u8::MAX),
            Type::U16 => f32::from(u16::MAX),
            Type::F16 | Type::F32 => 1.0,
            Type::I8 | Type::I16 | Type::U32 | Type::I32 | Type::F64 => {
                if args.linear_light || asked && has_alpha {
                    return refuse(format!("it is for u8, u16, f16 and f32, and these are {kind}"));
                }
                if alpha == Alpha::Last && args.alpha.is_none() && outputs == 1 {
                    say(&format!("note: alpha of {kind} is filtered like a colour"));
                }
                return Ok(None);
            }
        };
        let alpha = match args.alpha {
            _ if !has_alpha || outputs != 1 => AlphaMode::Filter,
            Some(AlphaName::Filter) => AlphaMode::Filter,
            Some(AlphaName::Keep) => AlphaMode::Keep,
            Some(AlphaName::Premultiply) => AlphaMode::Premultiply,
            // Nothing would be left of alpha, and edges would be invisible.
            None if sums_to_nothing(kernel) && args.adjoint.is_some() => AlphaMode::Filter,
            None if sums_to_nothing(kernel) => AlphaMode::Keep,
            None => AlphaMode::Premultiply,
        };
        let plain = alpha == AlphaMode::Filter && !args.linear_light;
        Ok((!plain).then_some(Self { alpha, linear: args.linear_light, whole }))
    }

    /// Pixels `[batch, height, width, channels]` as the filter gets them, on the scale they had.
    pub(crate) fn before<T: Element>(&self, x: &ArrayD<T>) -> Result<ArrayD<f32>> {
        let mut values = mapped("pixels as floats", x, |v| v.to_f32())?;
        let channels = values.shape().last().copied().unwrap_or(0);
        if let Some(values) = values.as_slice_mut() {
            self.decode(values, channels);
        }
        Ok(values)
    }

    /// The same of any pixels, which lie one behind the other.
    pub(crate) fn decode(&self, values: &mut [f32], channels: usize) {
        values.iter_mut().for_each(|v| *v /= self.whole);
        decode(values, channels, self.alpha, self.linear);
        values.iter_mut().for_each(|v| *v *= self.whole);
    }

    /// What the filter gave as pixels again, but for alpha that is kept.
    pub(crate) fn encode(&self, values: &mut [f32], channels: usize) {
        values.iter_mut().for_each(|v| *v /= self.whole);
        encode(values, channels, self.alpha, self.linear);
        values.iter_mut().for_each(|v| *v *= self.whole);
    }

    /// Whether alpha is that of other pixels than those that are filtered.
    pub(crate) fn keeps(&self) -> bool {
        self.alpha == AlphaMode::Keep
    }

    /// What the filter gave as pixels again; `alpha` is the input's, `[height, width]` of each picture.
    pub(crate) fn after(
        &self,
        problem: &Problem,
        border: Borders,
        mut y: Array4<f32>,
        alpha: &[Array2<f32>],
    ) -> Array4<f32> {
        let channels = y.dim().3;
        if let Some(values) = y.as_slice_mut() {
            self.encode(values, channels);
        }
        if !self.keeps() {
            return y;
        }
        let fill = border.constant().unwrap_or(0.0) as f32;
        for (number, source) in alpha.iter().enumerate() {
            let mut kept = y.slice_mut(s![number, .., .., channels - 1]);
            for ((row, column), value) in kept.indexed_iter_mut() {
                let (row, column) = problem.anchor_at(row, column);
                let place = (
                    border.rows().index(row, source.nrows()),
                    border.columns().index(column, source.ncols()),
                );
                *value = match place {
                    (Some(row), Some(column)) => source[[row, column]],
                    _ => fill,
                };
            }
        }
        y
    }

    /// Alpha of each picture, where it is kept.
    pub(crate) fn kept<T: Element>(&self, x: &ArrayD<T>) -> Vec<Array2<f32>> {
        let Some(last) = x.shape().last().and_then(|channels| channels.checked_sub(1)) else {
            return Vec::new();
        };
        if !self.keeps() {
            return Vec::new();
        }
        x.outer_iter().map(|picture| picture.slice(s![.., .., last]).mapv(T::to_f32)).collect()
    }
}

/// Whether alpha of pictures is kept unless said.
pub(crate) fn sums_to_nothing(kernel: &Kernel) -> bool {
    let weights = kernel.weights().iter().map(|w| f64::from(*w));
    let (sum, size) = weights.fold((0.0, 0.0), |(sum, size), w| (sum + w, size + w.abs()));
    sum.abs() <= NOTHING * size
}

impl std::fmt::Display for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let light = if self.linear { "in linear light" } else { "as stored" };
        let alpha = match self.alpha {
            AlphaMode::Keep => ", alpha kept",
            AlphaMode::Premultiply => ", colours weighed by alpha",
            _ => "",
        };
        write!(f, "colours {light}{alpha}")
    }
}
