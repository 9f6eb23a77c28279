//! Waiting for the device: on this thread or without blocking.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};
use wgpu::{Buffer, BufferAsyncError, MapMode, PollType, SubmissionIndex};

use super::Gpu;
use crate::{Error, Result};

/// How to wait for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// On this thread.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "browsers cannot block"))]
    Here,
    /// Without blocking: native devices answer only when polled, which a thread does; browsers
    /// answer by themselves.
    Elsewhere,
}

impl Wait {
    /// On this thread, where that can be.
    #[cfg(not(target_arch = "wasm32"))]
    pub const HERE: Self = Self::Here;
    #[cfg(target_arch = "wasm32")]
    pub const HERE: Self = Self::Elsewhere;
}

/// Time on the host, where there is a clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(#[cfg(not(target_arch = "wasm32"))] std::time::Instant);

impl Clock {
    /// Whether there is one.
    pub const TELLS: bool = cfg!(not(target_arch = "wasm32"));

    pub fn start() -> Self {
        Self(
            #[cfg(not(target_arch = "wasm32"))]
            std::time::Instant::now(),
        )
    }

    /// Time since the start or the last lap; zero in browsers.
    pub fn lap(&mut self) -> Duration {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let elapsed = self.0.elapsed();
            self.0 += elapsed;
            elapsed
        }
        #[cfg(target_arch = "wasm32")]
        Duration::ZERO
    }
}

/// The answer to a map.
pub(super) type Mapped = OneshotReceiver<std::result::Result<(), BufferAsyncError>>;

impl Gpu {
    /// Waits for a map.
    pub(super) async fn answer(&self, mapped: &Mapped) -> Result<()> {
        self.judge(mapped.receive().await)
    }

    fn judge(&self, answer: Option<std::result::Result<(), BufferAsyncError>>) -> Result<()> {
        match answer {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.lost(&error.to_string())),
            None => Err(self.lost("the download was dropped")),
        }
    }

    /// Waits for a map that goes with `submission`. Where this is given up, the answer stays there.
    pub(super) async fn settled(
        &self,
        submission: &SubmissionIndex,
        mapped: &Mapped,
        wait: Wait,
    ) -> Result<()> {
        let mut answer = pin!(mapped.receive());
        let mut there = None;
        if wait == Wait::Elsewhere {
            // What is done already needs no thread. Failure shows in the map's own answer.
            let _ = self.device().poll(PollType::Poll);
            there = match poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            };
        }
        let answer = match there {
            Some(answer) => answer,
            None => {
                self.poll(submission.clone(), wait)?;
                answer.await
            }
        };
        self.judge(answer)
    }

    /// Sees to it that the device's answers arrive.
    pub(super) fn poll(&self, submission: SubmissionIndex, wait: Wait) -> Result<()> {
        let poll = PollType::Wait { submission_index: Some(submission), timeout: None };
        match wait {
            Wait::Here => {
                self.device().poll(poll).map_err(|error| self.lost(&error.to_string()))?;
            }
            Wait::Elsewhere => {
                #[cfg(not(target_arch = "wasm32"))]
                {
                    let device = self.device().clone();
                    // Failure shows in the map's own answer.
                    let spawned = std::thread::Builder::new()
                        .name("channelwise-poll".into())
                        .spawn(move || device.poll(poll).map(drop));
                    spawned.map_err(|error| Error::Threads {
                        threads: 1,
                        reason: error.to_string(),
                    })?;
                }
                #[cfg(target_arch = "wasm32")]
                let _ = poll;
            }
        }
        Ok(())
    }

    /// The error for a device that no longer answers.
    pub(super) fn lost(&self, message: &str) -> Error {
        Error::DeviceLost {
            doing: "waiting for the result",
            reason: self.loss().reason().unwrap_or_else(|| message.to_string()),
        }
    }
}

/// Asks for the first bytes of a buffer; the answer comes when the device is polled.
pub(super) fn map(buffer: &Buffer, mode: MapMode, size: u64) -> Mapped {
    let (sender, mapped) = oneshot_channel();
    buffer.map_async(mode, ..size, move |result| {
        // The receiver is gone where the run was given up.
        let _ = sender.send(result);
    });
    mapped
}

/// The same for two buffers; one answer comes, when both are there or one cannot be had.
pub(super) fn map_both(buffers: [(&Buffer, MapMode, u64); 2]) -> Mapped {
    let (sender, mapped) = oneshot_channel();
    let shared = Arc::new((sender, AtomicUsize::new(buffers.len())));
    for (buffer, mode, size) in buffers {
        let shared = shared.clone();
        buffer.map_async(mode, ..size, move |result| {
            let (sender, left) = &*shared;
            if result.is_err() || left.fetch_sub(1, Ordering::AcqRel) == 1 {
                // Of two failures the first is told.
                let _ = sender.send(result);
            }
        });
    }
    mapped
}
