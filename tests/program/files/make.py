"""Makes the files beside it, TIFF files each with what must be read from them as .npy.

    python -m venv V && V/bin/pip install tifffile imagecodecs pillow numpy OpenEXR
    V/bin/python make.py

Made with tifffile 2026.3.3, imagecodecs 2026.3.6, Pillow 13.0.0 (libtiff), OpenEXR 3.5.3.
What is expected is the array that was written, or what NumPy makes of it; where a file is lossy, what Pillow reads from it.
"""

import pathlib
import struct
import zlib

import imagecodecs
import numpy as np
import OpenEXR
import tifffile
from PIL import Image, ImageCms

here = pathlib.Path(__file__).parent
H, W = 19, 23  # no whole number of tiles or strips
x = np.add.outer(np.arange(H) * 37, np.arange(W) * 11).astype("u1")
bands = [x, x[::-1], (x.astype("u2") * 7 % 251).astype("u1"), x[:, ::-1], x ^ 0x55]
rgb = np.stack(bands[:3], -1)
rng = np.random.default_rng(1)


def expect(name, y):
    y = np.asarray(y)
    np.save(here / f"{name}.npy", np.ascontiguousarray(y[..., None] if y.ndim == 2 else y))


def make(name, data, expected=None, **options):
    tifffile.imwrite(here / f"{name}.tif", data, metadata=None, software=False, **options)
    expect(name, data if expected is None else expected)




# Packings, in strips and tiles, in one plane and several, in both orders of bytes.
for packing in ["none", "lzw", "adobe_deflate", "deflate", "packbits"]:
    for tile in [None, (16, 16)]:
        for planar in ["contig", "separate"]:
            order = "<>"[(packing != "lzw") ^ (tile is None) ^ (planar == "contig")]
            data = rgb if packing in ("lzw", "packbits") else rgb.astype("u2") * 257 + 3
            shape = "tiles" if tile else "strips"
            wide = np.moveaxis(data, -1, 0) if planar == "separate" else data
            options = dict(tile=tile) if tile else dict(rowsperstrip=7)
            make(f"{packing}-{shape}-{planar}", wide, data, compression=packing, byteorder=order,
                 planarconfig=planar, photometric="rgb", **options)

# Types, and predictors where there are any.
wave = (np.sin(np.arange(H * W) / 9).reshape(H, W) * 1000).astype("f8")
for kind in ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]:
    for order in "<>":
        data = (wave / 8).astype(kind) if kind[0] != "u" else np.abs(wave / 4).astype(kind)
        if kind[1] in "48" and kind[0] != "f":
            data = data * data.dtype.type(70_001)
        expected = data.astype("f8") if kind in ("u8", "i8") else data
        end = "little" if order == "<" else "big"
        tile = (16, 16) if order == "<" else None
        make(f"{kind}-{end}", data, expected, byteorder=order, tile=tile)
        predictor = 3 if kind[0] == "f" else 2
        make(f"{kind}-{end}-predictor", data, expected, byteorder=order, tile=tile,
             compression="zlib", predictor=predictor)
two = np.stack([x, x[::-1]], -1).astype("u2") * 200
make("predictor-of-bands", two, two, compression="lzw", predictor=True, photometric="minisblack",
     planarconfig="contig", extrasamples=["unspecified"])

# Bands: of any number, and those beside colours.
for n in [2, 5]:
    many = np.stack((bands * 2)[:n], -1)
    make(f"bands-{n}", many, photometric="minisblack", planarconfig="contig")
    make(f"bands-{n}-planes", np.moveaxis(many, -1, 0), many, photometric="minisblack",
         planarconfig="separate", tile=(16, 16), compression="lzw")
make("rgb-and-infrared", np.stack(bands[:4], -1), photometric="rgb", extrasamples=["unspecified"])
make("rgba", np.stack(bands[:4], -1), photometric="rgb", extrasamples=["unassalpha"])
make("grey-alpha", np.stack(bands[:2], -1), photometric="minisblack", planarconfig="contig",
     extrasamples=["unassalpha"])
make("bigtiff", rgb, bigtiff=True, photometric="rgb", rowsperstrip=4)
make("bigtiff-big-endian", rgb, bigtiff=True, byteorder=">", photometric="rgb", tile=(16, 16))

