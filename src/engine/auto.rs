//! An engine that holds what there is, and chooses for each problem.

use super::Engine;
use super::ready::Ready;
use crate::gpu::Gpu;
use crate::plan::{self, EngineTimes};
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Algorithm, Cpu, Error, Problem, Result};

impl Engine {
    /// The CPU, and a hardware GPU if there is one: each problem goes to the one that takes less time by
    /// the model ([`plan::choose_engine`]). `to_string()` says what it holds, and why no GPU;
    /// [`Plan::explain`](crate::Plan::explain) tells of each problem which was taken and why.
    ///
    /// Arrays lie on the host, and copying them to a GPU and back often takes longer than the CPU does for
    /// all of the work: small kernels stay on the CPU, and large ones go to a GPU of some size. Who keeps data
    /// on the device ([`GpuTensor`](crate::GpuTensor)) asks for a GPU by name, or for this one's by
    /// [`Engine::as_gpu`]. What copies cost is measured on the device when the first such engine of a
    /// process is made, for at most 20 milliseconds ([`GpuOptions::measure_costs`](crate::GpuOptions::measure_costs)).
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
    ///
    /// Without the feature `gpu` it is the CPU, and says so.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn auto() -> Self {
        block_on(Self::auto_async())
    }

    /// [`Engine::auto`] without blocking.
    pub async fn auto_async() -> Self {
        #[cfg(feature = "gpu")]
        return Self::auto_with_async(&crate::GpuOptions::new()).await;
        #[cfg(not(feature = "gpu"))]
        Self::new(super::Backend::Cpu(Cpu::new()), "auto: built without the feature `gpu`".into())
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
        return Ready::on_cpu(cpu, problem, plan);
    }
    match gpu.prepare_planned(&problem, algorithm, plan.clone(), wait).await {
        Ok(prepared) => Ok(Ready::Gpu(prepared)),
        Err(error) if is_too_much(&error) => {
            let plan = plan.refused(&problem, &limits, algorithm, error)?;
            Ready::on_cpu(cpu, problem, plan)
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

/// Whether a GPU says that it cannot hold a problem, which another engine may, or not gather its bands by copies
/// of whole words. A device that is lost, and a driver that fails, are told.
fn is_too_much(error: &Error) -> bool {
    matches!(
        error,
        Error::TooLarge { .. }
            | Error::NotApplicable { .. }
            | Error::OutOfMemory { .. }
            | Error::Buffer { .. }
    )
}

#[cfg(all(test, not(feature = "gpu")))]
mod tests {
    use ndarray::{Array3, Array4};

    use crate::{Chain, Conv2d, Engine, Kernel};

    #[test]
    fn the_cpu_does_it_all_and_says_why() -> crate::Result<()> {
        let engine = Engine::auto();
        let told = engine.to_string();
        assert!(told.starts_with("cpu: ") && told.contains("without the feature `gpu`"), "{told}");

        let conv = Conv2d::like_tensorflow(Kernel::box_blur(3, 3)?);
        let x = Array4::<f32>::ones((1, 10, 10, 3));
        let y = engine.run(&conv, &x)?;
        assert_eq!(y.dim(), (1, 8, 8, 3));
        assert!(y.iter().all(|y| (y - 1.0).abs() < 1e-6));
        let prepared = engine.prepare::<f32, f32>(&conv, [1, 10, 10, 3])?;
        assert_eq!(prepared.plan().engine(), "cpu");
        assert_eq!(prepared.run(&x)?, y);

        let chain: Chain<u8, f32> = engine.chain(&[conv.clone(), conv.clone()], [9, 9, 2])?;
        let z = chain.run(&Array3::from_elem((9, 9, 2), 7))?;
        assert!(z.dim() == (5, 5, 2) && z.iter().all(|z| (z - 7.0).abs() < 1e-5));

        let gradients = engine.backward(&conv, &x, &y)?;
        assert_eq!(gradients.input.dim(), x.dim());
        assert!((gradients.weights.bias[0] - 192.0).abs() < 1e-3);
        Ok(())
    }

    /// As the feature's documentation says.
    #[test]
    fn futures_are_done_at_the_first_poll() {
        use std::task::{Context, Waker};
        let mut context = Context::from_waker(Waker::noop());
        let engine = std::pin::pin!(Engine::auto_async()).poll(&mut context);
        assert!(engine.is_ready());
        let (engine, conv) = (Engine::cpu(), Conv2d::new(Kernel::laplacian4()));
        let x = Array3::<u8>::zeros((8, 8, 3));
        let run = std::pin::pin!(engine.run_async::<u8, u8, _>(&conv, &x)).poll(&mut context);
        assert!(run.is_ready());
    }
}
