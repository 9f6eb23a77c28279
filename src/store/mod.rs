//! Arrays in files and folders, of any size, as ends of a [stream](mod@crate::stream): `.npy` files, ENVI cubes, TIFF
//! files and Zarr arrays.
//!
//! ```no_run
//! use channelwise::store::{Create, Stored};
//! use channelwise::{Conv2d, Engine, Kernel, Layout};
//! # fn main() -> channelwise::Result<()> {
//! // A mosaic of some hundred gigabytes, in half a gigabyte of memory.
//! let mosaic = Stored::open("mosaic.zarr", Layout::Nhwc)?;
//! let blur = Conv2d::new(Kernel::gaussian(31, 5.0)?);
//! let blur = Engine::auto().prepare::<u8, u8>(&blur, mosaic.shape())?;
//! let shape = blur.problem().output_shape();
//! let mut blurred = Create::new("blurred.zarr").like(&mosaic).open::<u8>(shape)?;
//! blur.stream(512 << 20).run(&mut mosaic.source::<u8>()?, &mut blurred)?;
//! # Ok(()) }
//! ```
//!
//! A process that is killed leaves each chunk of a Zarr array whole or absent, and a file under a name of its own
//! (`y.npy.partial`) until it is whole. The same again with [`Create::resume`] and
//! [`Stream::resume`](crate::stream::Stream::resume) does what is left; [`Create::share`] and
//! [`Stream::share`](crate::stream::Stream::share) let many processes write one output.
//!
//! ```text
//! stored, create: what is there, and what is to be
//!   │
//!   ├── zarr/                   chunks, packed, in a folder
//!   ├── tiff/                   pages of strips and tiles
//!   ├── flat: npy, envi, tiff   a header and numbers; in `partial` until all are there
//!   └── raw                     numbers in any order of axes
//!        │
//!       axes, sample, positioned, guard (decoders' panics), jpeg, unpack, room, wide
//! ```
#![doc = include_str!("shards.md")]

mod axes;
mod create;
mod envi;
mod flat;
mod guard;
mod jpeg;
mod npy;
mod partial;
mod positioned;
mod raw;
mod room;
mod sample;
mod stored;
mod tiff;
mod unpack;
mod wide;
mod zarr;

pub use create::{Create, Created};

/// Headers of ENVI files, for the program, which reads and writes whole ones.
#[doc(hidden)]
pub mod cubes {
    pub use super::envi::{
        Found, Header, Interleave, Keys, Output, Refused, code, data_of, find, header_of,
        is_header, length, looked_for, text,
    };
}

/// Memory that files need, for the program.
#[doc(hidden)]
pub mod memory {
    pub use super::room::{available, check, zeroed};
}

/// TIFF files, for the program, which reads and writes whole ones.
#[doc(hidden)]
pub mod pictures {
    pub use super::jpeg::Jpeg;
    pub use super::positioned::At;
    pub use super::tiff::{INKS, Picture, Places, Resolution, Tiff, is_tiff};
}

// For the program, which reads and writes whole files.
#[doc(hidden)]
pub use guard::{guarded, is_guarded};
#[doc(hidden)]
pub use npy::{
    Header as NpyHeader, MAGIC as NPY_MAGIC, header as npy_header, is_npy,
    type_name as npy_type_name,
};
#[doc(hidden)]
pub use sample::Sample;
pub use stored::{Stored, StoredSource};
#[doc(hidden)]
pub use wide::Wide;
