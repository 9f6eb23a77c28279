//! A value that comes later, from a callback or another thread, to whoever awaits it.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A value that is given once and taken once.
///
/// Wakers are code of the app, which may wait for another value at once, let go of the last handle, or panic:
/// nothing is locked while one runs, and no panic comes out of it.
#[derive(Debug)]
pub(in crate::gpu) struct Promise<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    /// It is not there yet, and this one waits for it.
    Open(Option<Waker>),
    There(T),
    Taken,
}

impl<T> Promise<T> {
    pub fn new() -> Self {
        Self(Mutex::new(State::Open(None)))
    }

    /// Gives the value, unless one was given before, and wakes whoever waits for it.
    pub fn keep(&self, value: T) {
        let mut state = self.state();
        let State::Open(waker) = &mut *state else { return };
        let waker = waker.take();
        *state = State::There(value);
        drop(state);
        let Some(waker) = waker else { return };
        if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            log::error!("a task panicked when it was woken");
        }
    }

    /// Whether the value was given.
    pub fn is_kept(&self) -> bool {
        !matches!(*self.state(), State::Open(_))
    }

    /// The value, if it is there now.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn take(&self) -> Option<T> {
        let mut state = self.state();
        match mem::replace(&mut *state, State::Taken) {
            State::There(value) => Some(value),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The value, once it is there; none where it was taken. One waits at a time; where that is given up, the
    /// value stays to be waited for again.
    pub fn taken(&self) -> Taking<'_, T> {
        Taking(self)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Promise::taken`] gives.
#[derive(Debug)]
pub(in crate::gpu) struct Taking<'a, T>(&'a Promise<T>);

impl<T> Future for Taking<'_, T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let waker = context.waker().clone();
        let mut state = self.0.state();
        match mem::replace(&mut *state, State::Taken) {
            State::Open(before) => {
                *state = State::Open(Some(waker));
                drop(state);
                drop(before);
                Poll::Pending
            }
            State::There(value) => Poll::Ready(Some(value)),
            State::Taken => Poll::Ready(None),
        }
    }
}

impl<T> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        let waker = match &mut *self.0.state() {
            State::Open(waker) => waker.take(),
            _ => None,
        };
        drop(waker);
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
