//! How failures of a device become errors.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use wgpu::ErrorFilter;

use crate::{Error, ErrorSource, Result};

/// What we have been told of a device, outside of the calls that found it out.
#[derive(Clone, Debug, Default)]
pub(in crate::gpu) struct Loss(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    /// Why it was lost.
    lost: Option<String>,
    /// The last error that no scope caught: of a lost device, or of the app's own calls.
    uncaptured: Option<String>,
    /// The first error whose call was over before it could be awaited; the next call gives it.
    late: Option<Error>,
}

impl Loss {
    /// Listens on a device of our own. Apps have one slot for these callbacks, so a borrowed
    /// device's are left alone, and its loss is seen from failing calls.
    pub fn listen(device: &wgpu::Device) -> Self {
        let loss = Self::default();
        let told = loss.clone();
        device.set_device_lost_callback(move |reason, message| {
            let text = if message.is_empty() { format!("{reason:?}") } else { message };
            told.told().lost = Some(text);
        });
        // The default handler panics. Whether the device is gone, or the app made a mistake with it, is
        // looked at when a call of ours fails.
        let told = loss.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            log::error!("on a device of channelwise: {error}");
            told.told().uncaptured = Some(error.to_string());
        }));
        loss
    }

    /// Why the device was lost, if it was and we have been told.
    pub fn reason(&self) -> Option<String> {
        self.told().lost.clone()
    }

    /// Refuses a device that is gone, as far as that can be seen.
    pub fn alive(&self, doing: &'static str, device: &wgpu::Device) -> Result<()> {
        let reason = self.reason();
        if reason.is_none() && answers(device) {
            return Ok(());
        }
        let reason = reason.or_else(|| self.told().uncaptured.clone());
        let reason = reason.unwrap_or_else(|| "it does not answer".into());
        Err(Error::DeviceLost { doing, reason, source: None })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_late(&self) -> Result<()> {
        self.told().late.take().map_or(Ok(()), Err)
    }

    /// The error that `message` of wgpu's stands for.
    fn convert(&self, error: wgpu::Error, doing: &'static str, device: &wgpu::Device) -> Error {
        let reason = self.reason();
        // Where memory is short there is none to ask with, and a device says so while it is there.
        let short = matches!(error, wgpu::Error::OutOfMemory { .. });
        if reason.is_some() || (!short && !answers(device)) {
            let reason = reason.or_else(|| self.told().uncaptured.clone());
            return Error::DeviceLost {
                doing,
                reason: reason.unwrap_or_else(|| error.to_string()),
                source: ErrorSource::of(error),
            };
        }
        match &error {
            wgpu::Error::OutOfMemory { .. } => {
                let source = ErrorSource::of(error);
                Error::OutOfMemory { place: "device", what: doing, bytes: 0, source }
            }
            wgpu::Error::Validation { description, .. }
            | wgpu::Error::Internal { description, .. } => {
                let message = description.clone();
                Error::Gpu { doing, message, source: ErrorSource::of(error) }
            }
        }
    }
}

/// The outcome of wgpu calls made inside error scopes. The scopes are closed already; on native
/// their answers are there at once, in browsers they come later.
pub(in crate::gpu) struct Checked<R> {
    value: Result<R>,
    doing: &'static str,
    device: wgpu::Device,
    loss: Loss,
    errors: Vec<Pin<Box<dyn ErrorFuture>>>,
}

/// What closing a scope gives: `Send` except on wasm, like wgpu's own.
pub(super) trait ErrorFuture:
    Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend
{
}
impl<F: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend> ErrorFuture for F {}

/// Calls `work` so that its validation, memory and internal errors are caught.
pub(super) fn checked<R>(
    device: &wgpu::Device,
    loss: &Loss,
    doing: &'static str,
    work: impl FnOnce() -> R,
) -> Checked<R> {
    let memory = device.push_error_scope(ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(ErrorFilter::Internal);
    let validation = device.push_error_scope(ErrorFilter::Validation);
    let value = work();
    // Scopes are a stack.
    let validation = validation.pop();
    let internal = internal.pop();
    let memory = memory.pop();
    Checked {
        value: Ok(value),
        doing,
        device: device.clone(),
        loss: loss.clone(),
        errors: vec![Box::pin(memory), Box::pin(internal), Box::pin(validation)],
    }
}

impl<R> Checked<R> {
    /// What comes where memory is short on purpose.
    pub fn short(device: &wgpu::Device, loss: &Loss, doing: &'static str) -> Self {
        let error = wgpu::Error::OutOfMemory { source: "a fault on purpose".into() };
        let value = Err(loss.convert(error, doing, device));
        Self { value, doing, device: device.clone(), loss: loss.clone(), errors: Vec::new() }
    }

    /// The value, or the first error: also one of an earlier call that could not be awaited.
    pub async fn done(self) -> Result<R> {
        for error in self.errors {
            if let Some(error) = error.await {
                return Err(self.loss.convert(error, self.doing, &self.device));
            }
        }
        self.loss.take_late()?;
        self.value
    }

    /// The same where nothing can be awaited. In browsers, where the answer comes later, it counts as
    /// success; an error is given by the next call that is awaited.
    pub fn now(self) -> Result<R> {
        let mut context = Context::from_waker(Waker::noop());
        for mut error in self.errors {
            match error.as_mut().poll(&mut context) {
                Poll::Ready(Some(error)) => {
                    return Err(self.loss.convert(error, self.doing, &self.device));
                }
                Poll::Ready(None) => {}
                #[cfg(target_arch = "wasm32")]
                Poll::Pending => {
                    let (loss, doing, device) =
                        (self.loss.clone(), self.doing, self.device.clone());
                    wasm_bindgen_futures::spawn_local(async move {
                        if let Some(error) = error.await {
                            let error = loss.convert(error, doing, &device);
                            loss.told().late.get_or_insert(error);
                        }
                    });
                }
                #[cfg(not(target_arch = "wasm32"))]
                Poll::Pending => {}
            }
        }
        self.value
    }
}

/// Whether a device is still there. A lost one reports no errors and makes invalid objects, and
/// only a borrowed one's owner is told; so a small buffer is made and looked at.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn answers(device: &wgpu::Device) -> bool {
    let memory = device.push_error_scope(ErrorFilter::OutOfMemory);
    let validation = device.push_error_scope(ErrorFilter::Validation);
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("channelwise.probe"),
        size: 4,
        // Mapped as it is: for others wgpu makes a second buffer, and takes a device that has no room for
        // that one to be lost.
        usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: true,
    });
    let there = buffer.get_mapped_range_mut(..).is_ok();
    drop(validation.pop());
    // A device that says that it has no room is there.
    let short = std::pin::pin!(memory.pop()).poll(&mut Context::from_waker(Waker::noop()));
    there || matches!(short, Poll::Ready(Some(_)))
}

