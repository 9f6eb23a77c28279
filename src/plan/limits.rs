//! What a machine can do, as plain numbers.

use std::fmt;

use super::Cuts;
use crate::{ElementType, Error, Result};

/// What kind of adapter it is; block sizes and costs depend on it.
///
/// ```
/// use channelwise::plan::{AdapterClass, GpuLimits};
///
/// let laptop = GpuLimits::webgpu_defaults().with_class(AdapterClass::Integrated);
/// assert_eq!(laptop.class.to_string(), "integrated");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AdapterClass {
    /// A GPU with memory of its own, behind a bus.
    Discrete,
    /// A GPU that shares the host's memory.
    Integrated,
    /// A GPU of unknown kind (browsers do not tell).
    Unknown,
    /// A GPU played by the CPU: llvmpipe, SwiftShader, WARP.
    Software,
}

impl fmt::Display for AdapterClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Unknown => "unknown",
            Self::Software => "software",
        })
    }
}

/// The limits of a device that matter here. They are those the device was made with
/// (`device.limits()`), which may be lower than the adapter's.
///
/// Those of a device that is there are `Gpu::limits`; for one that is not, start from
/// [`GpuLimits::webgpu_defaults`] and change what it has more or less of.
///
/// ```
/// use channelwise::plan::{AdapterClass, GpuLimits};
///
/// // A card that binds two gigabytes.
/// let mut card = GpuLimits::webgpu_defaults().with_class(AdapterClass::Discrete);
/// (card.max_binding, card.max_buffer) = (2 << 30, 2 << 30);
/// assert!(card.max_binding > GpuLimits::webgpu_defaults().max_binding);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GpuLimits {
    /// Kind of the adapter.
    pub class: AdapterClass,
    /// `max_storage_buffer_binding_size`, bytes.
    pub max_binding: u64,
    /// `max_buffer_size`, bytes.
    pub max_buffer: u64,
    /// `max_compute_workgroups_per_dimension`.
    pub max_workgroups: u32,
    /// `max_compute_invocations_per_workgroup`.
    pub max_invocations: u32,
    /// `max_compute_workgroup_storage_size`, bytes.
    pub max_workgroup_memory: u32,
    /// `min_storage_buffer_offset_alignment`, bytes.
    pub offset_alignment: u32,
    /// Multiply-adds from which sizes are constants of the shader: compilers unroll its loops then,
    /// but it is compiled anew for every shape (up to half a second on a software adapter).
    pub specialise_from: u64,
    /// Loop iterations after which the driver ends an invocation, its work undone; `u64::MAX`
    /// except for one driver.
    pub max_iterations: u64,
    /// What moving data costs there, measured or known better; `None` for what is written down for its
    /// class.
    pub costs: Option<DeviceCosts>,
    /// For tests.
    #[doc(hidden)]
    pub cuts: Cuts,
}

/// What it costs to move data between the host and a device, and through the device's own memory. Rates
/// are bytes in a millisecond: a million of them are a gigabyte in a second.
///
/// What is written down for kinds of devices stands in [`DeviceCosts::DISCRETE`] and its neighbours; an
/// engine that chooses between CPU and GPU measures them
/// ([`Engine::auto`](crate::Engine::auto)).
///
/// ```
/// use channelwise::plan::{DeviceCosts, GpuLimits, choose_engine};
/// use channelwise::{Algorithm, Conv2d, Cpu, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
/// // A discrete GPU in a slow slot: PCIe 3 with four lanes.
/// let costs = DeviceCosts::DISCRETE.with_upload(3_200_000).with_download(3_200_000);
/// let gpu = GpuLimits::webgpu_defaults().with_costs(costs);
/// let conv = Conv2d::new(Kernel::laplacian4());
/// let problem = Problem::new(&conv, [1080, 1920, 3], ElementType::F32, ElementType::F32)?;
/// let plan = choose_engine(&problem, &Cpu::new().limits(), Some(&gpu), Algorithm::Auto)?;
/// assert_eq!(plan.engine(), "cpu");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeviceCosts {
    /// Rate at which the host copies into memory that the device fetches from.
    pub write: u64,
    /// Rate at which the device fetches it.
    pub upload: u64,
    /// Rate at which the device hands results over.
    pub download: u64,
    /// Rate at which the host copies them from there.
    pub read: u64,
    /// Rate of the device's own memory, what is read and what is written counted.
    pub memory: u64,
    /// Nanoseconds of a submission that does nothing, with the wait for it.
    pub latency: u64,
}

