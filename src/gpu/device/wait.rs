//! Waiting for the device: on this thread or without blocking, never for ever, and never with a panic.
//!
//! ```text
//!   submit ── Ticket ──┬─ Wait::Here       this thread polls, a millisecond at a time
//!                      └─ Wait::Elsewhere  a thread of ours polls (poller.rs), or the app, or the browser
//!   the maps that go with the submission answer ── or the poll fails, or the time is up ──> one outcome
//! ```

#[cfg(not(target_arch = "wasm32"))]
use std::future::poll_fn;
#[cfg(not(target_arch = "wasm32"))]
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(target_arch = "wasm32"))]
use std::task::Poll;
use std::time::Duration;

use futures_intrusive::channel::shared::{OneshotReceiver, OneshotSender, oneshot_channel};
use wgpu::{Buffer, MapMode, Queue, SubmissionIndex};

/// Why a wait came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gpu) enum Broken {
    /// The device no longer answers, and what was said of it.
    Lost(String),
    /// It did not answer in this time.
    #[cfg(not(target_arch = "wasm32"))]
    TimedOut(Duration),
}

/// What is waited for: a submission, and the buffers that are mapped once it is done.
#[derive(Debug)]
pub(in crate::gpu) struct Ticket {
    #[cfg(not(target_arch = "wasm32"))]
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
    #[cfg(not(target_arch = "wasm32"))]
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
    #[cfg(not(target_arch = "wasm32"))]
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
            #[cfg(not(target_arch = "wasm32"))]
            watched: AtomicBool::new(false),
        };
        #[cfg(target_arch = "wasm32")]
        let _ = submission;
        Self {
            #[cfg(not(target_arch = "wasm32"))]
            submission,
            answer: Arc::new(answer),
            outcome,
        }
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

    /// Whether the outcome is there.
    pub fn is_settled(&self) -> bool {
        self.answer.is_settled()
    }

    /// The outcome, once it is there. Where this is given up, the outcome stays there.
    pub async fn outcome(&self) -> Result<(), Broken> {
        let gone = || Err(Broken::Lost("the answer was dropped".into()));
        self.outcome.receive().await.unwrap_or_else(gone)
    }

    /// The outcome, if it is there.
    #[cfg(not(target_arch = "wasm32"))]
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