/// In browsers buffers are made and mapped whatever became of the device, which tells why it was lost.
#[cfg(target_arch = "wasm32")]
pub(super) fn answers(_: &wgpu::Device) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> wgpu::Device {
        wgpu::Device::noop(&wgpu::DeviceDescriptor::default()).0
    }

    fn invalid() -> wgpu::Error {
        wgpu::Error::Validation { source: "told so".into(), description: "bad".into() }
    }

    /// What [`invalid`] becomes where the device is there.
    fn refused() -> Error {
        let source = ErrorSource::of(invalid());
        Error::Gpu { doing: "binding", message: "bad".into(), source }
    }

    fn lost(reason: &str) -> Error {
        let source = ErrorSource::of(invalid());
        Error::DeviceLost { doing: "binding", reason: reason.into(), source }
    }

    #[test]
    fn errors_of_the_device_keep_their_kind() {
        let (device, loss) = (device(), Loss::default());
        let memory = || wgpu::Error::OutOfMemory { source: "told so".into() };
        let error = loss.convert(memory(), "making room", &device);
        let source = ErrorSource::of(memory());
        let wanted = Error::OutOfMemory { place: "device", what: "making room", bytes: 0, source };
        assert_eq!(error, wanted);
        assert_eq!(loss.convert(invalid(), "binding", &device), refused());

        loss.told().lost = Some("driver reset".into());
        assert_eq!(loss.convert(invalid(), "binding", &device), lost("driver reset"));
        device.destroy();
        let error = Loss::default().convert(invalid(), "binding", &device);
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    }

    /// Nor is it asked then whether it is there, which takes memory.
    #[test]
    fn short_memory_is_no_loss() {
        let memory = || wgpu::Error::OutOfMemory { source: "told so".into() };
        let (device, loss) = (device(), Loss::default());
        assert!(answers(&device));
        device.destroy();
        assert!(!answers(&device));
        let error = loss.convert(memory(), "making room", &device);
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
        loss.told().lost = Some("driver reset".into());
        let error = loss.convert(memory(), "making room", &device);
        assert!(error.is_lost(), "{error}");
    }

    /// A real one, through clones, and told apart by its text.
    #[test]
    fn the_error_of_wgpu_is_the_source() {
        use std::error::Error as _;
        let (device, loss) = (device(), Loss::default());
        let made = |usage, size| {
            let (label, mapped_at_creation) = (None, true);
            let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation };
            checked(&device, &loss, "making a buffer", || device.create_buffer(&descriptor)).now()
        };
        let (unused, odd) = (wgpu::BufferUsages::empty(), wgpu::BufferUsages::COPY_DST);
        assert!(made(odd, 4).is_ok());
        let error = made(unused, 4).unwrap_err().clone();
        let source = error.source().expect("wgpu refused it");
        let source = source.downcast_ref::<wgpu::Error>();
        assert!(matches!(source, Some(wgpu::Error::Validation { .. })), "{source:?}");
        assert_eq!(made(unused, 4).unwrap_err(), error);
        let other = made(odd, 2).unwrap_err();
        assert_ne!(other, error);
        let behind = |error: &Error| match error {
            Error::Gpu { source, .. } => source.clone().expect("wgpu refused it"),
            other => panic!("{other}"),
        };
        assert_ne!(behind(&other), behind(&error));
        assert!(loss.alive("looking", &device).is_ok());
        device.destroy();
        assert!(loss.alive("looking", &device).unwrap_err().source().is_none());
    }

    #[test]
    fn a_mistake_of_the_app_is_no_loss() {
        let (device, loss) = (device(), Loss::default());
        loss.told().uncaptured = Some("the app's own".into());
        assert_eq!(loss.convert(invalid(), "binding", &device), refused());
        device.destroy();
        assert_eq!(loss.convert(invalid(), "binding", &device), lost("the app's own"));
    }

    #[test]
    fn an_error_that_came_late_is_told_once() {
        let (device, loss) = (device(), Loss::default());
        let late = Error::Gpu { doing: "uploading", message: "no room".into(), source: None };
        loss.told().late = Some(late.clone());
        let next = || pollster::block_on(checked(&device, &loss, "downloading", || 1).done());
        assert_eq!(next(), Err(late));
        assert_eq!(next(), Ok(1));
    }
}