impl GpuLimits {
    /// The usual [`GpuLimits::specialise_from`]: some milliseconds of a slow device.
    pub const SPECIALISE_FROM: u64 = 1 << 22;

    /// WebGPU's default limits, which every browser grants.
    #[must_use]
    pub const fn webgpu_defaults() -> Self {
        Self {
            class: AdapterClass::Unknown,
            max_binding: 128 << 20,
            max_buffer: 256 << 20,
            max_workgroups: 65_535,
            max_invocations: 256,
            max_workgroup_memory: 16 << 10,
            offset_alignment: 256,
            specialise_from: Self::SPECIALISE_FROM,
            max_iterations: u64::MAX,
            costs: None,
            cuts: Cuts::NONE,
        }
    }

    /// The same of an adapter of another kind.
    #[must_use]
    pub const fn with_class(self, class: AdapterClass) -> Self {
        Self { class, ..self }
    }

    /// The same with these costs in place of what is written down for the class.
    #[must_use]
    pub const fn with_costs(self, costs: DeviceCosts) -> Self {
        Self { costs: Some(costs), ..self }
    }

    /// The same with another `max_storage_buffer_binding_size`, in bytes.
    #[must_use]
    pub const fn with_max_binding(self, bytes: u64) -> Self {
        Self { max_binding: bytes, ..self }
    }

    /// The same with another `max_buffer_size`, in bytes.
    #[must_use]
    pub const fn with_max_buffer(self, bytes: u64) -> Self {
        Self { max_buffer: bytes, ..self }
    }

    /// The largest range of a buffer that one band may use, bytes: what can be bound and
    /// allocated, a whole number of 16-byte vectors, and few enough elements for 32-bit indices.
    #[must_use]
    pub fn max_range(&self) -> u64 {
        let counted = 1 << 31;
        self.max_binding.min(self.max_buffer).min(counted) / 16 * 16
    }

    /// The same for bands that are uploaded and downloaded: smaller where a device could hold
    /// more, so that two bands in flight need little memory.
    #[must_use]
    pub fn max_host_range(&self) -> u64 {
        self.max_range().min(256 << 20)
    }

    /// Refuses a tensor that no buffer of the device can be.
    pub(super) fn holds(&self, what: &'static str, len: usize, element: ElementType) -> Result<()> {
        let bytes = (len as u64).saturating_mul(element.bytes() as u64);
        let limit = self.max_buffer;
        match bytes.checked_next_multiple_of(16) {
            Some(whole) if whole <= limit => Ok(()),
            Some(_) | None => Err(Error::TooLarge { what, value: bytes.to_string(), limit }),
        }
    }

    /// What bands that are uploaded and downloaded hold if they can: so little that one is copied
    /// while another is computed, and enough to make up for a submission.
    #[must_use]
    pub fn usual_host_range(&self) -> u64 {
        self.max_range().min(self.cuts.band_bytes.unwrap_or(4 << 20))
    }

    /// The largest range of a band of data that lies there.
    pub(super) fn band_bytes(&self, residence: Residence) -> u64 {
        let most = match residence {
            Residence::Host => self.max_host_range(),
            Residence::Device | Residence::Texture => self.max_range(),
        };
        most.min(self.cuts.band_bytes.unwrap_or(most))
    }

    /// Refuses an invocation of so many loop iterations where the driver would end it early.
    pub(super) fn check_iterations(&self, iterations: u64) -> Result<(), String> {
        if iterations <= self.max_iterations {
            return Ok(());
        }
        Err(format!(
            "an invocation would loop {iterations} times, and this driver silently stops at {}",
            self.max_iterations
        ))
    }

