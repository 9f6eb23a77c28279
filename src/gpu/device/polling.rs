//! Polling a device, a little at a time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use wgpu::PollType;

use super::faults::{Fault, Faults};
use super::loss::answers;
use super::wait::Broken;

/// The longest rest between two looks at the device, and the shortest sleep.
const REST: [Duration; 2] = [Duration::from_micros(500), Duration::from_micros(20)];
/// How long a wait looks again at once, after whatever else wants the core: the shortest sleep is some 70 us, half of
/// a small call. (On two cores that play the GPU themselves, 100 us made such a call a third slower than
/// 300 us.)
const AT_ONCE: Duration = Duration::from_micros(500);

/// How long to look away from a device that was waited for so long already: some hundredths of that, so that
/// the end of a long job is not seen much later than it comes. None where another thread may go first.
pub(super) fn rest(waited: Duration) -> Option<Duration> {
    let [longest, shortest] = REST;
    (waited >= AT_ONCE).then(|| (waited / 32).clamp(shortest, longest))
}

/// Why a poll failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The device no longer answers, and what was said of it.
    Lost(String),
    /// A callback of the app panicked with this: whoever polls runs them.
    Theirs(Box<dyn Any + Send>),
}

impl Failed {
    /// What it is to a call that polled on its own thread. The app's panic goes on there, as if the app had
    /// polled.
    pub fn of_a_call(self) -> Broken {
        match self {
            Self::Lost(reason) => Broken::Lost(reason),
            Self::Theirs(panic) => resume_unwind(panic),
        }
    }

    /// What it is to those who wait for a thread of ours that polled.
    pub fn of_our_own(self) -> Broken {
        match self {
            Self::Lost(reason) => Broken::Lost(reason),
            Self::Theirs(panic) => {
                let text = format!("a callback of the app panicked: {}", message(&*panic));
                log::error!("{text}");
                Broken::Failed(text)
            }
        }
    }
}

/// Looks once at what is done.
///
/// Looks, and does not wait for a submission: wgpu holds its lock on all that may be destroyed as long as it waits,
/// which presenting a frame needs; and where one thread waits for a while and another polls meanwhile, wgpu-core
/// 30 panics in the first, which has read how far the device was before the second found the queue empty.
pub(super) fn poll_once(device: &wgpu::Device, faults: &Faults) -> Result<(), Failed> {
    let fault = faults.get();
    match fault {
        Some(Fault::Lost) => return Err(Failed::Lost("a fault on purpose".into())),
        Some(Fault::TimedOut) => {
            thread::sleep(REST[0]);
            return Ok(());
        }
        _ => {}
    }
    caught(device, fault == Some(Fault::Panicked))
}

/// The same before anything is waited for, where no faults are met.
pub(super) fn poll_now(device: &wgpu::Device, faults: &Faults) -> Result<(), Failed> {
    if faults.get().is_some() {
        return Ok(());
    }
    caught(device, false)
}

/// wgpu panics where the driver reports a loss, and lets panics of
/// the app's callbacks through: both are caught, and the device tells by whether it still answers which it
/// was. Only where the app aborts on panics, nothing can be done.
fn caught(device: &wgpu::Device, on_purpose: bool) -> Result<(), Failed> {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        if on_purpose {
            // Without the hook that prints: it is no accident.
            resume_unwind(Box::new("a fault on purpose"));
        }
        device.poll(PollType::Poll)
    }));
    match polled {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failed::Lost(error.to_string())),
        Err(panic) if !on_purpose && answers(device) => Err(Failed::Theirs(panic)),
        Err(panic) => Err(Failed::Lost(format!("polling panicked: {}", message(&*panic)))),
    }
}

/// The text of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
