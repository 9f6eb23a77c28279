//! A value that comes later, from a callback or another thread, to whoever awaits it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_intrusive::channel::shared::{OneshotReceiver, OneshotSender, oneshot_channel};

/// A value that is given once and taken once.
///
/// A channel holds it. Who waits is not told to the channel, which wakes under its lock: wakers are code of the
/// app, which may wait for another value at once, let go of the last handle, or panic. Here nothing is locked while
/// one runs, and no panic comes out of it.
#[derive(Debug)]
pub(in crate::gpu) struct Promise<T: 'static> {
    sender: OneshotSender<T>,
    receiver: OneshotReceiver<T>,
    kept: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl<T: Send + 'static> Promise<T> {
    pub fn new() -> Self {
        let (sender, receiver) = oneshot_channel();
        let (kept, waiting) = (AtomicBool::new(false), Mutex::new(None));
        Self { sender, receiver, kept, waiting }
    }

    /// Gives the value, unless one was given before, and wakes whoever waits for it.
    pub fn keep(&self, value: T) {
        if self.sender.send(value).is_err() {
            return;
        }
        self.kept.store(true, Ordering::Release);
        // Whoever asks first leaves a waker and looks for the value then, so one of both is seen.
        let Some(waker) = self.wait_for(None) else { return };
        if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            log::error!("a task panicked when it was woken");
        }
    }

    /// Whether the value was given.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// The value, if it is there now.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn take(&self) -> Option<T> {
        match self.look() {
            Poll::Ready(value) => value,
            Poll::Pending => None,
        }
    }

    /// The value, once it is there; none where it was taken. One waits at a time; where that is given up, the
    /// value stays to be waited for again.
    pub fn taken(&self) -> Taking<'_, T> {
        Taking(self)
    }

    fn look(&self) -> Poll<Option<T>> {
        pin!(self.receiver.receive()).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Whom to wake from now on, and who was before.
    fn wait_for(&self, waker: Option<Waker>) -> Option<Waker> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *waiting, waker)
    }
}

/// What [`Promise::taken`] gives.
#[derive(Debug)]
pub(in crate::gpu) struct Taking<'a, T: Send + 'static>(&'a Promise<T>);

impl<T: Send + 'static> Future for Taking<'_, T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        drop(self.0.wait_for(Some(context.waker().clone())));
        self.0.look()
    }
}

impl<T: Send + 'static> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        drop(self.0.wait_for(None));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// A task that looks for its value, and then panics, where it is woken.
    #[derive(Debug)]
    struct Rash {
        promise: Promise<u8>,
        found: Mutex<Option<Poll<Option<u8>>>>,
    }

    impl Wake for Rash {
        fn wake(self: Arc<Self>) {
            let mut taken = pin!(self.promise.taken());
            let found = taken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            *self.found.lock().unwrap() = Some(found);
            // Without the hook that prints: it is no accident.
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }

    #[test]
    fn wakers_may_wait_and_panic() {
        let task = Arc::new(Rash { promise: Promise::new(), found: Mutex::default() });
        let waker = task.clone().into();
        let mut taken = pin!(task.promise.taken());
        assert_eq!(taken.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        task.promise.keep(7);
        assert_eq!(*task.found.lock().unwrap(), Some(Poll::Ready(Some(7))));
        assert_eq!(taken.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(None));
    }

    #[test]
    fn the_first_value_stays_until_it_is_taken() {
        let promise = Promise::new();
        {
            let mut given_up = pin!(promise.taken());
            let pending = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!((pending, promise.is_kept()), (Poll::Pending, false));
        }
        assert_eq!(promise.take(), None);
        promise.keep(1);
        promise.keep(2);
        assert!(promise.is_kept());
        assert_eq!(pollster::block_on(promise.taken()), Some(1));
        assert_eq!((promise.take(), promise.is_kept()), (None, true));
    }
}
