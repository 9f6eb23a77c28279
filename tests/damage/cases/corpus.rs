//! Files that are right, small and of many kinds: what is damaged.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use channelwise::ElementType;
use channelwise::store::npy_header;
use exr::prelude::{
    Blocks, Compression, Encoding, Image, Layer, LayerAttributes, LineOrder, SpecificChannels,
    Vec2, WritableImage,
};
use image::{DynamicImage, ImageFormat};

use super::chance::Chance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bmp,
    Envi,
    Exr,
    Jpeg,
    Npy,
    Png,
    Tiff,
    Webp,
    Zarr,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Bmp,
        Self::Envi,
        Self::Exr,
        Self::Jpeg,
        Self::Npy,
        Self::Png,
        Self::Tiff,
        Self::Webp,
        Self::Zarr,
    ];

    fn of(name: &str) -> Option<Self> {
        Some(match name.rsplit('.').next()? {
            "bmp" => Self::Bmp,
            "exr" => Self::Exr,
            "jpg" => Self::Jpeg,
            "npy" => Self::Npy,
            "png" => Self::Png,
            "tif" | "tiff" => Self::Tiff,
            "webp" => Self::Webp,
            _ => return None,
        })
    }

    /// Of how many bytes in memory a byte of a file can be at most, by its packing; `None` where there is no most.
    pub(crate) fn unpacked(self) -> Option<u64> {
        match self {
            // Chunks that are not there are of one value, and a picture of one colour is of no bits.
            Self::Zarr | Self::Webp => None,
            Self::Npy | Self::Envi => Some(8),
            // LZW: 2730; deflate: 1032, and bits become four bytes.
            Self::Tiff => Some(2800),
            Self::Bmp | Self::Exr | Self::Jpeg | Self::Png => Some(1032 * 32),
        }
    }
}

/// One of them: a file, a header and data, or an array in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) kind: Kind,
    /// What the program is handed.
    pub(crate) name: String,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

fn one(name: impl Into<String>, bytes: Vec<u8>) -> Whole {
    let name = name.into();
    let kind = Kind::of(&name).unwrap_or_else(|| panic!("{name}: of no known kind"));
    Whole { kind, files: vec![(name.clone(), bytes)], name }
}

/// All that pictures and arrays are made of, and those of other writers that lie beside the tests.
pub(crate) fn all() -> Vec<Whole> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut all = pictures();
    all.extend(scenes());
    all.extend(arrays());
    all.extend(cubes());
    all.extend(there(&tests.join("program/files")));
    all.extend(folders(&tests.join("golden/zarr")));
    all
}

fn noise(len: usize) -> Vec<u8> {
    let mut chance = Chance::new(1);
    // Runs too, for whatever packs.
    (0..len).map(|at| if at % 32 < 16 { 90 } else { chance.bits() as u8 }).collect()
}

fn pictures() -> Vec<Whole> {
    let (w, h) = (23, 19);
    let raw = |channels: usize| noise(w as usize * h as usize * channels);
    let deep = |channels: usize| raw(channels).iter().map(|v| u16::from(*v) * 257).collect();
    let float = |channels: usize| raw(channels).iter().map(|v| f32::from(*v) / 255.0).collect();
    let kinds: [(&str, DynamicImage); 10] = [
        ("grey", image::GrayImage::from_raw(w, h, raw(1)).unwrap().into()),
        ("grey-alpha", image::GrayAlphaImage::from_raw(w, h, raw(2)).unwrap().into()),
        ("rgb", image::RgbImage::from_raw(w, h, raw(3)).unwrap().into()),
        ("rgba", image::RgbaImage::from_raw(w, h, raw(4)).unwrap().into()),
        ("grey16", DynamicImage::ImageLuma16(image::ImageBuffer::from_raw(w, h, deep(1)).unwrap())),
        ("la16", DynamicImage::ImageLumaA16(image::ImageBuffer::from_raw(w, h, deep(2)).unwrap())),
        ("rgb16", DynamicImage::ImageRgb16(image::ImageBuffer::from_raw(w, h, deep(3)).unwrap())),
        ("rgba16", DynamicImage::ImageRgba16(image::ImageBuffer::from_raw(w, h, deep(4)).unwrap())),
        (
            "rgb32f",
            DynamicImage::ImageRgb32F(image::Rgb32FImage::from_raw(w, h, float(3)).unwrap()),
        ),
        (
            "rgba32f",
            DynamicImage::ImageRgba32F(image::Rgba32FImage::from_raw(w, h, float(4)).unwrap()),
        ),
    ];
    let formats = [
        ("png", ImageFormat::Png),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("jpg", ImageFormat::Jpeg),
        ("exr", ImageFormat::OpenExr),
    ];
    let mut all = Vec::new();
    for (name, picture) in &kinds {
        for (extension, format) in formats {
            let mut file = Cursor::new(Vec::new());
            // What a format does not hold is left out.
            if picture.write_to(&mut file, format).is_ok() {
                all.push(one(format!("{name}.{extension}"), file.into_inner()));
            }
        }
    }
    for (depth, bits) in [
        (png::BitDepth::One, 1),
        (png::BitDepth::Two, 2),
        (png::BitDepth::Four, 4),
        (png::BitDepth::Eight, 8),
    ] {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, w, h);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(noise(3 << bits));
        encoder.set_trns(noise(1 << (bits - 1)));
        let row = (w as usize * bits).div_ceil(8);
        encoder.write_header().unwrap().write_image_data(&noise(row * h as usize)).unwrap();
        all.push(one(format!("palette{bits}.png"), file));
    }
    all
}

