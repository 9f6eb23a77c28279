//! Polling a device, a little at a time, and what tests make go wrong with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wgpu::{PollError, PollType, SubmissionIndex};

use super::wait::Broken;

/// What can be made to happen at a wait: for tests, where no device fails on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
#[non_exhaustive]
pub enum Fault {
    /// Polling says that the device is lost.
    Lost,
    /// Polling panics, as wgpu does where a driver reports a loss.
    Panicked,
    /// The device does not answer.
    TimedOut,
    /// The device says that it is done and did not do the work.
    Stale,
    /// Not at a wait: no buffer of more than so many bytes can be had.
    NoRoom(u64),
}

/// The fault of the polls to come, if any: for tests.
#[derive(Clone, Debug, Default)]
pub(in crate::gpu) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    pub fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub fn get(&self) -> Option<Fault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest that one poll waits. wgpu holds its lock on all that may be destroyed meanwhile, which
/// presenting a frame needs.
pub(super) const SLICE: Duration = Duration::from_millis(1);

/// Polls for a submission once; whether it is done. wgpu panics where the driver reports a loss, and so that
/// is caught: only where the app aborts on panics, nothing can be done.
pub(super) fn poll_once(
    device: &wgpu::Device,
    submission: &SubmissionIndex,
    faults: &Faults,
) -> Result<bool, Broken> {
    let fault = faults.get();
    match fault {
        Some(Fault::Lost) => return Err(Broken::Lost("a fault on purpose".into())),
        Some(Fault::TimedOut) => {
            std::thread::sleep(SLICE);
            return Ok(false);
        }
        _ => {}
    }
    let poll = PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(SLICE) };
    let polled = catch_unwind(AssertUnwindSafe(|| {
        if fault == Some(Fault::Panicked) {
            // Without the hook that prints: it is no accident.
            std::panic::resume_unwind(Box::new("a fault on purpose"));
        }
        device.poll(poll)
    }));
    match polled {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(PollError::Timeout)) => Ok(false),
        Ok(Err(error)) => Err(Broken::Lost(error.to_string())),
        Err(panic) => Err(Broken::Lost(format!("polling panicked: {}", message(&*panic)))),
    }
}

/// Looks once at what is done already.
pub(super) fn poll_now(device: &wgpu::Device, faults: &Faults) {
    // What fails here fails once more where it is waited for.
    if faults.get().is_none() {
        let _ = catch_unwind(AssertUnwindSafe(|| device.poll(PollType::Poll)));
    }
}

/// The text of a panic.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
