//! The system's allocator, which counts large allocations, refuses one of them, and knows what is held.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Bytes from which on an allocation is large.
pub const LARGE: usize = 1 << 20;
/// Bytes from which on it is counted among those that are held: what threads and the test itself keep is smaller.
const HELD: usize = 1 << 14;

/// Whether large allocations are counted, how many there were, which fails (none: 0), and whether it has.
static COUNTS: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static FAILS: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Failing;

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Whether this one is refused.
fn refuses(bytes: usize) -> bool {
    if bytes < LARGE || !COUNTS.load(Relaxed) {
        return false;
    }
    let fails = COUNT.fetch_add(1, Relaxed) + 1 == FAILS.load(Relaxed);
    if fails {
        FAILED.store(true, Relaxed);
        if tells() {
            COUNTS.store(false, Relaxed);
            eprintln!("{bytes} bytes: {}", std::backtrace::Backtrace::force_capture());
            COUNTS.store(true, Relaxed);
        }
    }
    fails
}

/// Whether where an allocation is refused is told.
pub fn tells() -> bool {
    std::env::var_os("CHANNELWISE_BACKTRACE").is_some()
}

fn held(bytes: usize) -> usize {
    if bytes < HELD { 0 } else { bytes }
}

// SAFETY: all is left to the system's allocator, but that null is given at times, as any allocator may.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        LIVE.fetch_add(held(layout.size()), Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        LIVE.fetch_add(held(layout.size()), Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(held(layout.size()), Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if bytes > layout.size() && refuses(bytes) {
            return std::ptr::null_mut();
        }
        LIVE.fetch_add(held(bytes), Relaxed);
        LIVE.fetch_sub(held(layout.size()), Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

/// Bytes that are held in allocations that are not small.
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

/// What the test itself allocates within a call.
pub fn aside<R>(make: impl FnOnce() -> R) -> R {
    let counts = COUNTS.swap(false, Relaxed);
    let made = make();
    COUNTS.store(counts, Relaxed);
    made
}

/// What `call` makes while its large allocation number `fails` does; how many there were, and whether that one failed.
pub fn with_failure<R>(fails: usize, call: impl FnOnce() -> R) -> (R, usize, bool) {
    COUNT.store(0, Relaxed);
    FAILED.store(false, Relaxed);
    FAILS.store(fails, Relaxed);
    COUNTS.store(true, Relaxed);
    let made = call();
    COUNTS.store(false, Relaxed);
    (made, COUNT.load(Relaxed), FAILED.load(Relaxed))
}
