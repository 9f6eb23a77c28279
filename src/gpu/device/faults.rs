//! Faults on purpose, for tests, since no device here fails by itself: one that lasts over all waits, or one at a
//! single moment of a call.
//!
//! ```text
//!   check ─ create ─ write ─ submit ─ map ─ wait ─ access      moments of a call, counted where a test asks
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be made to go wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
#[non_exhaustive]
pub enum Fault {
    /// The device is lost: polling says so, or at a moment it is destroyed in truth.
    Lost,
    /// Polling panics, as wgpu does where a driver reports a loss, and the device does not answer then.
    Panicked,
    /// The device does not answer.
    TimedOut,
    /// The device says that it is done and did not do the work.
    Stale,
    /// No buffer of more than so many bytes can be had; at a moment nothing can.
    NoRoom(u64),
}

/// When a device can fail within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
#[non_exhaustive]
pub enum Moment {
    /// Before work whose errors are caught: objects are made, or commands recorded and submitted.
    Check,
    /// Before a small buffer is made amid such work.
    Create,
    /// Before a buffer is written through the queue.
    Write,
    /// Before commands are submitted.
    Submit,
    /// Before buffers are mapped, or the end of the work is asked for.
    Map,
    /// Before a wait.
    Wait,
    /// Before the host reads or writes what is mapped.
    Access,
}

impl Moment {
    /// Whether this fault can come now.
    #[must_use]
    pub fn may_meet(self, fault: Fault) -> bool {
        match fault {
            Fault::Lost => true,
            Fault::TimedOut => self == Self::Wait,
            Fault::NoRoom(_) => {
                matches!(self, Self::Check | Self::Create | Self::Write | Self::Submit)
            }
            Fault::Panicked | Fault::Stale => false,
        }
    }
}

/// The faults of a device.
#[derive(Clone, Debug, Default)]
pub(in crate::gpu) struct Faults(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// That of the polls to come.
    lasting: Mutex<Option<Fault>>,
    /// Whether moments are counted: where nobody tests, looking at this is all that they cost.
    counts: AtomicBool,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    met: Vec<Moment>,
    /// The moment, by its number, and what happens then.
    planned: Option<(usize, Fault)>,
    /// Memory was short amid work whose errors are not told yet.
    short: bool,
}

impl Faults {
    pub fn set(&self, fault: Option<Fault>) {
        *lock(&self.0.lasting) = fault;
    }

    pub fn get(&self) -> Option<Fault> {
        *lock(&self.0.lasting)
    }

    /// Counts moments from now on, the first as 0. The fault comes at this one, once.
    pub fn fail_at(&self, moment: usize, fault: Fault) {
        *lock(&self.0.counted) = Counted { planned: Some((moment, fault)), ..Counted::default() };
        self.0.counts.store(true, Ordering::Relaxed);
    }

    /// The moments since then. From now on none is counted.
    pub fn met(&self) -> Vec<Moment> {
        self.0.counts.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.0.counted)).met
    }

    /// Counts a moment, and gives the fault that comes now.
    pub fn meet(&self, moment: Moment) -> Option<Fault> {
        if !self.0.counts.load(Ordering::Relaxed) {
            return None;
        }
        let mut counted = lock(&self.0.counted);
        counted.met.push(moment);
        let last = counted.met.len() - 1;
        let now = |planned: &mut (usize, Fault)| planned.0 == last && moment.may_meet(planned.1);
        let (_, fault) = counted.planned.take_if(now)?;
        counted.short |= matches!(fault, Fault::NoRoom(_));
        Some(fault)
    }

    /// Whether memory was short since this was asked last.
    pub fn was_short(&self) -> bool {
        self.0.counts.load(Ordering::Relaxed) && std::mem::take(&mut lock(&self.0.counted).short)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_comes_once_at_its_moment() {
        let faults = Faults::default();
        assert_eq!((faults.meet(Moment::Wait), faults.met()), (None, vec![]));
        faults.fail_at(2, Fault::NoRoom(0));
        let met = [Moment::Check, Moment::Wait, Moment::Submit, Moment::Submit];
        let came = met.map(|moment| (faults.meet(moment), faults.was_short()));
        let (well, short) = ((None, false), (Some(Fault::NoRoom(0)), true));
        assert_eq!(came, [well, well, short, well]);
        assert_eq!(faults.met(), met);
        // Memory is not short at a wait.
        faults.fail_at(0, Fault::NoRoom(0));
        assert_eq!(faults.meet(Moment::Wait), None);
        assert!(!faults.was_short());
        faults.fail_at(0, Fault::TimedOut);
        assert_eq!(faults.meet(Moment::Wait), Some(Fault::TimedOut));
    }
}
