//! An engine that holds what there is, and chooses for each problem.

use super::prepared::Ready;
use super::{Backend, Engine};
use crate::gpu::Wait;
use crate::plan::{self, EngineTimes};
use crate::{Algorithm, Cpu, Error, Gpu, GpuOptions, Problem, Result};

impl Engine {
    /// The CPU, and a hardware GPU if there is one: each problem goes to the one that takes less time by
    /// the model ([`plan::choose_engine`]). `to_string()` says what it holds, and why no GPU;
    /// [`Plan::explain`](crate::Plan::explain) tells of each problem which was taken and why.
    ///
    /// Arrays lie on the host, and copying them to a GPU and back often takes longer than the CPU does for
    /// all of the work: small kernels stay on the CPU, and large ones go to a GPU of some size. Who keeps data
    /// on the device ([`GpuTensor`](crate::GpuTensor)) asks for a GPU by name, or for this one's by
    /// [`Engine::as_gpu`]. What copies cost is measured on the device when the first such engine of a
    /// process is made, for at most 20 milliseconds ([`GpuOptions::measure_costs`]).
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// # fn main() -> channelwise::Result<()> {
    /// let engine = Engine::auto();
    /// let blur = engine.prepare::<f32, f32>(&Conv2d::new(Kernel::gaussian(5, 1.2)?), [1080, 1920, 3])?;
    /// println!("{engine}\n{}", blur.plan().explain());
    /// # Ok(()) }
    /// ```
    ///
    /// Software adapters (llvmpipe, SwiftShader, WARP) are slower than our own CPU code, so they
    /// are held only when asked for: by name in `WGPU_ADAPTER_NAME`, or with [`Engine::gpu`].
    ///
    /// Which adapters there are is looked up once a process, for each setting of the environment that has a
    /// say in it (`WGPU_*`, `VK_*` and the like): a GPU that is plugged in later is seen by
    /// [`Gpu::request`] alone. Looking means loading every driver that is installed. Some of them print lines
    /// of their own on stderr: without `XDG_RUNTIME_DIR` Mesa's Vulkan layer that picks a device has
    /// libwayland complain of that, which nothing but the environment can prevent (`NODEVICE_SELECT=1`, or
    /// any folder as `XDG_RUNTIME_DIR`). On a Linux whose `/dev` holds nothing that could be a GPU, as in
    /// most containers, nothing is loaded.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn auto() -> Self {
        pollster::block_on(Self::auto_async())
    }

    /// [`Engine::auto`] without blocking.
    pub async fn auto_async() -> Self {
        Self::auto_with_async(&GpuOptions::new()).await
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
        pollster::block_on(Self::auto_with_async(options))
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

/// The problem on the faster of both.
pub(super) async fn make_ready(
    cpu: &Cpu,
    gpu: &Gpu,
    problem: Problem,
    algorithm: Algorithm,
    wait: Wait,
) -> Result<Ready> {
    let limits = cpu.limits();
    let plan = plan::choose_engine(&problem, &limits, Some(gpu.limits()), algorithm)?;
    if plan.engine() == "cpu" {
        return Ok(Ready::on_cpu(cpu, problem, plan));
    }
    match gpu.prepare_planned(&problem, algorithm, plan.clone(), wait).await {
        Ok(prepared) => Ok(Ready::Gpu(prepared)),
        Err(error) if is_too_much(&error) => {
            let plan = plan.refused(&problem, &limits, algorithm, error)?;
            Ok(Ready::on_cpu(cpu, problem, plan))
        }
        Err(error) => Err(error),
    }
}

/// What is no single problem, on the faster of both.
pub(super) async fn faster<R>(
    times: EngineTimes,
    on_gpu: impl Future<Output = Result<R>>,
    on_cpu: impl FnOnce() -> Result<R>,
) -> Result<(R, EngineTimes)> {
    if !times.gpu_is_taken()? {
        return Ok((on_cpu()?, times));
    }
    match on_gpu.await {
        Ok(made) => Ok((made, times)),
        Err(error) if is_too_much(&error) => {
            let times = times.refused(error)?;
            Ok((on_cpu()?, times))
        }
        Err(error) => Err(error),
    }
}

/// Whether a GPU says that it cannot hold a problem, which another engine may. A device that is lost, and
/// a driver that fails, are told.
fn is_too_much(error: &Error) -> bool {
    matches!(
        error,
        Error::TooLarge { .. } | Error::NotApplicable { .. } | Error::OutOfMemory { .. }
    )
}
