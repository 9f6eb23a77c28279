//! Problems without end: everything that the other tests draw by chance, drawn anew for as long as there is time,
//! on every SIMD level and number of threads and on GPUs of several kinds, cut at random. Each answer is held to
//! the reference, and where a cut may not show also to the bits of the whole; what fails is made small.
//!
//! ```text
//! sh tests/long.sh --minutes 60        # and goes on there the next time
//! ```
//!
//! A few of each in every run of the tests; `CHANNELWISE_LONG` has the arguments of [`progress`] otherwise.

mod cpu;
mod gpu;
#[path = "../../long/progress.rs"]
mod progress;
mod shrink;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use crate::common::gpu as a_gpu;
use progress::{Progress, Until};

/// What problems a seed had and by what they were made, each of them right; or what was wrong with one.
type Verdict = Result<Vec<(&'static str, String)>, String>;

#[test]
fn problems_on_the_cpu() {
    work("problems on the CPU", 250, || cpu::problem);
}

#[test]
fn problems_on_a_gpu() {
    if a_gpu().is_none() {
        return;
    }
    work("problems on a GPU", 16, || {
        let mut devices = gpu::Devices::default();
        move |seed| gpu::problem(&mut devices, seed)
    });
}

/// Tries seeds on as many threads as the machine has.
fn work<P: FnMut(u64) -> Verdict>(name: &'static str, few: u64, worker: impl Fn() -> P + Sync) {
    let told = std::env::var("CHANNELWISE_LONG").unwrap_or_default();
    let arguments = told.split_whitespace().map(String::from);
    let progress = Mutex::new(Progress::of(name, Until::Seeds(few), arguments).unwrap());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut problem = worker();
                loop {
                    let Some(seed) = progress.lock().unwrap().next_seed() else { return };
                    let verdict = catch_unwind(AssertUnwindSafe(|| problem(seed)));
                    let mut progress = progress.lock().unwrap();
                    match verdict {
                        Ok(Ok(made)) => {
                            progress.count("problems", made.len() as u64);
                            for (what, by) in made {
                                progress.count(what, 1);
                                progress.count(&by, 1);
                            }
                        }
                        Ok(Err(wrong)) => progress.fail(seed, wrong),
                        Err(panic) => progress.fail(seed, message(&*panic)),
                    }
                }
            });
        }
    });
    assert!(progress.into_inner().unwrap().finish(), "{name}: some failed, see above");
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("of something that is no text"))
}
