//! The one error type of the crate.
//!
//! Texts are lower case and name the argument, the value found and the limit it broke.

use std::ops::Deref;
use std::sync::Arc;

use crate::Algorithm;
use crate::memory::NoRoom;

/// What every fallible function of this crate returns.
///
/// ```
/// use channelwise::{Conv2d, Kernel};
///
/// fn soft(sigma: f64) -> channelwise::Result<Conv2d> {
///     Ok(Conv2d::new(Kernel::gaussian_sigma(sigma)?))
/// }
///
/// assert!(soft(1.5).is_ok() && soft(-1.0).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What lies behind an [`Error`]: what `source()` gives, kept so that errors can be cloned and compared. Two
/// are equal where their texts are.
///
/// ```
/// use channelwise::Error;
///
/// // Errors that wgpu or the system reported have one.
/// fn cause(error: &Error) -> Option<String> {
///     std::error::Error::source(error).map(ToString::to_string)
/// }
///
/// let own = channelwise::Kernel::new(0, 3, vec![]).unwrap_err();
/// assert_eq!(cause(&own), None);
/// ```
#[derive(Clone, Debug)]
pub struct ErrorSource(Arc<dyn std::error::Error + Send + Sync>);

impl ErrorSource {
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of(error: impl std::error::Error + Send + Sync + 'static) -> Option<Self> {
        Some(Self(Arc::new(error)))
    }

    /// Not in browsers, whose errors stay in their thread, which ours need not.
    #[cfg(all(feature = "gpu", target_arch = "wasm32"))]
    pub(crate) fn of(_: impl std::error::Error) -> Option<Self> {
        None
    }
}

