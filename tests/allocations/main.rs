//! Memory that is exhausted: of each call the first large allocation fails, then the second, and so on until the call
//! succeeds. Whichever it is, the call says so by an error, nothing is kept, and the next call is as if nothing had
//! been.
//!
//! Large is 1 MiB and more. What still ends the process where there is no memory for it:
//! - a kernel of 250000 taps and more, whose copies and factors are not asked for;
//! - lists with an entry for each row or each column of a kernel, which has to have 65000 of these;
//! - sums of fewer places than a vector has, of kernels of 16000 taps and more, which copy what they read;
//! - what packs and unpacks chunks (zarrs, tiff, the codecs), decodes pictures, or runs a GPU (wgpu, its driver).
//!
//! `CHANNELWISE_CASE` names a case, or a part of some names; with `CHANNELWISE_BACKTRACE` it is told where each
//! allocation is refused.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait")]

mod allocator;
mod cases;
mod outside;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cases::Case;
use channelwise::Error;

/// What is not given back between two calls, of lists that engines and threads keep: less than one large allocation.
const KEPT: usize = 1 << 19;

/// Fails each large allocation of a call in turn.
fn each_fails(Case { name, run }: &Case) {
    let (want, count) = match allocator::with_failure(0, run) {
        (Ok(want), count, _) => (want, count),
        (Err(error), ..) => panic!("{name}: {error}"),
    };
    assert!(count > 0, "{name} has no large allocation");
    // Once more, so that whatever is made once is there.
    let before = allocator::live();
    let mut failed = 0;
    for n in 1.. {
        let call = AssertUnwindSafe(|| allocator::with_failure(n, run));
        let Ok((made, _, has_failed)) = catch_unwind(call) else {
            panic!("{name}: a panic where allocation {n} fails");
        };
        let kept = allocator::live().saturating_sub(before);
        // What looks names up for a backtrace keeps them.
        assert!(
            kept < KEPT || allocator::tells(),
            "{name}: {kept} bytes are kept after allocation {n}"
        );
        if !has_failed {
            assert!(made.is_ok_and(|made| made == want), "{name}: other bits after failures");
            break;
        }
        failed += 1;
        match made {
            Err(Error::OutOfMemory { place: "host", bytes, .. }) => {
                assert!(bytes >= allocator::LARGE as u64, "{name}: {bytes} bytes");
            }
            // What a source or a sink said.
            Err(Error::Stream { reason, .. } | Error::File { reason, .. })
                if reason.contains("out of host memory") => {}
            other => panic!("{name}: {other:?} where allocation {n} fails"),
        }
    }
    eprintln!("{name}: {failed} of {count} large allocations failed");
    assert!(failed > 0, "{name}");
}

/// One after the other: their allocations would be counted together.
#[test]
fn large_allocations_may_fail() {
    let wanted = std::env::var("CHANNELWISE_CASE").unwrap_or_default();
    for case in cases::all() {
        if case.name.contains(&wanted) {
            each_fails(&case);
        }
    }
}
