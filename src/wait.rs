//! Waiting, and the time it takes: what an engine needs to know of them, whichever it is.

use std::time::Duration;

/// Runs a future to its end on this thread.
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
pub(crate) use pollster::block_on;

/// Runs a future to its end on this thread. Only devices let one wait: the first poll is the last.
#[cfg(not(any(feature = "gpu", target_arch = "wasm32")))]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        std::thread::yield_now();
    }
}

/// How to wait for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// On this thread.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "browsers cannot block"))]
    Here,
    /// Without blocking: native devices answer only when polled, which a thread or the app does;
    /// browsers answer by themselves.
    Elsewhere,
}

impl Wait {
    /// On this thread, where that can be.
    #[cfg(not(target_arch = "wasm32"))]
    pub const HERE: Self = Self::Here;
    #[cfg(all(feature = "gpu", target_arch = "wasm32"))]
    pub const HERE: Self = Self::Elsewhere;
}

/// Time on the host, where there is a clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(#[cfg(not(target_arch = "wasm32"))] std::time::Instant);

impl Clock {
    /// Whether there is one.
    #[cfg(feature = "gpu")]
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

#[cfg(all(test, not(feature = "gpu")))]
mod tests {
    use std::task::Poll;

    /// Though no future of ours asks for it.
    #[test]
    fn what_is_not_ready_is_asked_again() {
        let mut polls = 0;
        let third = std::future::poll_fn(|_| {
            polls += 1;
            if polls == 3 { Poll::Ready("done") } else { Poll::Pending }
        });
        assert_eq!(super::block_on(third), "done");
        assert_eq!(polls, 3);
    }
}