// And no error itself, or `source()` would give this instead of what it holds.
impl Deref for ErrorSource {
    type Target = dyn std::error::Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for ErrorSource {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// Everything that can go wrong, from a bad option to a lost device.
///
/// Variants may get more fields: match them with `..`.
///
/// ```
/// use channelwise::{Error, Kernel};
///
/// let error = Kernel::gaussian(5, -1.0).unwrap_err();
/// // The argument, its value and the limit, in its text and as fields.
/// assert!(error.to_string().contains("sigma"));
/// let Error::Argument { argument, value, .. } = error else { panic!("another kind") };
/// assert_eq!((argument, &*value), ("sigma", "-1"));
/// ```
#[cfg_attr(
    feature = "gpu",
    doc = r#"
Where wgpu reported it, `source()` is wgpu's error, but for browsers; what that says is in the text of this
one too.

```no_run
use std::error::Error as _;
use channelwise::wgpu;
# fn example(error: &channelwise::Error) {
if let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<wgpu::Error>()) {
    println!("a report for wgpu: {cause:?}");
}
# }
```"#
)]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option has a value outside what it may be.
    #[error("{argument}: {value} is not allowed, {limit}")]
    #[non_exhaustive]
    Argument {
        /// Name of the option or argument.
        argument: &'static str,
        /// The value that was given.
        value: String,
        /// What it would have to satisfy.
        limit: String,
    },
    /// An array has another shape than the one needed.
    #[error("{what}: expected shape {expected:?}, found {found:?}")]
    #[non_exhaustive]
    ShapeMismatch {
        /// Which array.
        what: &'static str,
        /// The shape it must have, outermost axis first.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// The kernel does not fit into the padded input, so an output axis would have no elements.
    #[error(
        "output {axis} would be 0: input {axis} {input} plus padding {padding} is smaller than the dilated kernel's {extent}"
    )]
    #[non_exhaustive]
    EmptyOutput {
        /// `height` or `width`.
        axis: &'static str,
        /// Input size along it.
        input: usize,
        /// Padding of both sides together.
        padding: usize,
        /// `(k - 1) * dilation + 1`.
        extent: usize,
    },
    /// A size is too large to be counted.
    #[error("{what}: {value} is above the limit of {limit}")]
    #[non_exhaustive]
    TooLarge {
        /// Which size.
        what: &'static str,
        /// The size, as far as it could be computed.
        value: String,
        /// The largest that can be handled.
        limit: u64,
    },
    /// The algorithm that was asked for cannot do this problem on this engine.
    #[error("algorithm {algorithm} does not apply on the {engine}: {reason}")]
    #[non_exhaustive]
    NotApplicable {
        /// What was asked for.
        algorithm: Algorithm,
        /// `cpu` or `gpu`.
        engine: &'static str,
        /// Why it cannot.
        reason: String,
    },
    /// No adapter answers the request.
    #[error("no GPU adapter for {wanted}; found: {found}")]
    #[non_exhaustive]
    NoAdapter {
        /// What was looked for (back ends, name, whether software counts).
        wanted: String,
        /// The adapters that are there, or `none`.
        found: String,
    },
    /// The adapter refused to give a device, or the device lacks what is needed.
    #[error("device of adapter `{adapter}`: {reason}")]
    #[non_exhaustive]
    Device {
        /// Name of the adapter.
        adapter: String,
        /// What it said or lacks.
        reason: String,
        /// What wgpu said, if it did.
        source: Option<ErrorSource>,
    },
    /// The device is gone (driver reset, unplugged, or destroyed). Make a new engine.
    #[error("the GPU device was lost while {doing}: {reason}")]
    #[non_exhaustive]
    DeviceLost {
        /// What was going on.
        doing: &'static str,
        /// What the driver said.
        reason: String,
        /// The error of wgpu by which it showed, if there was one.
        source: Option<ErrorSource>,
    },
    /// The device did not answer in time ([`GpuOptions::timeout`](crate::GpuOptions::timeout)). It may be
    /// busy with other work, or hang.
    #[error("the GPU device did not answer within {after:?} while {doing}")]
    #[non_exhaustive]
    Timeout {
        /// What was going on.
        doing: &'static str,
        /// How long was waited.
        after: std::time::Duration,
    },
    /// Host or device memory is exhausted.
    #[error("out of {place} memory: {what} needs {bytes} bytes")]
    #[non_exhaustive]
    OutOfMemory {
        /// `host` or `device`.
        place: &'static str,
        /// What was being allocated.
        what: &'static str,
        /// How much it needs, in bytes.
        bytes: u64,
        /// What wgpu said, if it did.
        source: Option<ErrorSource>,
    },
    /// The driver or wgpu refused a command; a defect of this crate or of the driver. Or a callback of the app
    /// panicked on a thread of ours ([`Polling`](crate::Polling)).
    #[error("GPU error while {doing}: {message}")]
    #[non_exhaustive]
    Gpu {
        /// What was going on.
        doing: &'static str,
        /// The message of wgpu.
        message: String,
        /// What wgpu said, if it did.
        source: Option<ErrorSource>,
    },
    /// A buffer handed to `encode` cannot serve.
    #[error("{which} buffer: {reason}")]
    #[non_exhaustive]
    Buffer {
        /// `source` or `destination`.
        which: &'static str,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// A texture cannot serve: one handed to `encode_texture`, or its format.
    #[error("{which} texture: {reason}")]
    #[non_exhaustive]
    Texture {
        /// `source` or `destination`.
        which: &'static str,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The file of measured times cannot be read or written.
    #[error("tuning file {path}: {reason}")]
    #[non_exhaustive]
    TuningFile {
        /// Its path.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A file of weights, of compiled pipelines or of an array cannot be read or written, or is not of its format.
    #[error("file {path}: {reason}")]
    #[non_exhaustive]
    File {
        /// Its path.
        path: String,
        /// What is wrong, or what the system said.
        reason: String,
    },
    /// A [`Source`](crate::stream::Source) or a [`Sink`](crate::stream::Sink) failed.
    #[error("{doing} {part}: {reason}")]
    #[non_exhaustive]
    Stream {
        /// `reading` or `writing`, say.
        doing: &'static str,
        /// Which part of the input or output.
        part: String,
        /// What it said.
        reason: String,
        /// Its error.
        source: Option<ErrorSource>,
    },
    /// The app said so.
    #[error("cancelled, with {done} of {parts} parts done")]
    #[non_exhaustive]
    Cancelled {
        /// Parts of the output that are written.
        done: usize,
        /// Of so many that were to be.
        parts: usize,
    },
    /// Weights that were loaded are not those that the layer needs.
    #[error("tensor `{tensor}`: expected {expected}, found {found}")]
    #[non_exhaustive]
    Weights {
        /// Its name.
        tensor: String,
        /// Type and shape that the layer needs.
        expected: String,
        /// Type and shape that it has.
        found: String,
    },
    /// A worker pool could not be started.
    #[error("cannot start {threads} worker threads: {reason}")]
    #[non_exhaustive]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

impl From<NoRoom> for Error {
    fn from(NoRoom { what, bytes }: NoRoom) -> Self {
        Self::out_of_host_memory(what, bytes)
    }
}

impl Error {
    pub(crate) fn argument(
        argument: &'static str,
        value: impl ToString,
        limit: impl Into<String>,
    ) -> Self {
        Self::Argument { argument, value: value.to_string(), limit: limit.into() }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn stream(doing: &'static str, part: impl ToString, error: std::io::Error) -> Self {
        // Of our own files.
        if let Some(no_room) = error.get_ref().and_then(|error| error.downcast_ref::<NoRoom>()) {
            return (*no_room).into();
        }
        let (part, reason) = (part.to_string(), error.to_string());
        Self::Stream { doing, part, reason, source: ErrorSource::of(error) }
    }

    #[cfg(all(any(feature = "learn", feature = "store"), not(target_arch = "wasm32")))]
    pub(crate) fn file(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::File { path: path.display().to_string(), reason: reason.to_string() }
    }

    #[cfg(feature = "learn")]
    pub(crate) fn weights(
        tensor: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Weights { tensor: tensor.into(), expected: expected.into(), found: found.into() }
    }

    /// Public for the program, which allocates too.
    #[doc(hidden)]
    #[must_use]
    pub fn out_of_host_memory(what: &'static str, bytes: u64) -> Self {
        Self::OutOfMemory { place: "host", what, bytes, source: None }
    }

    /// Whether the device is gone, so that a new engine is needed.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::Array2;
    /// # fn main() -> channelwise::Result<()> {
    /// let mut engine = Engine::auto();
    /// let (blur, frame) = (Conv2d::new(Kernel::gaussian(5, 1.2)?), Array2::<u8>::ones((64, 48)));
    /// let mut blurred = engine.run(&blur, &frame);
    /// if blurred.as_ref().is_err_and(|error| error.is_lost()) {
    ///     engine = Engine::auto();
    ///     blurred = engine.run(&blur, &frame);
    /// }
    /// assert_eq!(blurred?.dim(), (64, 48));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::DeviceLost { .. })
    }

    /// Whether the request itself is at fault (a bad option or shape), rather than the machine.
    ///
    /// ```
    /// let error = channelwise::Kernel::new(0, 3, vec![]).unwrap_err();
    /// assert!(error.is_usage());
    /// ```
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Argument { .. }
            | Self::ShapeMismatch { .. }
            | Self::EmptyOutput { .. }
            | Self::TooLarge { .. }
            | Self::NotApplicable { .. }
            | Self::Buffer { .. }
            | Self::Texture { .. }
            | Self::Weights { .. } => true,
            Self::NoAdapter { .. }
            | Self::Device { .. }
            | Self::DeviceLost { .. }
            | Self::Timeout { .. }
            | Self::OutOfMemory { .. }
            | Self::Gpu { .. }
            | Self::TuningFile { .. }
            | Self::File { .. }
            | Self::Stream { .. }
            | Self::Cancelled { .. }
            | Self::Threads { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Error;
    use crate::Algorithm;

    #[test]
    fn what_is_at_fault() {
        let text = || String::from("said so");
        let usage = [
            Error::Argument { argument: "stride", value: "0".into(), limit: text() },
            Error::ShapeMismatch { what: "bias", expected: vec![2], found: vec![3] },
            Error::EmptyOutput { axis: "height", input: 1, padding: 0, extent: 3 },
            Error::TooLarge { what: "input", value: "9".into(), limit: 8 },
            Error::NotApplicable { algorithm: Algorithm::Flat, engine: "cpu", reason: text() },
            Error::Buffer { which: "source", reason: text() },
            Error::Texture { which: "source", reason: text() },
            Error::Weights { tensor: "kernel".into(), expected: text(), found: text() },
        ];
        let machine = [
            Error::NoAdapter { wanted: "any".into(), found: "none".into() },
            Error::Device { adapter: "x".into(), reason: text(), source: None },
            Error::DeviceLost { doing: "submitting", reason: text(), source: None },
            Error::Timeout { doing: "waiting", after: std::time::Duration::from_secs(2) },
            Error::out_of_host_memory("the output", 9),
            Error::Gpu { doing: "submitting", message: text(), source: None },
            Error::TuningFile { path: "times.txt".into(), reason: text() },
            Error::File { path: "weights.npy".into(), reason: text() },
            Error::Stream { doing: "reading", part: text(), reason: text(), source: None },
            Error::Cancelled { done: 1, parts: 9 },
            Error::Threads { threads: 9, reason: text() },
        ];
        for error in &usage {
            assert!(error.is_usage() && !error.is_lost(), "{error}");
        }
        for error in &machine {
            assert!(!error.is_usage(), "{error}");
            assert_eq!(error.is_lost(), matches!(error, Error::DeviceLost { .. }), "{error}");
        }
        // Each of its own kind, and each says something.
        let all = || usage.iter().chain(&machine);
        let kinds: HashSet<_> = all().map(std::mem::discriminant).collect();
        assert_eq!(kinds.len(), usage.len() + machine.len());
        assert!(all().all(|error| error.to_string().len() > 20));
    }
}