# Colours multiplied with alpha.
for kind, full in [("u1", 255), ("u2", 65535), ("f4", 1)]:
    alpha = (x.astype("f8") / 255)
    alpha[0] = 0
    alpha[1] = 1
    colours = np.stack([alpha * c / 255 for c in bands[1:4]] + [alpha], -1)
    data = (colours * full + (0 if kind == "f4" else 0.5)).astype(kind)
    a = data[..., 3:].astype("f8")
    with np.errstate(all="ignore"):
        c = np.where(a == 0, 0, data[..., :3].astype("f8") * full / a)
        if kind == "f4":
            c = np.where(data[..., 3:] == 0, 0, data[..., :3] / data[..., 3:])
    if kind != "f4":
        c = np.minimum(np.floor(c + 0.5), full)
    make(f"premultiplied-{kind}", data, np.concatenate([c.astype(kind), data[..., 3:]], -1),
         photometric="rgb", extrasamples=["assocalpha"])

# Other colours.
make("white-is-zero", x, 255 - x, photometric="miniswhite")
palette = rng.integers(0, 256, (3, 256)).astype("u2")
make("palette", x, np.moveaxis(palette[:, x], 0, -1).astype("u1"), photometric="palette",
     colormap=palette * 257)
make("palette-of-16-bits", x, np.moveaxis((palette * 251 + 1)[:, x], 0, -1), photometric="palette",
     colormap=palette * 251 + 1)
cmyk = np.stack(bands[:4], -1)
ink = 255 - cmyk.astype("i4")
make("cmyk", cmyk, ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype("u1"), photometric="separated")
bits = (x > 100)
make("bits", bits, bits.astype("u1") * 255, photometric="minisblack")
make("bits-white-is-zero", bits, 255 - bits.astype("u1") * 255, photometric="miniswhite", rowsperstrip=5)


def pillow(name, image, expected=None, **options):
    image.save(here / f"{name}.tif", **options)
    expect(name, np.asarray(Image.open(here / f"{name}.tif")) if expected is None else expected)


pillow("fax4", Image.fromarray(bits), bits.astype("u1") * 255, compression="group4")
smooth = np.stack([np.add.outer(np.arange(32) * 3, np.arange(48) * k) for k in (1, 2, 3)], -1).astype("u1")
pillow("jpeg-rgb", Image.fromarray(smooth), compression="jpeg", quality=95)
pillow("jpeg-grey", Image.fromarray(smooth[..., 0]), compression="jpeg", quality=95)
tifffile.imwrite(here / "jpeg-ycbcr.tif", smooth, compression="jpeg", compressionargs={"level": 95}, photometric="ycbcr",
                 tile=(32, 32), metadata=None, software=False)
expect("jpeg-ycbcr", np.asarray(Image.open(here / "jpeg-ycbcr.tif").convert("RGB")))

# Pages, the second a smaller version of the first and none of its own.
with tifffile.TiffWriter(here / "pages.tif") as file:
    file.write(rgb, photometric="rgb", metadata=None, software=False)
    file.write(rgb[::2, ::2], photometric="rgb", subfiletype=1, metadata=None, software=False)
    file.write(rgb[::-1], photometric="rgb", metadata=None, software=False)
expect("pages", rgb)
np.save(here / "pages-all.npy", np.stack([rgb, rgb[::-1]]))

# A picture whose header says 100 000 by 100 000 and 16 bits.
chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
(here / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 16, 6, 0, 0, 0))
                                 + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))

# A page that cannot be read is no matter to the first, and a page that calls itself a smaller version of none
# is one.
with tifffile.TiffWriter(here / "page-before-lab.tif") as file:
    file.write(rgb, photometric="rgb", metadata=None, software=False)
    file.write(rgb, photometric="cielab", metadata=None, software=False)
expect("page-before-lab", rgb)
make("page-of-none", rgb, photometric="rgb", subfiletype=1)


