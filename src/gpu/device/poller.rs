//! The thread that polls a device while calls that do not block wait for it.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::faults::Faults;
use super::options::Polling;
use super::polling::{poll_once, rest};
use super::wait::{Answer, Broken, Ticket};
use crate::{Error, Result};

/// The longest timeout, some hundred years: there is such a time, whatever the clock.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Waits for tickets of one device.
#[derive(Debug)]
pub(super) struct Poller {
    shared: Arc<Shared>,
    pub faults: Faults,
}

#[derive(Debug)]
struct Shared {
    /// Never held while answers are given or let go of: both may run code of the app, which may come back
    /// here.
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

/// What somebody waits for.
#[derive(Debug)]
struct Watched {
    answer: Arc<Answer>,
    until: Instant,
}

/// Somebody waits as long as this is there.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    shared: &'a Shared,
    answer: &'a Arc<Answer>,
}

/// What the thread does next: it polls, if that is its to do, and then gives up those that had waited long
/// enough. On a machine with much to do the thread may come late, but never without having looked.
struct Next {
    /// How long the last who came has waited.
    poll: Option<Duration>,
    late: Vec<Arc<Answer>>,
}

impl Poller {
    pub fn new(polling: Polling, timeout: Duration, faults: &Faults) -> Self {
        let shared = Arc::new(Shared::new(polling, timeout));
        Self { shared, faults: faults.clone() }
    }

    /// Whether the device is polled where nobody blocks.
    pub fn polls(&self) -> bool {
        self.shared.polling == Polling::OfOurOwn
    }

    /// Has the time of this ticket be up.
    pub fn give_up(&self, ticket: &Ticket) {
        self.shared.give_up(&ticket.answer);
    }

    /// Polls on this thread until the ticket has its outcome. Panics with what a callback of the app panicked
    /// with, as if the app had polled.
    pub fn drive(&self, device: &wgpu::Device, ticket: &Ticket) {
        let start = Instant::now();
        while !ticket.is_settled() {
            if let Err(failed) = poll_once(device, &self.faults) {
                ticket.answer.settle(Err(failed.of_a_call()));
            }
            let waited = start.elapsed();
            if waited >= self.shared.timeout {
                self.shared.give_up(&ticket.answer);
            }
            if !ticket.is_settled() {
                rest(waited).map_or_else(thread::yield_now, thread::sleep);
            }
        }
    }

    /// Sees to it that the ticket gets its outcome though this thread goes on, as long as the watch is kept.
    /// The time begins anew with each.
    pub fn watch<'a>(&'a self, device: &wgpu::Device, ticket: &'a Ticket) -> Result<Watch<'a>> {
        let watch = Watch { shared: &self.shared, answer: &ticket.answer };
        let until = self.shared.deadline();
        let mut state = self.shared.state();
        state.waiting.push(Watched { answer: ticket.answer.clone(), until });
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
        Ok(watch)
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let at = state.waiting.iter().position(|w| Arc::ptr_eq(&w.answer, self.answer));
        let watched = at.map(|at| state.waiting.remove(at));
        drop(state);
        drop(watched);
    }
}

