//! Waiting for the device: on this thread or without blocking, on native never for ever, and never with a
//! panic but an app's own. In browsers nothing ends a wait but the browser.
//!
//! ```text
//!   submit ── Ticket ──┬─ Wait::Here       this thread polls, and rests between
//!                      └─ Wait::Elsewhere  a thread of ours polls (poller.rs), or the app, or the browser
//!   the maps that go with the submission answer ── or the poll fails, or the time is up ──> one outcome
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(target_arch = "wasm32"))]
use std::time::Duration;

use wgpu::{Buffer, MapMode, Queue};

use super::promise::Promise;

/// Why a wait came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gpu) enum Broken {
    /// The device no longer answers, and what was said of it.
    Lost(String),
    /// It did not answer in this time.
    #[cfg(not(target_arch = "wasm32"))]
    TimedOut(Duration),
    /// Nothing is wrong with the device; the answer did not come for another reason.
    #[cfg(not(target_arch = "wasm32"))]
    Failed(String),
}

/// What is waited for: a submission, and the buffers that are mapped once it is done.
#[derive(Debug)]
pub(in crate::gpu) struct Ticket {
    pub(super) answer: Arc<Answer>,
}

/// The one answer of a ticket, whoever gives it.
#[derive(Debug)]
pub(super) struct Answer {
    outcome: Promise<Result<(), Broken>>,
    /// What has to answer before all is well.
    left: AtomicUsize,
}

impl Answer {
    /// Gives the answer, unless it was given: of two failures the first is told. Wakes whoever waits, so
    /// nothing may be locked.
    pub fn settle(&self, outcome: Result<(), Broken>) {
        self.outcome.keep(outcome);
    }

    fn arrived(&self, outcome: Result<(), Broken>) {
        if outcome.is_err() || self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settle(outcome);
        }
    }

    pub fn is_settled(&self) -> bool {
        self.outcome.is_kept()
    }
}

impl Ticket {
    fn new(answers: usize) -> Self {
        let answer = Answer { outcome: Promise::new(), left: AtomicUsize::new(answers) };
        Self { answer: Arc::new(answer) }
    }

    /// The end of all that was submitted so far.
    pub fn of_work(queue: &Queue) -> Self {
        let ticket = Self::new(1);
        let answer = ticket.answer.clone();
        queue.on_submitted_work_done(move || answer.arrived(Ok(())));
        ticket
    }

    /// The first bytes of buffers, which are mapped once the submissions so far that use them are done.
    pub fn of_maps(maps: &[(&Buffer, MapMode, u64)]) -> Self {
        let ticket = Self::new(maps.len());
        for (buffer, mode, size) in maps {
            let answer = ticket.answer.clone();
            buffer.map_async(*mode, ..*size, move |mapped| {
                answer.arrived(mapped.map_err(|error| Broken::Lost(error.to_string())));
            });
        }
        ticket
    }

    /// Whether the outcome is there.
    pub fn is_settled(&self) -> bool {
        self.answer.is_settled()
    }

    /// The outcome, once it is there. Where this is given up, the outcome stays there.
    pub async fn outcome(&self) -> Result<(), Broken> {
        let gone = || Err(Broken::Lost("the answer was taken before".into()));
        self.answer.outcome.taken().await.unwrap_or_else(gone)
    }

    /// The outcome, if it is there.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn if_there(&self) -> Option<Result<(), Broken>> {
        self.answer.outcome.take()
    }
}
