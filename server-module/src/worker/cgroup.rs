//! Control groups (version 2) of workers. Where the module's own group was given to it, each worker has one below that, which
//! nothing of it leaves, and which ends as a whole.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use procfs::process::{Process, all_processes};
use rustix::io::Errno;
use tokio::time::Instant;

/// The beginning of the names of groups; then come the module's process, when that was started, and a number.
const PREFIX: &str = "server-module-";
/// What systemd marks a group with that it has given to somebody; for whom root is, and for all others.
const MARKS: [&str; 2] = ["trusted.delegate", "user.delegate"];
/// How long the end of what is in a group is waited for.
const END: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);
/// How deep the groups are removed that somebody has made within one.
const MAX_DEPTH: u32 = 32;

/// The group of a worker.
#[derive(Clone, Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one. None: no group was given to the module.
    pub(super) fn make() -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let own = own()?;
        let (pid, started) = (rustix::process::getpid(), started(rustix::process::getpid().as_raw_pid())?);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = own.join(format!("{PREFIX}{pid}-{started}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => Some(Self { path }),
            Err(error) => {
                tracing::warn!(group = %path.display(), %error, "the control group of a worker cannot be made");
                None
            }
        }
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts this process into it, and with it all that it will start.
    pub(super) fn enter(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), "0").map_err(|error| {
            let path = self.path.display();
            io::Error::new(error.kind(), format!("its control group {path} cannot be entered: {error}"))
        })
    }

    /// Ends everything in it.
    pub(super) fn kill(&self) {
        // There is nothing to be ended if it is gone.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// Ends everything in it, and removes it; false if something in it does not end. This may block for two seconds.
    pub(super) fn end(&self) -> bool {
        let deadline = Instant::now() + END;
        self.kill();
        while !remove(&self.path, MAX_DEPTH) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

/// Removes a group and those in it, which is possible when no process is there.
fn remove(path: &Path, depth: u32) -> bool {
    for inner in fs::read_dir(path).into_iter().flatten().flatten() {
        if depth > 0 && inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&inner.path(), depth - 1);
        }
    }
    fs::remove_dir(path).is_ok() || !path.exists()
}

/// The group of the module, if that was given to it. What an earlier module has left there is ended at the first look.
pub(super) fn own() -> Option<&'static Path> {
    static OWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let own = OWN.get_or_init(|| match find() {
        Ok(path) => {
            tracing::debug!(group = %path.display(), "each worker gets a control group of its own");
            sweep(&path);
            Some(path)
        }
        Err(reason) => {
            tracing::debug!(reason, "workers have no control groups of their own");
            None
        }
    });
    own.as_deref()
}

/// The group of this process. The error is why it is not its own.
fn find() -> Result<PathBuf, String> {
    let text =
        fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let group =
        text.lines().find_map(|line| line.strip_prefix("0::")).ok_or("there is no version 2 of them")?;
    let mounts =
        Process::myself().and_then(|process| process.mountinfo()).map_err(|error| error.to_string())?;
    let paths = mounts.into_iter().filter(|mount| mount.fs_type == "cgroup2");
    let path = paths
        .filter_map(|mount| below(&mount.mount_point, &mount.root, group))
        .find(|path| path.join("cgroup.procs").exists())
        .ok_or("the one of the module is not mounted")?;
    check(&path, group == "/")?;
    Ok(path)
}

/// Where a group is found at a mount point that shows those below a root.
fn below(mount_point: &Path, root: &str, group: &str) -> Option<PathBuf> {
    let inner = match root {
        "/" => group,
        root => group.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?,
    };
    let inner = inner.trim_start_matches('/');
    let is_inside = Path::new(inner).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_inside.then(|| mount_point.join(inner))
}