impl Shared {
    fn new(polling: Polling, timeout: Duration) -> Self {
        let timeout = timeout.min(LONGEST);
        Self { state: Mutex::default(), changed: Condvar::new(), polling, timeout }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a wait that begins now ends.
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn give_up(&self, answer: &Answer) {
        answer.settle(Err(Broken::TimedOut(self.timeout)));
    }

    /// What the thread does until the device is closed.
    fn run(&self, device: &wgpu::Device, faults: &Faults) {
        let _running = Running(self);
        while let Some(Next { poll, late }) = self.next() {
            match poll.map(|_| poll_once(device, faults)) {
                None | Some(Ok(())) => {}
                // All that wait for a device that is gone wait for nothing; and the callbacks of all may have
                // been dropped with the one that panicked.
                Some(Err(failed)) => {
                    let broken = failed.of_our_own();
                    self.all().iter().for_each(|answer| answer.settle(Err(broken.clone())));
                }
            }
            late.iter().for_each(|answer| self.give_up(answer));
            if let Some(waited) = poll {
                self.look_away(waited);
            }
        }
    }

    /// Until it is time to look again, or somebody comes.
    fn look_away(&self, waited: Duration) {
        match rest(waited) {
            None => thread::yield_now(),
            Some(time) => {
                let state = self.state();
                if state.waiting.iter().any(|watched| !watched.answer.is_settled()) {
                    drop(self.changed.wait_timeout(state, time));
                }
            }
        }
    }

    /// All that is waited for.
    fn all(&self) -> Vec<Arc<Answer>> {
        self.state().waiting.iter().map(|watched| watched.answer.clone()).collect()
    }

    /// What is to be done, once there is something. None once the device is closed.
    fn next(&self) -> Option<Next> {
        let mut state = self.state();
        loop {
            // Looked at under the lock each time before it is let go of to wait: whoever closes or adds
            // something has either been seen or wakes us.
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let open = || state.waiting.iter().filter(|watched| !watched.answer.is_settled());
            let late: Vec<_> =
                open().filter(|w| w.until <= now).map(|w| w.answer.clone()).collect();
            let poll = match self.polling {
                Polling::OfOurOwn => {
                    let last = open().map(|watched| watched.until).max();
                    last.map(|until| (now + self.timeout).saturating_duration_since(until))
                }
                // Here only the time is looked at.
                Polling::ByTheApp => None,
            };
            if poll.is_some() || !late.is_empty() {
                return Some(Next { poll, late });
            }
            let until = open().map(|watched| watched.until).min();
            state = match until {
                Some(until) => {
                    let waited =
                        self.changed.wait_timeout(state, until.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Says that the thread is there, until it is not, however it ends.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = false;
        let left = mem::take(&mut state.waiting);
        drop(state);
        for watched in &left {
            watched.answer.settle(Err(Broken::Failed("the thread that polls has ended".into())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::pin::Pin;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::{Context, Wake, Waker};

    use pollster::block_on;

    use super::super::faults::Fault;
    use super::*;

    /// Nothing here takes so long, unless it hangs.
    const HANGS: Duration = Duration::from_secs(60);
    /// And nothing is done in this time.
    const SLICE: Duration = Duration::from_millis(1);

    type Outcome = std::result::Result<(), Broken>;

    /// A device that is done with everything at once, and who waits for it.
    #[derive(Clone)]
    struct Bench {
        device: wgpu::Device,
        queue: wgpu::Queue,
        poller: Arc<Poller>,
    }

    impl Bench {
        fn new(polling: Polling, timeout: Duration) -> Self {
            let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
            Self {
                device,
                queue,
                poller: Arc::new(Poller::new(polling, timeout, &Faults::default())),
            }
        }

        /// One whose polls go wrong so, and whose time is up soon if they never end.
        fn with(fault: Option<Fault>) -> Self {
            let timeout = if fault == Some(Fault::TimedOut) { SLICE } else { HANGS };
            let bench = Self::new(Polling::OfOurOwn, timeout);
            bench.poller.faults.set(fault);
            bench
        }

        fn ticket(&self) -> Ticket {
            self.queue.submit([]);
            Ticket::of_work(&self.queue)
        }

        /// The same, behind a callback that panics with this.
        fn behind(&self, panic: &'static str) -> Ticket {
            self.queue.submit([]);
            // Without the hook that prints: it is no accident.
            self.queue.on_submitted_work_done(move || resume_unwind(Box::new(panic)));
            Ticket::of_work(&self.queue)
        }

        /// Waits as calls that do not block do.
        async fn wait(&self, ticket: &Ticket) -> Outcome {
            let _watch = self.poller.watch(&self.device, ticket).unwrap();
            ticket.outcome().await
        }

        fn watched(&self) -> Vec<Instant> {
            self.poller.shared.state().waiting.iter().map(|watched| watched.until).collect()
        }
    }

    /// A task that is polled where it is woken, and says what came of it. Then it panics, if it is told to.
    struct Inline {
        future: Mutex<Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>>,
        outcome: Mutex<Sender<Outcome>>,
        panics: bool,
    }

    impl Inline {
        fn start(
            future: impl Future<Output = Outcome> + Send + 'static,
            panics: bool,
        ) -> Receiver<Outcome> {
            let (outcome, told) = channel();
            let (future, outcome) =
                (Mutex::new(Some(Box::pin(future) as Pin<Box<_>>)), Mutex::new(outcome));
            let task = Arc::new(Self { future, outcome, panics });
            task.look();
            told
        }

        fn look(self: &Arc<Self>) {
            let waker = Waker::from(self.clone());
            let mut future = self.future.lock().unwrap();
            let Some(running) = future.as_mut() else { return };
            let polled = running.as_mut().poll(&mut Context::from_waker(&waker));
            if let std::task::Poll::Ready(outcome) = polled {
                *future = None;
                self.outcome.lock().unwrap().send(outcome).unwrap();
            }
        }
    }

    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            self.look();
            if self.panics {
                resume_unwind(Box::new("a waker on purpose"));
            }
        }
    }

    /// A task that waits by a poller of its own, whose last handle goes with it.
    fn task(bench: Bench, panics: bool) -> Receiver<Outcome> {
        let future = async move {
            let ticket = bench.ticket();
            bench.wait(&ticket).await
        };
        Inline::start(future, panics)
    }

    #[test]
    fn the_longest_timeout_is_a_time() {
        for polling in [Polling::OfOurOwn, Polling::ByTheApp] {
            let bench = Bench::new(polling, Duration::MAX);
            let ticket = bench.ticket();
            bench.poller.drive(&bench.device, &ticket);
            assert_eq!(block_on(bench.wait(&ticket)), Ok(()));
        }
        let bench = Bench::new(Polling::OfOurOwn, Duration::MAX);
        assert_eq!(block_on(bench.wait(&bench.ticket())), Ok(()));
    }

    #[test]
    fn a_device_that_was_closed_is_seen_before_sleeping() {
        for polling in [Polling::OfOurOwn, Polling::ByTheApp] {
            let bench = Bench::new(Polling::ByTheApp, HANGS);
            let ticket = bench.ticket();
            let shared = Shared::new(polling, HANGS);
            shared.state().closed = true;
            let until = shared.deadline();
            shared.state().waiting.push(Watched { answer: ticket.answer.clone(), until });
            assert!(shared.next().is_none());
        }
    }

    /// Woken by its answer, by a loss and by the time: it comes back to the poller, and drops its last handle.
    #[test]
    fn tasks_may_go_on_where_they_are_woken() {
        for fault in [None, Some(Fault::Lost), Some(Fault::TimedOut)] {
            let bench = Bench::with(fault);
            let shared = Arc::downgrade(&bench.poller.shared);
            let outcome = task(bench, false).recv_timeout(HANGS).expect("it hangs");
            match fault {
                None => assert_eq!(outcome, Ok(())),
                Some(Fault::Lost) => assert!(matches!(outcome, Err(Broken::Lost(_)))),
                _ => assert_eq!(outcome, Err(Broken::TimedOut(SLICE))),
            }
            let start = Instant::now();
            while shared.strong_count() > 0 {
                assert!(start.elapsed() < HANGS, "the thread stays");
                thread::sleep(SLICE);
            }
        }
    }

    #[test]
    fn a_task_that_panics_takes_nobody_with_it() {
        for fault in [None, Some(Fault::Lost), Some(Fault::TimedOut)] {
            let bench = Bench::with(fault);
            let first = task(bench.clone(), true).recv_timeout(HANGS).expect("it hangs");
            assert_eq!(first.is_ok(), fault.is_none());
            let second = task(bench, false).recv_timeout(HANGS).expect("nobody polls");
            assert_eq!(first, second);
        }
    }

    /// However late the thread comes, it looks at the device before it gives anything up.
    #[test]
    fn what_is_late_is_polled_for_first() {
        let bench = Bench::new(Polling::OfOurOwn, Duration::ZERO);
        assert_eq!(block_on(bench.wait(&bench.ticket())), Ok(()));
        bench.poller.faults.set(Some(Fault::Panicked));
        assert!(matches!(block_on(bench.wait(&bench.ticket())), Err(Broken::Lost(_))));
        let bench = Bench::new(Polling::ByTheApp, Duration::ZERO);
        let outcome = block_on(bench.wait(&bench.ticket()));
        assert_eq!(outcome, Err(Broken::TimedOut(Duration::ZERO)));
    }

    #[test]
    fn the_thread_is_made_again_where_it_ended() {
        let bench = Bench::new(Polling::OfOurOwn, HANGS);
        let ticket = bench.ticket();
        let shared = &bench.poller.shared;
        shared.state().running = true;
        let watch = bench.poller.watch(&bench.device, &ticket).unwrap();
        drop(Running(shared));
        assert!(matches!(block_on(ticket.outcome()), Err(Broken::Failed(_))));
        drop(watch);
        assert!(!shared.state().running);
        assert_eq!(block_on(bench.wait(&bench.ticket())), Ok(()));
    }

    /// Its time is that of the last one who waits, and none while nobody does.
    #[test]
    fn a_wait_that_begins_again_has_its_own_time() {
        let bench = Bench::new(Polling::ByTheApp, HANGS);
        let ticket = bench.ticket();
        let watch = bench.poller.watch(&bench.device, &ticket).unwrap();
        let first = bench.watched();
        drop(watch);
        assert_eq!((first.len(), bench.watched().len()), (1, 0));
        thread::sleep(SLICE);
        let _watch = bench.poller.watch(&bench.device, &ticket).unwrap();
        let second = bench.watched();
        assert_eq!(second.len(), 1);
        assert!(second[0] > first[0]);
    }

    /// Its panic comes out of a call that blocks, and is told to those who wait for our thread.
    #[test]
    fn a_panic_of_the_apps_is_no_loss() {
        let bench = Bench::new(Polling::OfOurOwn, HANGS);
        let ticket = bench.behind("the app's own");
        let driven = AssertUnwindSafe(|| bench.poller.drive(&bench.device, &ticket));
        let panic = catch_unwind(driven).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the app's own"));

        let ticket = bench.behind("the app's other");
        let told = "a callback of the app panicked: the app's other";
        assert_eq!(block_on(bench.wait(&ticket)), Err(Broken::Failed(told.into())));

        let ticket = bench.ticket();
        bench.poller.drive(&bench.device, &ticket);
        assert_eq!(block_on(ticket.outcome()), Ok(()));
        assert_eq!(block_on(bench.wait(&bench.ticket())), Ok(()));
    }
}
