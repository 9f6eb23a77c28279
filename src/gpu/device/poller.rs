//! The thread that polls a device while calls that do not block wait for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use wgpu::SubmissionIndex;

use super::options::Polling;
use super::polling::{Faults, SLICE, poll_once};
use super::wait::{Answer, Broken, Ticket};
use crate::{Error, Result};

/// Waits for tickets of one device.
#[derive(Debug)]
pub(super) struct Poller {
    shared: Arc<Shared>,
    pub faults: Faults,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    polling: Polling,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Watched>,
    /// Whether the thread is there.
    running: bool,
    /// Whether nobody will ever wait again.
    closed: bool,
}

/// What somebody waits for, unless the wait was given up.
#[derive(Debug)]
struct Watched {
    submission: SubmissionIndex,
    answer: Weak<Answer>,
    until: Instant,
}

impl Poller {
    pub fn new(polling: Polling, timeout: Duration) -> Self {
        let state = Mutex::default();
        let shared = Shared { state, changed: Condvar::new(), polling, timeout };
        Self { shared: Arc::new(shared), faults: Faults::default() }
    }

    /// Whether the device is polled where nobody blocks.
    pub fn polls(&self) -> bool {
        self.shared.polling == Polling::OfOurOwn
    }

    /// Polls on this thread until the ticket has its outcome.
    pub fn drive(&self, device: &wgpu::Device, ticket: &Ticket) {
        let until = Instant::now() + self.shared.timeout;
        while !ticket.answer.is_settled() {
            match poll_once(device, &ticket.submission, &self.faults) {
                Ok(false) => {}
                // Whoever polled at the same time may be about to call back.
                Ok(true) if !ticket.answer.is_settled() => thread::sleep(SLICE / 20),
                Ok(true) => {}
                Err(broken) => ticket.answer.settle(Err(broken)),
            }
            self.shared.give_up(&ticket.answer, until);
        }
    }

    /// Sees to it that the ticket gets its outcome though this thread goes on.
    pub fn watch(&self, device: &wgpu::Device, ticket: &Ticket) -> Result<()> {
        if !ticket.answer.is_new() {
            return Ok(());
        }
        let mut state = self.shared.state();
        state.waiting.push(Watched {
            submission: ticket.submission.clone(),
            answer: Arc::downgrade(&ticket.answer),
            until: Instant::now() + self.shared.timeout,
        });
        if !state.running {
            let (shared, device, faults) =
                (self.shared.clone(), device.clone(), self.faults.clone());
            let named = thread::Builder::new().name("channelwise-poll".into());
            let spawned = named.spawn(move || shared.run(&device, &faults));
            spawned.map_err(|error| Error::Threads { threads: 1, reason: error.to_string() })?;
            state.running = true;
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles what has waited long enough.
    fn give_up(&self, answer: &Answer, until: Instant) {
        if !answer.is_settled() && Instant::now() >= until {
            answer.settle(Err(Broken::TimedOut(self.timeout)));
        }
    }

    /// What the thread does until the device is closed.
    fn run(&self, device: &wgpu::Device, faults: &Faults) {
        while let Some((submission, until)) = self.next() {
            match self.polling {
                Polling::OfOurOwn => match poll_once(device, &submission, faults) {
                    Ok(false) => {}
                    Ok(true) => thread::sleep(SLICE / 20),
                    // All that wait for a device that is gone wait for nothing.
                    Err(broken) => {
                        for answer in self.state().waiting.iter().filter_map(|w| w.answer.upgrade())
                        {
                            answer.settle(Err(broken.clone()));
                        }
                    }
                },
                // The app polls; here only the time is looked at.
                Polling::ByTheApp => {
                    let left = until.saturating_duration_since(Instant::now()).max(SLICE);
                    let state = self.state();
                    let waited = self.changed.wait_timeout(state, left);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }

    /// The oldest that is still waited for, and the time at which the first gives up; waits for one. None
    /// once the device is closed.
    fn next(&self) -> Option<(SubmissionIndex, Instant)> {
        let mut state = self.state();
        loop {
            state.waiting.retain(|watched| {
                let Some(answer) = watched.answer.upgrade() else { return false };
                self.give_up(&answer, watched.until);
                !answer.is_settled()
            });
            if state.closed {
                return None;
            }
            let until = state.waiting.iter().map(|watched| watched.until).min();
            if let (Some(first), Some(until)) = (state.waiting.first(), until) {
                return Some((first.submission.clone(), until));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
