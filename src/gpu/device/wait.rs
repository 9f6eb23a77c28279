//! Waiting for the device: on this thread or without blocking, never for ever, and never with a panic.
//!
//! ```text
//!   submit ── Ticket ──┬─ Wait::Here       this thread polls, a millisecond at a time
//!                      └─ Wait::Elsewhere  a thread of ours polls (poller.rs), or the app, or the browser
//!   the maps that go with the submission answer ── or the poll fails, or the time is up ──> one outcome
//! ```

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_intrusive::channel::shared::{OneshotReceiver, OneshotSender, oneshot_channel};
use wgpu::{Buffer, MapMode, PollError, PollType, Queue, SubmissionIndex};

/// Why a wait came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gpu) enum Broken {
    /// The device no longer answers, and what was said of it.
    Lost(String),
    /// It did not answer in this time.
    TimedOut(Duration),
}

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
        #[cfg(not(target_arch = "wasm32"))]
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
#[cfg(not(target_arch = "wasm32"))]
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

/// What is waited for: a submission, and the buffers that are mapped once it is done.
#[derive(Debug)]
pub(in crate::gpu) struct Ticket {
    pub(super) submission: SubmissionIndex,
    pub(super) answer: Arc<Answer>,
    outcome: OneshotReceiver<Result<(), Broken>>,
}

/// The one answer of a ticket, whoever gives it.
#[derive(Debug)]
pub(super) struct Answer {
    sender: OneshotSender<Result<(), Broken>>,
    /// What has to answer before all is well.
    left: AtomicUsize,
    settled: AtomicBool,
    /// Whether the poller looks after it.
    watched: AtomicBool,
}

impl Answer {
    /// Gives the answer, unless it was given.
    pub fn settle(&self, outcome: Result<(), Broken>) {
        // Of two failures the first is told; and where nobody waits any more, none.
        let _ = self.sender.send(outcome);
        self.settled.store(true, Ordering::Release);
    }

    fn arrived(&self, outcome: Result<(), Broken>) {
        if outcome.is_err() || self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settle(outcome);
        }
    }

    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Whether this is the first time that somebody asks.
    pub fn is_new(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }
}

impl Ticket {
    fn new(submission: SubmissionIndex, answers: usize) -> Self {
        let (sender, outcome) = oneshot_channel();
        let answer = Answer {
            sender,
            left: AtomicUsize::new(answers),
            settled: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        };
        Self { submission, answer: Arc::new(answer), outcome }
    }

    /// A submission whose end is all that is waited for.
    pub fn of_work(queue: &Queue, submission: SubmissionIndex) -> Self {
        let ticket = Self::new(submission, 1);
        let answer = ticket.answer.clone();
        queue.on_submitted_work_done(move || answer.arrived(Ok(())));
        ticket
    }

    /// A submission, and the first bytes of buffers that are mapped once it is done.
    pub fn of_maps(submission: SubmissionIndex, maps: &[(&Buffer, MapMode, u64)]) -> Self {
        let ticket = Self::new(submission, maps.len());
        for (buffer, mode, size) in maps {
            let answer = ticket.answer.clone();
            buffer.map_async(*mode, ..*size, move |mapped| {
                answer.arrived(mapped.map_err(|error| Broken::Lost(error.to_string())));
            });
        }
        ticket
    }

    /// The outcome, once it is there. Where this is given up, the outcome stays there.
    pub async fn outcome(&self) -> Result<(), Broken> {
        let gone = || Err(Broken::Lost("the answer was dropped".into()));
        self.outcome.receive().await.unwrap_or_else(gone)
    }

    /// The outcome, if it is there.
    pub async fn if_there(&self) -> Option<Result<(), Broken>> {
        let mut outcome = pin!(self.outcome());
        poll_fn(|context| {
            Poll::Ready(match outcome.as_mut().poll(context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            })
        })
        .await
    }
}
