//! The processes of a worker: all that its guard has started, and that they have.

use std::fs;

use rustix::process::Pid;

/// The bytes of memory that a worker has, those of the processes that it has started among them; the worker is the
/// descendants of its guard.
pub(crate) fn memory(guard: Pid) -> u64 {
    let page = rustix::param::page_size() as u64;
    let sizes = descendants(guard).into_iter().filter_map(|pid| {
        procfs::process::Process::new(pid).and_then(|process| process.stat()).ok().map(|stat| stat.rss * page)
    });
    sizes.sum()
}

/// The processes that a process has started, and those that they have.
pub(super) fn descendants(ancestor: Pid) -> Vec<i32> {
    let mut found = vec![ancestor.as_raw_pid()];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children_of(*pid));
        at += 1;
    }
    found.remove(0);
    found
}

/// The processes that a process has started, or taken over. Not every kernel has lists of them.
pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => {
                children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
            }
            Err(_) if !thread.path().exists() => {}
            Err(_) => return children_among_all(pid),
        }
    }
    children
}

/// The same by a look at every process, which takes longer and misses none that is there all the while.
pub(super) fn children_among_all(pid: i32) -> Vec<i32> {
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    let stats = all.filter_map(|process| process.stat().ok());
    stats.filter(|stat| stat.ppid == pid).map(|stat| stat.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_both_ways() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = rustix::process::getpid().as_raw_pid();
        let pid = child.id().cast_signed();
        assert!(children_of(own).contains(&pid) && children_among_all(own).contains(&pid));
        assert!(descendants(rustix::process::getpid()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
