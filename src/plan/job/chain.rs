//! One job of several, each on what the one before it made.

use super::{Job, Resource};

/// `stages` one after the other. Between them lie so many `bytes` after each but the last: the first, third
/// .. in one room, the others in another.
pub(crate) fn chain(stages: Vec<Job>, bytes: &[u64]) -> Job {
    let mut job = Job::default();
    for n in 0..bytes.len().min(2) {
        let largest = bytes.iter().skip(n).step_by(2).copied().max().unwrap_or(0);
        job.room(largest.max(4));
    }
    let (first_room, last) = (job.rooms.len(), stages.len().saturating_sub(1));
    for (i, stage) in stages.into_iter().enumerate() {
        let before = move |i: usize| Resource::Room(i % 2);
        let first = job.programs.len();
        job.programs.extend(stage.programs.iter().cloned());
        job.append(stage, first, first_room, |resource| match resource {
            Resource::Source if i > 0 => before(i - 1),
            Resource::Destination if i < last => before(i),
            other => other,
        });
    }
    job
}