/// Whether the module may divide a group: somebody has said so, or it is the module's by its owner, or all that a container
/// sees.
fn check(path: &Path, is_topmost: bool) -> Result<(), String> {
    let shown = path.display();
    // The one of the whole system has neither this nor a type.
    if !path.join("cgroup.kill").exists() {
        return Err(format!(
            "{shown} cannot be ended as a whole: it is that of the system, or the system is older than Linux 5.14"
        ));
    }
    let kind = fs::read_to_string(path.join("cgroup.type")).unwrap_or_default();
    if kind.trim() != "domain" {
        return Err(format!("{shown} is of the type {:?}", kind.trim()));
    }
    let user = rustix::process::geteuid().as_raw();
    let is_owned = user != 0 && fs::metadata(path).is_ok_and(|metadata| metadata.uid() == user);
    let is_marked = MARKS.iter().any(|mark| {
        let mut value = [0; 8];
        rustix::fs::getxattr(path, *mark, &mut value).is_ok_and(|length| value[..length] == *b"1")
    });
    if !(is_topmost || is_owned || is_marked) {
        return Err(format!("{shown} was not given to the module (Delegate=yes of its unit)"));
    }
    match rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Ok(()),
        Err(Errno::ROFS) => Err(format!("{shown} is mounted so that it cannot be changed")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// Ends what modules have left that were ended together with their guards.
fn sweep(own: &Path) {
    let groups = fs::read_dir(own).into_iter().flatten().flatten();
    for group in groups.filter(|group| group.file_name().to_str().is_some_and(is_left)) {
        let group = Cgroup::at(group.path());
        if has_guard(group.path()) {
            continue;
        }
        let is_ended = group.end();
        tracing::info!(group = %group.path().display(), is_ended, "what an earlier module has left is ended");
    }
}

/// Whether this is the name of a group whose module has ended.
fn is_left(name: &str) -> bool {
    let numbers = name.strip_prefix(PREFIX).map(|rest| rest.split('-').map(str::parse::<u64>));
    let numbers: Option<Vec<_>> = numbers.and_then(|numbers| numbers.collect::<Result<_, _>>().ok());
    let Some([pid, since, _]) = numbers.as_deref() else { return false };
    i32::try_from(*pid).is_ok_and(|pid| started(pid) != Some(*since))
}

/// Whether a guard is about to end what is in a group.
fn has_guard(group: &Path) -> bool {
    let argument = format!("--cgroup={}", group.display());
    let mut lines =
        all_processes().into_iter().flatten().flatten().filter_map(|process| process.cmdline().ok());
    lines.any(|line| line.get(1).is_some_and(|role| role == "guard") && line.contains(&argument))
}

/// When a process was started, since the start of the system.
fn started(pid: i32) -> Option<u64> {
    Process::new(pid).and_then(|process| process.stat()).ok().map(|stat| stat.starttime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_below_its_mount_point() {
        let mount = Path::new("/sys/fs/cgroup");
        let found = |root, group| below(mount, root, group).map(|path| path.display().to_string());
        for (root, group, expected) in [
            ("/", "/", Some("/sys/fs/cgroup/")),
            ("/", "/system.slice/shop.service", Some("/sys/fs/cgroup/system.slice/shop.service")),
            ("/docker/1", "/docker/1", Some("/sys/fs/cgroup/")),
            ("/docker/1", "/docker/1/shop", Some("/sys/fs/cgroup/shop")),
            ("/docker/1", "/docker/12", None),
            ("/docker/1", "/", None),
            ("/", "/../other", None),
        ] {
            assert_eq!(found(root, group).as_deref(), expected, "{root} {group}");
        }
    }

    #[test]
    fn a_folder_that_is_no_group_was_not_given_to_the_module() {
        let folder = std::env::temp_dir().join(format!("server-module-cgroup-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(check(&folder, true).unwrap_err().contains("cannot be ended as a whole"));
        fs::write(folder.join("cgroup.kill"), "").unwrap();
        fs::write(folder.join("cgroup.type"), "threaded\n").unwrap();
        assert!(check(&folder, true).unwrap_err().contains("\"threaded\""));
        fs::write(folder.join("cgroup.type"), "domain\n").unwrap();
        check(&folder, true).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(check(&folder, false).is_ok(), !is_root, "root owns what nobody was given");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn groups_of_a_module_that_runs_are_not_left() {
        let pid = rustix::process::getpid().as_raw_pid();
        let since = started(pid).unwrap();
        assert!(!is_left(&format!("{PREFIX}{pid}-{since}-0")));
        assert!(is_left(&format!("{PREFIX}{pid}-{}-0", since - 1)));
        for other in
            ["shop", "server-module-", "server-module-1-2", "server-module-1-2-x", "server-module-1-2-3-4"]
        {
            assert!(!is_left(other), "{other}");
        }
    }
}
