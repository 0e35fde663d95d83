use rustix::process::Pid;

use super::listener::descendants;

/// The bytes of memory that a worker's processes have: the descendants of its guard.
pub(crate) fn memory(guard: Pid) -> u64 {
    let pages = descendants(guard).into_iter().filter_map(|pid| {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        statm.split(' ').nth(1)?.parse::<u64>().ok()
    });
    pages.sum::<u64>() * rustix::param::page_size() as u64
}