    /// As how many multiply-adds one of a scalar far from its neighbours counts: GPUs that share the host's
    /// memory wait for it.
    pub(crate) fn slow_access(&self) -> u64 {
        match self.class {
            AdapterClass::Integrated | AdapterClass::Unknown => 8,
            AdapterClass::Discrete | AdapterClass::Software => 1,
        }
    }

    /// Multiply-adds in one submission. Windows resets a GPU that does not answer for two
    /// seconds; a slow integrated GPU does some 2e11 multiply-adds a second at best and a tenth of
    /// that on a poor kernel, so this is far below it.
    #[must_use]
    pub fn max_work(&self) -> u64 {
        if let Some(work) = self.cuts.band_work {
            return work;
        }
        match self.class {
            AdapterClass::Discrete => 1 << 34,
            AdapterClass::Integrated | AdapterClass::Unknown => 1 << 32,
            // Nothing resets a software adapter; smaller submissions only let progress be seen.
            AdapterClass::Software => 1 << 36,
        }
    }
}

/// What a CPU engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CpuLimits {
    /// Worker threads.
    pub threads: usize,
    /// f32 lanes of a vector.
    pub lanes: usize,
    /// Bytes of the last cache, beyond which tensors are streamed.
    pub cache: u64,
    /// For tests.
    #[doc(hidden)]
    pub cuts: Cuts,
}

impl CpuLimits {
    /// The usual [`CpuLimits::cache`]: desktops have 16 to 64 MiB, and of larger machines a thread gets no
    /// more than that.
    pub const CACHE: u64 = 32 << 20;

    /// So many worker threads, and f32 lanes of a vector. Those of an engine are
    /// [`Cpu::limits`](crate::Cpu::limits).
    ///
    /// ```
    /// use channelwise::plan::{CpuLimits, choose_engine};
    /// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
    /// # fn main() -> channelwise::Result<()> {
    /// let conv = Conv2d::new(Kernel::gaussian(31, 5.0)?);
    /// let problem = Problem::new(&conv, [1080, 1920, 3], ElementType::F32, ElementType::F32)?;
    /// let on = |threads| choose_engine(&problem, &CpuLimits::new(threads, 8), None, Algorithm::Auto);
    /// assert!(on(16)?.predicted() < on(1)?.predicted());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn new(threads: usize, lanes: usize) -> Self {
        Self { threads, lanes, cache: Self::CACHE, cuts: Cuts::NONE }
    }

    /// The same with a last cache of so many bytes.
    #[must_use]
    pub const fn with_cache(self, bytes: u64) -> Self {
        Self { cache: bytes, ..self }
    }
}

/// The machine a plan is for.
///
/// ```
/// use channelwise::plan::{CpuLimits, Machine, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::laplacian4());
/// let problem = Problem::new(&conv, [480, 640, 3], ElementType::U8, ElementType::U8)?;
/// // Eight threads with AVX2, wherever this runs.
/// let plan = choose(&problem, &Machine::Cpu(CpuLimits::new(8, 8)), Algorithm::Auto)?;
/// assert_eq!(plan.engine(), "cpu");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Machine {
    /// The CPU engine.
    Cpu(CpuLimits),
    /// A GPU device, and where input and output lie.
    Gpu(GpuLimits, Residence),
}

/// Where input and output of a GPU plan lie.
///
/// ```
/// use channelwise::plan::{GpuLimits, Machine, Residence, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::laplacian4());
/// let problem = Problem::new(&conv, [1080, 1920, 3], ElementType::F32, ElementType::F32)?;
/// let from = |residence| {
///     choose(&problem, &Machine::Gpu(GpuLimits::webgpu_defaults(), residence), Algorithm::Auto)
/// };
/// // Copies from the host and back take longer than the work.
/// assert!(from(Residence::Host)?.predicted() > 2.0 * from(Residence::Device)?.predicted());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Residence {
    /// In host memory: uploaded and downloaded by us, so rows may be padded on the device.
    Host,
    /// In the caller's buffers on the device, rows back to back.
    Device,
    /// In the caller's textures, which no limit of buffers binds.
    Texture,
}

impl Machine {
    /// `cpu` or `gpu`.
    pub(super) fn engine(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Gpu(..) => "gpu",
        }
    }
}
