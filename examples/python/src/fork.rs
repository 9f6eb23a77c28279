//! What a fork leaves behind: a child has the memory of its parent and none of its threads. Pools of threads and devices
//! that were made before it are therefore neither used nor dropped in the child, but made again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many forks lie between this process and the one that loaded the module.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// Whether this process has asked for a GPU, and whether one that it was forked from had.
static GPU_HERE: AtomicBool = AtomicBool::new(false);
static GPU_BEFORE: AtomicBool = AtomicBool::new(false);

/// Called in a child, before anything else runs there.
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    if GPU_HERE.swap(false, Ordering::Relaxed) {
        GPU_BEFORE.store(true, Ordering::Relaxed);
    }
}

/// A GPU is asked for.
pub fn with_gpu() {
    GPU_HERE.store(true, Ordering::Relaxed);
}

/// Whether drivers of a GPU were loaded before a fork, which none of them survives.
pub fn gpu_is_gone() -> bool {
    GPU_BEFORE.load(Ordering::Relaxed)
}

/// Something of this process, which is left alone in another.
#[derive(Debug)]
struct Own<T> {
    forks: u64,
    value: Option<Arc<T>>,
}

impl<T> Own<T> {
    fn get(&self) -> Option<Arc<T>> {
        self.value.clone().filter(|_| self.forks == FORKS.load(Ordering::Relaxed))
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if self.forks != FORKS.load(Ordering::Relaxed) {
            std::mem::forget(self.value.take());
        }
    }
}

/// Something that is made once in each process.
#[derive(Debug)]
pub struct Once<T>(Mutex<Option<Own<T>>>);

impl<T> Once<T> {
    pub const fn empty() -> Self {
        Self(Mutex::new(None))
    }

    pub fn new(value: T) -> Self {
        let once = Self::empty();
        once.put(Arc::new(value));
        once
    }

    /// What there is, or what `make` gives. The lock is never held while that runs, nor while another thread may fork:
    /// whoever calls this holds the interpreter's lock, and `make` may give it away.
    pub fn get_or<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let there = self.lock().as_ref().and_then(Own::get);
        match there {
            Some(there) => Ok(there),
            None => Ok(self.put(Arc::new(make()?))),
        }
    }

    /// The first that was put is what all get.
    fn put(&self, value: Arc<T>) -> Arc<T> {
        let mut room = self.lock();
        if let Some(there) = room.as_ref().and_then(Own::get) {
            return there;
        }
        let own = Own { forks: FORKS.load(Ordering::Relaxed), value: Some(value.clone()) };
        *room = Some(own);
        value
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Own<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