def raw(name, entries, data, expected=None, order="<"):
    """A file of one strip from tags as numbers, for what tifffile does not write."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    entries = sorted({256: W, 257: H, 259: 1, 262: 1, 277: 1, 278: H, 279: len(data), **entries}.items())
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    out = head + struct.pack(order + "H", len(entries) + 1)
    for tag, value in sorted(entries + [(273, start)]):
        out += struct.pack(order + "HHII", tag, 4, 1, value)
    (here / f"{name}.tif").write_bytes(out + struct.pack(order + "I", 0) + data)
    if expected is not None:
        expect(name, expected)


def packed(values, bits):
    """Rows of numbers of so many bits, the highest first."""
    all_bits = (values[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(all_bits.reshape(len(values), -1), axis=1).tobytes()


for n in [2, 4, 6, 10, 12, 14]:
    values = np.add.outer(np.arange(H) * 37, np.arange(W) * 111) % (1 << n)
    full = 255 if n < 8 else 65535
    spread = ((values * full + ((1 << n) - 1) // 2) // ((1 << n) - 1)).astype("u1" if n < 8 else "u2")
    raw(f"packed-{n}", {258: n}, packed(values, n), spread, order="<>"[n % 4 == 0])

# LZW tiles that leave out what lies below the last row.
cut = [x[r:r + 16, c:c + 16] for r in (0, 16) for c in (0, 16)]
cut = [imagecodecs.lzw_encode(np.pad(t, ((0, 0), (0, 16 - t.shape[1])), mode="edge").tobytes()) for t in cut]
start = 8 + 2 + 12 * 10 + 4
tables = start + 2 * 16
offsets = np.cumsum([tables] + [len(t) for t in cut])
out = b"II" + struct.pack("<HIH", 42, 8, 10)
for tag, count, value in [(256, 1, W), (257, 1, H), (258, 1, 8), (259, 1, 5), (262, 1, 1), (277, 1, 1),
                          (322, 1, 16), (323, 1, 16), (324, 4, start), (325, 4, start + 16)]:
    out += struct.pack("<HHII", tag, 4, count, value)
out += struct.pack("<I4I4I", 0, *offsets[:4], *(len(t) for t in cut)) + b"".join(cut)
(here / "cut-tiles.tif").write_bytes(out)
expect("cut-tiles", x)

# What cannot be read, each for a reason that is told.
refused = dict(metadata=None, software=False)
for packing in ["zstd", "lzma", "lerc", "jpegxl"]:
    tifffile.imwrite(here / f"no-{packing}.tif", x, compression=packing, **refused)
tifffile.imwrite(here / "no-complex.tif", wave.astype("c8"), **refused)
tifffile.imwrite(here / "no-lab.tif", rgb, photometric="cielab", **refused)
tifffile.imwrite(here / "no-mosaic.tif", x, photometric="cfa", **refused)
raw("no-reversed-bits", {258: 8, 266: 2}, x.tobytes())
with tifffile.TiffWriter(here / "no-batch.tif") as file:
    file.write(rgb, photometric="rgb", **refused)
    file.write(x, photometric="minisblack", **refused)

# Which side is up: as NumPy turns it.
turns = [lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud, lambda a: a.transpose(1, 0, 2),
         lambda a: np.rot90(a, -1), lambda a: np.rot90(a, 2).transpose(1, 0, 2), lambda a: np.rot90(a, 1)]
for number, turn in enumerate(turns, 1):
    make(f"orientation-{number}", rgb[:7, :9], turn(rgb[:7, :9]), photometric="rgb",
         extratags=[(274, "H", 1, number, True)])

# What a file says beside its pixels: a profile, Exif with a camera's name and a quarter turn, resolution.
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
profile = profile[:24] + bytes(12) + profile[36:]  # without the hour
(here / "srgb.icc").write_bytes(profile)
photo = Image.fromarray(smooth)
exif = Image.Exif()
exif[0x010F], exif[0x0112] = "a camera", 6
for name in ["meta.jpg", "meta.png", "meta.webp"]:
    photo.save(here / name, icc_profile=profile, exif=exif, dpi=(254, 127))
tifffile.imwrite(here / "meta.tiff", smooth, photometric="rgb", resolution=((301, 2), (603, 4)),
                 resolutionunit="inch", iccprofile=profile, **refused)
photo.convert("CMYK").save(here / "cmyk.jpg", quality=95, icc_profile=profile)
np.save(here / "cmyk-jpg.npy", np.asarray(Image.open(here / "cmyk.jpg").convert("RGB")))

# Halves with alpha, by which colours are multiplied.
half = np.concatenate([rgb.astype("f2") / 4, np.where(x[..., None] > 99, 0.5, 1).astype("f2")], -1)
stored = half.copy()
stored[..., :3] *= half[..., 3:]
header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
with OpenEXR.File(header, {"RGBA": stored}) as file:
    file.write(str(here / "halves.exr"))
np.save(here / "halves-exr.npy", half.astype("f4"))

# Depth beside colours.
with OpenEXR.File(header, {"RGB": np.ascontiguousarray(stored[..., :3]), "Z": x.astype("f4")}) as file:
    file.write(str(here / "depth.exr"))
