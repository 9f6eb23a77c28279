//! A decoder's panic as an error of the file.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is told by [`guarded`]: the program's hook is silent then.
#[doc(hidden)]
#[must_use]
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// What `work` gives, or what it panicked with.
///
/// # Errors
/// For people.
#[doc(hidden)]
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    // Nothing that `work` changes is used after a panic.
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.map_err(|defect| {
        let text = defect
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(defect.downcast_ref::<&str>().copied())
            .unwrap_or("of a kind that says nothing");
        format!("its decoder met a defect of its own: {text}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| 3), Ok(3));
        let defect = guarded(|| panic!("{} is too much", 7));
        assert!(matches!(defect, Err::<(), _>(text) if text.ends_with("7 is too much")));
        assert!(!is_guarded());
    }
}
