//! TIFF files, whole: the library reads pixels and says where they go, and which side is up is told here.

use std::io::{self, Write};

use channelwise::ndarray::{ArrayD, Axis};
use channelwise::store::memory;
use channelwise::store::pictures::{Picture, Tiff};

use super::{
    Alpha, Channels, Colours, Input, Meta, Pages, Resolution, Sample, Source, Tensor, Type,
    with_type,
};

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

pub(super) fn read(bytes: &[u8], wanted: Pages) -> Result<Input> {
    let tiff = Tiff::open(bytes, wanted == Pages::All)?;
    memory::check(tiff.needs())?;
    let kind = Type::of(tiff.element());
    let kind = kind.ok_or_else(|| format!("its elements are {}", tiff.element()))?;
    let pages = (0..tiff.pages()).map(|page| with_type!(kind, T => pixels::<T>(&tiff, page)));
    let mut tensors = pages.collect::<Result<Vec<_>>>()?;
    let tensor = match (wanted, tensors.pop()) {
        (Pages::First, Some(tensor)) => tensor,
        (_, last) => Tensor::stacked(tensors.into_iter().chain(last).collect())
            .ok_or("its pages are no batch of one type and size")?,
    };
    let channels = Channels {
        colours: if tiff.is_rgb() { Colours::Rgb } else { Colours::Grey },
        alpha: if tiff.has_alpha() { Alpha::Last } else { Alpha::None },
    };
    let resolution = tiff.resolution();
    let turned = tiff.orientations().first().is_some_and(|orientation| *orientation > 4);
    let resolution = if turned { resolution.map(Resolution::turned) } else { resolution };
    let meta = Meta { icc: tiff.icc().map(<[u8]>::to_vec), resolution, ..Meta::default() };
    let notes = left_out(wanted, tiff.count()).into_iter().chain(tiff.notes()).collect();
    Ok(Input { tensor, source: Source::Image, channels, meta, notes })
}

/// What is to be said where some of so many pages are not taken.
pub(crate) fn left_out(wanted: Pages, count: usize) -> Option<String> {
    let left = wanted == Pages::First && count > 1;
    left.then(|| format!("the first of {count} pages is taken; --pages all takes all"))
}

/// One page, upright.
fn pixels<T: Sample>(tiff: &Tiff<&[u8]>, page: usize) -> Result<Tensor> {
    let [height, width, channels] = tiff.size();
    let mut all: Vec<T> = memory::zeroed(height.saturating_mul(width).saturating_mul(channels))?;
    tiff.read(page, 0..height, 0..width, bytemuck::cast_slice_mut(&mut all))?;
    let x = ArrayD::from_shape_vec(vec![height, width, channels], all);
    let x = x.map_err(|error| error.to_string())?;
    let orientation = tiff.orientations().get(page).copied().unwrap_or(1);
    Ok(T::tensor(upright(x, orientation)))
}

/// As it is to be seen; `orientation` as Exif counts.
fn upright<T: Clone>(mut x: ArrayD<T>, orientation: u8) -> ArrayD<T> {
    let (rows, columns) = (Axis(0), Axis(1));
    if matches!(orientation, 5..=8) {
        x.swap_axes(0, 1);
    }
    if matches!(orientation, 3 | 4 | 7 | 8) {
        x.invert_axis(rows);
    }
    if matches!(orientation, 2 | 3 | 6 | 7) {
        x.invert_axis(columns);
    }
    if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() }
}

/// Pixels `[height, width, channels]` or `[batch, height, width, channels]`.
pub(super) fn write(
    y: &Tensor,
    channels: Channels,
    meta: &Meta,
    to: &mut impl Write,
) -> io::Result<()> {
    let shape = y.shape();
    let (batch, size) = shape.split_at(shape.len().saturating_sub(3));
    let &[height, width, count] = size else {
        return Err(io::Error::other(format!("its axes are {shape:?}")));
    };
    let picture = Picture {
        pages: batch.iter().product(),
        size: [height, width, count],
        element: y.kind().into(),
        // Three or four of unsaid meaning are seen as colours everywhere.
        rgb: match channels.colours {
            Colours::Rgb => true,
            Colours::Grey => false,
            Colours::Unsaid => matches!(count, 3 | 4),
        },
        alpha: channels.alpha == Alpha::Last,
        icc: meta.icc.clone(),
        resolution: meta.resolution,
        tiles: None,
    };
    to.write_all(&picture.places().map_err(io::Error::other)?.head)?;
    to.write_all(&y.bytes())
}
