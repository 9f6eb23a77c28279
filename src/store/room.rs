//! Room for what files hold, asked for before it is taken.

use bytemuck::Zeroable;

/// Below this nobody is asked.
const SMALL: u64 = 64 << 20;

/// Refuses what is more than this machine has left.
///
/// # Errors
/// How much that is, for people.
pub fn check(bytes: u64) -> Result<(), String> {
    if bytes < SMALL {
        return Ok(());
    }
    match available() {
        Some(there) if bytes > there => {
            let (bytes, there) = (gib(bytes), gib(there));
            Err(format!("it needs {bytes:.1} GiB of memory, and {there:.1} GiB are free"))
        }
        _ => Ok(()),
    }
}

/// Elements of zero, if there is room for them.
///
/// # Errors
/// How much they need, for people.
pub fn zeroed<T: Zeroable>(len: usize) -> Result<Vec<T>, String> {
    let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
    check(bytes)?;
    bytemuck::allocation::try_zeroed_vec(len)
        .map_err(|()| format!("it needs {:.1} GiB of memory, which are not there", gib(bytes)))
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// What Linux says can be had without swapping; elsewhere an allocation that fails is what tells.
#[must_use]
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}
