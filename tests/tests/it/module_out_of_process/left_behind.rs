//! What a worker has started, when its guard cannot see to its end any more.

use std::path::{Path, PathBuf};

use super::*;
use crate::program::{Folder, tool};

/// An application that has started a process in a session of its own, which sleeps so long.
fn with_helper(seconds: &str) -> serde_json::Value {
    let script = format!("setsid sleep {seconds} & exec \"$0\" plain");
    json!({ "Command": "/bin/sh", "Arguments": ["-c", script, binary("odd-app")], "ShutdownTimeLimit": 2 })
}

/// Seconds to sleep that nobody else sleeps.
fn unique(kind: u32) -> String {
    format!("5{}.{kind}", std::process::id())
}

fn helpers(seconds: &str) -> Vec<i32> {
    processes(&format!("sleep {seconds}")).into_iter().filter(|pid| is_helper(*pid)).collect()
}

/// The shell and the guard have the text in their command lines too.
fn is_helper(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
}

fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_helper_in_a_session_of_its_own_does_not_outlive_a_guard_that_is_killed() {
    let seconds = unique(0);
    let module = Module::start(with_helper(&seconds)).await;
    let pid = module.pid("/").await;
    soon(until(|| helpers(&seconds).len() == 1)).await;
    let guard = parent(pid);
    signal(guard, Signal::KILL);
    soon(until(|| helpers(&seconds).is_empty())).await;
    gone(pid).await;
    // Others are started, and nothing is left as a process that nobody asks for.
    soon(async { while module.get("/").await.status != 200 {} }).await;
    let own = i32::try_from(module.program.id()).unwrap();
    soon(until(|| zombies_of(own) == 0)).await;
    module.program.stop().await;
    assert!(helpers(&seconds).is_empty());
}

/// What enters a container without a session of its own has one whose number there is 0.
#[tokio::test]
async fn helpers_are_ended_where_the_session_of_the_module_has_no_number() {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let may_make_one = tool("unshare", namespace.iter().chain(&["true"])).await.status.success();
    if !may_make_one {
        return;
    }
    let seconds = unique(4);
    let launch = Launch::in_folder(Folder::new(), "unshare").args(namespace).args([binary("server-module")]);
    let module = Module::start_by(launch, with_helper(&seconds)).await;
    assert_eq!(module.get("/").await.status, 200);
    soon(until(|| helpers(&seconds).len() == 1)).await;
    let guard = parent(parent(helpers(&seconds)[0]));
    let own = parent(guard);
    signal(guard, Signal::KILL);
    soon(until(|| helpers(&seconds).is_empty())).await;
    soon(async { while module.get("/").await.status != 200 {} }).await;
    signal(own, Signal::TERM);
    let end = module.program.end().await;
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(helpers(&seconds).is_empty());
}

fn zombies_of(parent: i32) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&format!(") Z {parent} "))).count()
}

/// A control group that is given to a module, as systemd does it with `Delegate=yes`. Removed with this.
struct Group(PathBuf);

impl Group {
    /// None: this system, or this user, can make none.
    fn make(name: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
        let path = Path::new(mount).join(format!("it-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let group = Self(path);
        rustix::fs::setxattr(&group.0, "user.delegate", b"1", rustix::fs::XattrFlags::empty()).ok()?;
        group.0.join("cgroup.kill").exists().then_some(group)
    }

    /// The module in it.
    fn launch(&self) -> Launch {
        let script = "echo 0 > \"$0/cgroup.procs\" && exec \"$@\"";
        let launch = Launch::in_folder(Folder::new(), "/bin/sh").args(["-c", script]);
        launch.args([&self.0, &binary("server-module")])
    }

    fn inner(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        for _ in 0..200 {
            self.inner().iter().for_each(|inner| drop(std::fs::remove_dir(inner)));
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[tokio::test]
async fn in_a_group_that_was_given_to_it_each_worker_has_its_own() {
    let Some(group) = Group::make("own") else { return };
    let seconds = unique(1);
    let mut application = with_helper(&seconds);
    application["ProcessesPerApplication"] = 2.into();
    let module = Module::start_by(group.launch(), application).await;
    let pids = [module.pid("/").await, module.pid("/").await];
    let group_of = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
    };
    let groups = pids.map(group_of);
    let name = group.0.file_name().unwrap().to_str().unwrap();
    assert!(groups.iter().all(|own| own.contains(&format!("/{name}/server-module-"))), "{groups:?}");
    assert_ne!(groups[0], groups[1]);
    // The guard is not in it.
    assert!(group_of(parent(pids[0])).ends_with(name));
    assert_eq!(group.inner().len(), 2);
    soon(until(|| helpers(&seconds).len() == 2)).await;
    // One is ended with its guard, the other by a stop.
    signal(parent(pids[0]), Signal::KILL);
    soon(until(|| helpers(&seconds).len() == 1 && group.inner().len() == 1)).await;
    assert_eq!(module.program.stop().await.code, Some(0));
    assert!(helpers(&seconds).is_empty() && group.inner().is_empty(), "{:?}", group.inner());
}

#[tokio::test]
async fn what_is_left_of_a_module_and_its_guards_is_ended_by_the_next_one() {
    let Some(group) = Group::make("next") else { return };
    let seconds = unique(2);
    let module = Module::start_by(group.launch(), with_helper(&seconds)).await;
    let guard = parent(module.pid("/").await);
    soon(until(|| helpers(&seconds).len() == 1)).await;
    // Stopped first, so that neither can see to the other.
    signal(guard, Signal::STOP);
    module.program.signal(Signal::KILL);
    module.program.end().await;
    signal(guard, Signal::KILL);
    gone(guard).await;
    assert_eq!((helpers(&seconds).len(), group.inner().len()), (1, 1));
    let next = Module::start_by(group.launch(), odd("plain")).await;
    soon(until(|| helpers(&seconds).is_empty() && group.inner().is_empty())).await;
    assert_eq!(next.get("/").await.status, 200);
}

#[tokio::test]
async fn a_guard_removes_the_group_of_its_worker_when_the_module_is_gone() {
    let Some(group) = Group::make("gone") else { return };
    let seconds = unique(3);
    let module = Module::start_by(group.launch(), with_helper(&seconds)).await;
    module.pid("/").await;
    soon(until(|| helpers(&seconds).len() == 1)).await;
    module.program.signal(Signal::KILL);
    soon(until(|| helpers(&seconds).is_empty() && group.inner().is_empty())).await;
}

#[tokio::test]
async fn whether_workers_have_groups_is_told_once() {
    let port = free_port();
    let settings = json!({
        "Logging": { "LogLevel": { "server_module": "Debug" } },
        "Module": {
            "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
            "Applications": { "shop": odd("plain") },
        },
    });
    let launch = Launch::of("server-module").file("module.json", settings.to_string());
    let mut program = launch.args(["run", "--config", "module.json"]).spawn();
    program.line("control group").await;
    program.line("Hosting environment").await;
    assert_eq!(curl([&format!("http://127.0.0.1:{port}/")]).await.status, 200);
    let end = program.stop().await;
    let lines = end.stdout.iter().filter(|line| line.contains("control group"));
    assert_eq!(lines.count(), 1, "{:#?}", end.stdout);
}