/// OpenEXR in each packing that is written, in lines and tiles.
fn scenes() -> Vec<Whole> {
    let packings = [
        ("none", Compression::Uncompressed),
        ("rle", Compression::RLE),
        ("zip1", Compression::ZIP1),
        ("zip16", Compression::ZIP16),
        ("piz", Compression::PIZ),
        ("pxr24", Compression::PXR24),
        ("b44", Compression::B44),
        ("b44a", Compression::B44A),
    ];
    let mut all = Vec::new();
    for (name, compression) in packings {
        for (form, blocks) in [("lines", Blocks::ScanLines), ("tiles", Blocks::Tiles(Vec2(8, 8)))] {
            let encoding = Encoding { compression, blocks, line_order: LineOrder::Increasing };
            let pixels = |Vec2(x, y): Vec2<usize>| (x as f32 / 9.0, y as f32, 0.5f32, 1.0f32);
            let channels = SpecificChannels::rgba(pixels);
            let layer = Layer::new((21, 20), LayerAttributes::named("all"), encoding, channels);
            let mut file = Cursor::new(Vec::new());
            Image::from_layer(layer).write().to_buffered(&mut file).unwrap();
            all.push(one(format!("{name}-{form}.exr"), file.into_inner()));
        }
    }
    all
}

/// A file of numbers that are small, as those of an image or of weights.
pub(crate) fn npy(element: ElementType, shape: &[usize]) -> Vec<u8> {
    let len: usize = shape.iter().product();
    let values = noise(len);
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|v| match element {
            ElementType::F32 => (f32::from(*v) / 64.0).to_ne_bytes().to_vec(),
            ElementType::F64 => (f64::from(*v) / 64.0).to_ne_bytes().to_vec(),
            // Integers, and halves of any bits.
            other => vec![*v / 4; other.bytes()],
        })
        .collect();
    [npy_header(element, shape), bytes].concat()
}

fn arrays() -> Vec<Whole> {
    let mut all = Vec::new();
    for &element in ElementType::ALL {
        all.push(one(format!("{element}.npy"), npy(element, &[13, 11, 3])));
    }
    let f32s = |shape: &[usize]| npy(ElementType::F32, shape);
    all.push(one("plane.npy", f32s(&[17, 15])));
    all.push(one("batch.npy", f32s(&[2, 9, 8, 4])));
    all.push(one("none.npy", f32s(&[3, 0, 4])));
    let as_said = |descr: &str, fortran: &str, data: Vec<u8>| {
        let header = format!(
            "{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': (13, 11, 3), }}{}\n",
            " ".repeat(30)
        );
        let start = [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..]].concat();
        [start, header.into_bytes(), data].concat()
    };
    let count = 13 * 11 * 3;
    all.push(one("fortran.npy", as_said("<f4", "True", noise(4 * count))));
    all.push(one("big.npy", as_said(">f4", "False", noise(4 * count))));
    let bits = noise(count).iter().map(|v| v & 1).collect();
    all.push(one("bool.npy", as_said("|b1", "False", bits)));
    all.push(one("wide.npy", as_said("<i8", "False", noise(8 * count))));
    // The second version counts the header by four bytes.
    let mut second = f32s(&[13, 11, 3]);
    second[6] = 2;
    second.splice(10..10, [0, 0]);
    all.push(one("second.npy", second));
    all
}

fn cubes() -> Vec<Whole> {
    let mut all = Vec::new();
    for (code, size) in [(1, 1), (2, 2), (4, 4), (5, 8), (12, 2), (14, 8)] {
        for (number, interleave) in ["bsq", "bil", "bip"].iter().enumerate() {
            let header = format!(
                "ENVI\ndescription = {{\n  a cube}}\nsamples = 9\nlines = 11\nbands = 5\nheader offset = {}\n\
                 file type = ENVI Standard\ndata type = {code}\ninterleave = {interleave}\nbyte order = {}\n\
                 wavelength = {{1.5, 2, 3, 4, 5}}\nband names = {{\n a, b, c,\n d, e}}\n",
                number * 3,
                number % 2
            );
            let data = noise(number * 3 + 9 * 11 * 5 * size);
            let stem = format!("{interleave}{code}");
            let files =
                [(format!("{stem}.hdr"), header.into_bytes()), (format!("{stem}.img"), data)];
            let name = files[number % 2].0.clone();
            all.push(Whole { kind: Kind::Envi, name, files: files.into() });
        }
    }
    all
}

/// Pictures in a folder, by name.
fn there(folder: &Path) -> Vec<Whole> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Kind::of(name).is_some_and(|kind| kind != Kind::Npy))
        .collect();
    names.sort();
    names.into_iter().map(|name| one(name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

/// Arrays in a folder, each of many files.
fn folders(folder: &Path) -> Vec<Whole> {
    let mut all: Vec<Whole> = Vec::new();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names.iter().filter(|path| path.extension().is_some_and(|e| e == "zarr")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut files = Vec::new();
        within(path, &name, &mut files);
        files.sort();
        all.push(Whole { kind: Kind::Zarr, name, files });
    }
    all
}

fn within(path: &Path, name: &str, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            within(&entry.path(), &name, files);
        } else {
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
}
