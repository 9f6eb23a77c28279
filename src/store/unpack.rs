//! Chunks one after the other: this thread fetches the next ones while the threads of the pool unpack some, and puts
//! those that are unpacked in their places.
//!
//! ```text
//! this thread   fetch 3  place 0  fetch 4  place 2 ...
//! pool               unpack 1  unpack 2  unpack 3
//! ```

use std::sync::mpsc::{Receiver, RecvError, TryRecvError, channel};
use std::thread;

use super::guard::guarded;

/// For each thread, chunks that are fetched or wait for their places, beside the one that it unpacks.
pub(super) const WAITING: usize = 1;

/// All of `keys`, in any order.
///
/// # Errors
/// The first of fetching or unpacking, whose panics are errors.
pub(super) fn each<K: Send, F: Send, T: Send>(
    keys: impl IntoIterator<Item = K>,
    fetch: impl Fn(&K) -> Result<F, String>,
    unpack: impl Fn(&K, F) -> Result<T, String> + Sync,
    mut place: impl FnMut(&K, T),
) -> Result<(), String> {
    let mut coming = keys.into_iter();
    let (tell, told) = channel();
    let unpack = &unpack;
    let at_once = (1 + WAITING) * rayon::current_num_threads().max(1);
    rayon::in_place_scope(|scope| {
        let mut under_way = 0;
        loop {
            while under_way < at_once
                && let Some(key) = coming.next()
            {
                let (fetched, tell) = (fetch(&key)?, tell.clone());
                under_way += 1;
                scope.spawn(move |_| {
                    let done = guarded(|| unpack(&key, fetched)).unwrap_or_else(Err);
                    // After an error nobody listens.
                    let _ = tell.send(done.map(|done| (key, done)));
                });
            }
            if under_way == 0 {
                return Ok(());
            }
            under_way -= 1;
            let done = next(&told).map_err(|error| error.to_string())?;
            let (key, done) = done?;
            place(&key, done);
        }
    })
}

/// What comes next. A thread of the pool, as a caller's may be, works meanwhile: if all of them waited, nobody would
/// unpack anything.
fn next<T>(told: &Receiver<T>) -> Result<T, RecvError> {
    loop {
        match told.try_recv() {
            Ok(done) => return Ok(done),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => match rayon::yield_now() {
                None => return told.recv(),
                Some(rayon::Yield::Executed) => {}
                Some(rayon::Yield::Idle) => thread::yield_now(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a caller's own, and of all at once.
    #[test]
    fn threads_of_the_pool_do_not_wait_for_themselves() {
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sums = pool.broadcast(|_| {
                let mut sum = 0;
                each(0..50, |n| Ok(*n), |_, n| Ok(2 * n), |_, double: usize| sum += double)
                    .unwrap();
                sum
            });
            assert_eq!(sums, vec![2450; threads]);
        }
    }

    #[test]
    fn each_has_its_place() {
        for count in [0, 1, 100] {
            let mut all = vec![0; count];
            let fetch = |n: &usize| Ok(n + 1);
            each(0..count, fetch, |n, next| Ok(n * next), |n, product| all[*n] = product).unwrap();
            assert!(all.iter().enumerate().all(|(n, product)| *product == n * (n + 1)));
        }
    }

    #[test]
    fn failures_end_it() {
        let fetch = |n: &usize| if *n == 3 { Err("gone".to_string()) } else { Ok(()) };
        let unpack = |n: &usize, ()| match n {
            1 => Err("damaged".to_string()),
            2 => panic!("of its own"),
            _ => Ok(()),
        };
        for (n, part) in [(1, "damaged"), (2, "of its own"), (3, "gone")] {
            let keys = std::iter::repeat_n(0, 50).chain([n]).chain(std::iter::repeat_n(0, 50));
            let error = each(keys, fetch, unpack, |_, ()| {}).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
