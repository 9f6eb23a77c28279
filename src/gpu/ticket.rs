//! Work that is under way, and when it is done.

use std::pin::Pin;

use super::Gpu;
use super::device::{self, Wait};
use crate::Result;

/// All that was submitted on a device before the ticket was drawn, by the app too. Made by [`Gpu::ticket`].
///
/// Work that is submitted and not waited for ([`Gpu::run`], [`GpuPrepared::apply`](crate::GpuPrepared::apply))
/// can be waited for by it without reading anything back; awaited or not, dropping it changes nothing.
///
/// ```no_run
/// use channelwise::{Conv2d, Gpu, GpuTensor, Kernel};
/// # async fn example(gpu: &Gpu, x: &GpuTensor<f32>) -> channelwise::Result<()> {
/// let y = gpu.run(&Conv2d::new(Kernel::gaussian(9, 2.0)?), x)?;
/// let ticket = gpu.ticket()?;
/// // ... something else, until
/// ticket.await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Ticket {
    gpu: Gpu,
    work: device::Ticket,
}

/// What a [`Ticket`] is awaited as.
#[cfg(not(target_arch = "wasm32"))]
type Done = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
#[cfg(target_arch = "wasm32")]
type Done = Pin<Box<dyn Future<Output = Result<()>>>>;

impl Gpu {
    /// A ticket for all that was submitted so far.
    ///
    /// # Errors
    /// What the device says.
    pub fn ticket(&self) -> Result<Ticket> {
        let context = self.context();
        let submitted = context.checked("submitting", || {
            context.submit([]);
            context.work()
        });
        let work = submitted.now()?;
        context.alive("submitting")?;
        Ok(Ticket { gpu: self.clone(), work })
    }
}

impl Ticket {
    /// Whether the work is done, as far as anybody has polled; it does not poll itself.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.work.is_settled()
    }

    /// Waits until the work is done. Not in browsers, where a ticket is awaited.
    ///
    /// # Errors
    /// [`Error::DeviceLost`](crate::Error::DeviceLost) and [`Error::Timeout`](crate::Error::Timeout).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(self) -> Result<()> {
        pollster::block_on(self.gpu.context().wait(&self.work, Wait::Here))
    }
}

impl IntoFuture for Ticket {
    type Output = Result<()>;
    type IntoFuture = Done;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.gpu.context().wait(&self.work, Wait::Elsewhere).await })
    }
}
