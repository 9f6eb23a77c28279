//! Loaded into the program before the system's library: fails calls that read or write files of a folder.
//!
//! `FAULT_FOLDER` names it, and `FAULT_CALLS` which calls are meant, `r`, `w` or both. They fail with `FAULT_ERRNO` from
//! number `FAULT_FIRST` on; every other one where that is `EINTR`, which asks for the same call once more. Where
//! `FAULT_CLOCK` is set, clocks jump.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const EINTR: usize = 4;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getenv(name: *const c_char) -> *const c_char;
    fn readlink(path: *const c_char, to: *mut c_char, len: usize) -> isize;
    fn __errno_location() -> *mut c_int;
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

fn said(name: &CStr) -> &'static [u8] {
    // SAFETY: nobody changes the environment of this process.
    unsafe {
        let value = getenv(name.as_ptr());
        if value.is_null() { b"" } else { CStr::from_ptr(value).to_bytes() }
    }
}

fn number(name: &CStr) -> usize {
    said(name).iter().fold(0, |n, digit| 10 * n + usize::from(digit - b'0'))
}

/// Whether this call fails; then the reason is told.
fn fails(file: c_int, call: u8) -> bool {
    let folder = said(c"FAULT_FOLDER");
    if folder.is_empty() || !said(c"FAULT_CALLS").contains(&call) {
        return false;
    }
    let mut link = *b"/proc/self/fd/0000000000\0";
    let (mut rest, mut at) = (file, link.len() - 2);
    while at >= b"/proc/self/fd/".len() {
        link[at] = b'0' + (rest % 10) as u8;
        (rest, at) = (rest / 10, at - 1);
    }
    // The system knows no leading zeros.
    let first = "/proc/self/fd/".len();
    let digits = link[first..link.len() - 2].iter().take_while(|digit| **digit == b'0').count();
    link.copy_within(first + digits.., first);
    let mut path = [0u8; 4096];
    // SAFETY: both are as long as is said, and the first ends with 0.
    let len = unsafe { readlink(link.as_ptr().cast(), path.as_mut_ptr().cast(), path.len()) };
    if !usize::try_from(len).is_ok_and(|len| path[..len].starts_with(folder)) {
        return false;
    }
    let (count, errno) = (COUNT.fetch_add(1, Relaxed) + 1, number(c"FAULT_ERRNO"));
    let fails = match errno {
        EINTR => count % 2 == 1,
        _ => count >= number(c"FAULT_FIRST"),
    };
    if fails {
        // SAFETY: it is this thread's own.
        unsafe { *__errno_location() = errno as c_int };
    }
    fails
}

/// Each fails or is the system's.
macro_rules! calls {
    ($($call:literal $name:ident ($($arg:ident: $type:ty),*) -> $out:ty;)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(file: c_int $(, $arg: $type)*) -> $out {
            if fails(file, $call) {
                return -1;
            }
            const NEXT: *mut c_void = -1isize as *mut c_void;
            const NAME: &str = concat!(stringify!($name), "\0");
            // SAFETY: the system's function of that name, called as this one was.
            unsafe {
                let real = dlsym(NEXT, NAME.as_ptr().cast());
                let real: unsafe extern "C" fn(c_int $(, $type)*) -> $out = std::mem::transmute(real);
                real(file $(, $arg)*)
            }
        }
    )* };
}

calls! {
    b'r' read(to: *mut c_void, len: usize) -> isize;
    b'r' pread64(to: *mut c_void, len: usize, at: i64) -> isize;
    b'w' write(from: *const c_void, len: usize) -> isize;
    b'w' pwrite64(from: *const c_void, len: usize, at: i64) -> isize;
    b'w' ftruncate64(len: i64) -> c_int;
    b'w' fsync() -> c_int;
    b'w' fdatasync() -> c_int;
}

/// Seconds and nanoseconds.
#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: i64,
}

/// A clock that jumps, where `FAULT_CLOCK` asks for it: the date to before 1970 and far into the future, the time since
/// the start an hour back and forth.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, to: *mut Time) -> c_int {
    const NEXT: *mut c_void = -1isize as *mut c_void;
    const REAL: c_int = 0;
    // SAFETY: the system's function of that name, called as this one was; it has filled `to` where it gives 0.
    unsafe {
        let real = dlsym(NEXT, c"clock_gettime".as_ptr());
        let real: unsafe extern "C" fn(c_int, *mut Time) -> c_int = std::mem::transmute(real);
        let done = real(clock, to);
        if done == 0 && !said(c"FAULT_CLOCK").is_empty() {
            let count = COUNT.fetch_add(1, Relaxed);
            let time = &mut *to;
            time.seconds = match (clock, count % 3) {
                (REAL, 0) => -5_000_000_000,
                (REAL, 1) => 32_000_000_000,
                (_, 2) => time.seconds,
                (_, n) => (time.seconds + if n == 0 { 3600 } else { -3600 }).max(0),
            };
        }
        done
    }
}
