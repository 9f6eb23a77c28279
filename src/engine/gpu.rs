//! Engines that hold a GPU.

use super::{Backend, Engine};
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Cpu, Gpu, GpuOptions, Result};

impl Engine {
    /// A GPU: the best adapter there is, a software one if there is no other, or the one that
    /// `WGPU_ADAPTER_NAME`, `WGPU_BACKEND` and `WGPU_POWER_PREF` name. For more say see
    /// [`Gpu::request`] and [`Gpu::from_device`].
    ///
    /// # Errors
    /// [`Error::NoAdapter`](crate::Error::NoAdapter) where there is none, [`Error::Device`](crate::Error::Device) where it gives no device.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn gpu() -> Result<Self> {
        Gpu::request(&GpuOptions::new()).map(Self::from)
    }

    /// [`Engine::gpu`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn gpu_async() -> Result<Self> {
        Gpu::request_async(&GpuOptions::new()).await.map(Self::from)
    }

    /// The GPU, if it is one or holds one. Which engine a problem is computed by says
    /// [`Plan::engine`](crate::Plan::engine).
    #[must_use]
    pub fn as_gpu(&self) -> Option<&Gpu> {
        match &self.shared.backend {
            Backend::Gpu(gpu) | Backend::Both { gpu, .. } => Some(gpu),
            Backend::Cpu(_) => None,
        }
    }

    /// [`Engine::auto`] with more say in which GPU it holds, and how that plans. Software adapters are left
    /// out all the same, unless one is named.
    ///
    /// ```
    /// use channelwise::{Engine, GpuOptions, wgpu};
    /// // The GPU that saves power, planned for as its class usually is.
    /// let power = wgpu::PowerPreference::LowPower;
    /// let engine = Engine::auto_with(&GpuOptions::new().power(power).measure_costs(false));
    /// println!("{engine}");
    /// ```
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn auto_with(options: &GpuOptions) -> Self {
        block_on(Self::auto_with_async(options))
    }

    /// [`Engine::auto_with`] without blocking.
    pub async fn auto_with_async(options: &GpuOptions) -> Self {
        match Gpu::request_to_choose(&options.clone().hardware_only()).await {
            Ok(gpu) => Self::choosing(Cpu::new(), gpu),
            Err(reason) => Self::new(Backend::Cpu(Cpu::new()), format!("auto: {reason}")),
        }
    }

    /// An engine that chooses between these two for each problem, as [`Engine::auto`] does: for a device of
    /// the app's, or threads of its own.
    ///
    /// ```no_run
    /// use channelwise::{Cpu, Engine, Gpu};
    /// # fn example(gpu: Gpu) -> channelwise::Result<()> {
    /// let engine = Engine::choosing(Cpu::with_threads(4)?, gpu);
    /// println!("{engine}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn choosing(cpu: Cpu, gpu: Gpu) -> Self {
        Self::new(Backend::Both { cpu, gpu }, "auto: for each problem the faster".into())
    }
}

impl From<Gpu> for Engine {
    fn from(gpu: Gpu) -> Self {
        Self::new(Backend::Gpu(gpu), "asked for".into())
    }
}

/// Compile-time check, as for what does without a GPU.
#[cfg(not(target_arch = "wasm32"))]
const _: () = {
    use crate::{Conv2d, FrameStream, GpuPrepared, GpuTensor};
    const fn shareable<T: Send + Sync>() {}
    shareable::<GpuPrepared>();
    shareable::<GpuTensor<f32>>();
    shareable::<FrameStream<u8, f32>>();
    const fn sendable<F: Future + Send>(_: &F) {}
    #[expect(dead_code, reason = "only its types are checked")]
    fn futures(gpu: &Gpu, conv: &Conv2d, x: &GpuTensor<u8>, frames: &mut FrameStream<u8, f32>) {
        sendable(&gpu.run_async::<u8, f32>(conv, x));
        sendable(&x.download_async());
        sendable(&frames.push_async(&[]));
    }
};
