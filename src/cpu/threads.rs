//! The threads of an engine, and how work is shared out to them.

use std::sync::Arc;

use rayon::prelude::*;

use crate::Error;

/// On which threads an engine computes.
#[derive(Clone, Debug)]
pub(super) enum Threads {
    /// Those of the pool that is current where it runs, usually rayon's global one.
    Current,
    /// Those of a pool of its own.
    Own(Arc<rayon::ThreadPool>),
    /// The one that calls, whichever that is: several that call at once do not wait for each other.
    Caller,
}

impl Threads {
    pub fn new(threads: usize) -> crate::Result<Self> {
        match threads {
            0 => return Err(Error::argument("threads", threads, "at least 1 is needed")),
            1 => return Ok(Self::Caller),
            _ => {}
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("channelwise-{i}"))
            .build()
            .map_err(|e| Error::Threads { threads, reason: e.to_string() })?;
        Ok(Self::Own(Arc::new(pool)))
    }

    pub fn count(&self) -> usize {
        match self {
            Self::Current => rayon::current_num_threads(),
            Self::Own(pool) => pool.current_num_threads(),
            Self::Caller => 1,
        }
    }

    /// What `run` makes of each piece of work, in their order, or the error of one: then pieces that nobody has
    /// begun are left out. No thread is woken for a single one.
    pub fn map<T: Send, R: Send, E: Send>(
        &self,
        all: Vec<T>,
        run: impl Fn(T) -> Result<R, E> + Sync + Send,
    ) -> Result<Vec<R>, E> {
        let shared = |all: Vec<T>| all.into_par_iter().with_max_len(1).map(&run).collect();
        match self {
            _ if all.len() <= 1 => all.into_iter().map(run).collect(),
            Self::Caller => all.into_iter().map(run).collect(),
            Self::Current => shared(all),
            Self::Own(pool) => pool.install(|| shared(all)),
        }
    }

    /// The same of what makes nothing.
    pub fn each<T: Send, E: Send>(
        &self,
        all: Vec<T>,
        run: impl Fn(T) -> Result<(), E> + Sync + Send,
    ) -> Result<(), E> {
        let shared = |all: Vec<T>| all.into_par_iter().with_max_len(1).try_for_each(&run);
        match self {
            _ if all.len() <= 1 => all.into_iter().try_for_each(run),
            Self::Caller => all.into_iter().try_for_each(run),
            Self::Current => shared(all),
            Self::Own(pool) => pool.install(|| shared(all)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    /// One thread is the caller's own, and several are never it.
    #[test]
    fn work_is_done_where_it_was_asked_for() -> crate::Result<()> {
        for (threads, callers) in [(1, true), (3, false)] {
            let threads = Threads::new(threads)?;
            let there =
                threads.map((0..100).collect(), |n| Ok::<_, Error>((n, thread::current().id())))?;
            assert!(there.iter().map(|(n, _)| *n).eq(0..100));
            let ids: HashSet<_> = there.into_iter().map(|(_, id)| id).collect();
            assert_eq!(ids.contains(&thread::current().id()), callers);
            assert!(ids.len() <= threads.count());
        }
        let error = Threads::new(0).unwrap_err().to_string();
        assert!(error.contains("threads") && error.contains("at least 1"), "{error}");
        Ok(())
    }
}
