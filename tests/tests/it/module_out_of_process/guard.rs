//! What stands between the module and a process, when one of them is ended at the worst moment.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;
use crate::program::{Folder, command, output_of};

/// Seconds to sleep that nobody else sleeps.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("6{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether a process has started another one.
fn has_child(id: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
    let mut children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    children.any(|children| !children.is_empty())
}

/// Waits until no process has this in its command line.
async fn all_gone(text: &str) {
    soon(until(|| processes(text).is_empty())).await;
}

#[tokio::test]
async fn a_guard_whose_module_is_gone_before_the_start_leaves_nothing() {
    let seconds = unique();
    // Once before it has said anything, and once after it has said all that a start needs.
    for has_said_all in [false, true] {
        let (module, link) = UnixStream::pair().unwrap();
        if has_said_all {
            hand_over_an_empty_environment(&module);
        }
        drop(module);
        let mut guard = command(binary("server-module").to_str().unwrap());
        guard.args(["guard", "--limit=200", "--sockets=0", "--folder=/", "--", "/bin/sleep", &seconds]);
        let mut guard = guard.stdin(OwnedFd::from(link)).spawn().unwrap();
        soon(guard.wait()).await.unwrap();
        assert!(processes(&seconds).is_empty());
    }
}

/// As the module does: the end of a socket, on which the worker finds its environment.
fn hand_over_an_empty_environment(link: &UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(&0_u64.to_be_bytes()).unwrap();
    let descriptors = [theirs.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(link, &[IoSlice::new(b"w")], &mut ancillary, SendFlags::empty()).unwrap();
}

#[tokio::test]
async fn nothing_that_an_application_loads_is_loaded_before_it() {
    let folder = Folder::new();
    let source = folder.write(
        "spy.c",
        r#"
        #include <stdio.h>
        #include <stdlib.h>
        __attribute__((constructor)) static void loaded(void) {
            char line[4096];
            FILE *own = fopen("/proc/self/cmdline", "r");
            FILE *log = fopen(getenv("SPY_LOG"), "a");
            size_t length = own ? fread(line, 1, sizeof line, own) : 0;
            for (size_t at = 0; at < length; at++) if (!line[at]) line[at] = ' ';
            if (log) { fwrite(line, 1, length, log); fputc('\n', log); fclose(log); }
        }
        "#,
    );
    let (library, log) = (folder.path().join("spy.so"), folder.path().join("log"));
    let (library, log) = (library.to_str().unwrap(), log.to_str().unwrap());
    output_of("cc", ["-shared", "-fPIC", "-o", library, source.to_str().unwrap()]).await;
    let mut application = odd("plain");
    application["EnvironmentVariables"] = json!({ "LD_PRELOAD": library, "SPY_LOG": log });
    let module = Module::start(application).await;
    let pid = module.pid("/").await;
    let loaded = std::fs::read_to_string(log).unwrap();
    let lines: Vec<_> = loaded.lines().map(str::trim).collect();
    assert_eq!(lines, [format!("{} plain", binary("odd-app").display())], "{loaded}");
    // Nor does the guard show it to anybody.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let guard = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap();
    let environment = std::fs::read(format!("/proc/{guard}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("ASPNETCORE_TOKEN"));
    assert_eq!(std::fs::read_link(format!("/proc/{guard}/cwd")).unwrap().to_str(), Some("/"));
}

#[tokio::test]
async fn a_module_whose_file_was_replaced_goes_on() {
    let folder = Folder::new();
    let program = folder.path().join("server-module");
    std::fs::copy(binary("server-module"), &program).unwrap();
    let module = Module::start_by(Launch::in_folder(folder, &program), odd("plain")).await;
    let first = module.pid("/").await;
    // Another version, which starts nothing.
    let next = module.program.folder().write("next", "#!/bin/false\n");
    std::fs::rename(next, &program).unwrap();
    signal(first, Signal::KILL);
    soon(async { while module.get("/").await.status != 200 {} }).await;
    std::fs::remove_file(program).unwrap();
    let second = module.pid("/").await;
    signal(second, Signal::KILL);
    soon(async { while module.get("/").await.status != 200 {} }).await;
}

#[tokio::test]
async fn settings_of_the_module_stay_with_it_however_they_are_written() {
    const SCRIPT: &str =
        "tr '\\0' '\\n' < /proc/$$/environ > report.new && mv report.new report; exec sleep 60";
    for model in ["OutOfProcess", "InProcess"] {
        let application = json!({
            "Command": "/bin/sh", "Arguments": ["-c", SCRIPT], "HostingModel": model, "StartupTimeLimit": 1,
        });
        let names = [
            "Module:Applications:shop:EnvironmentVariables:FIRST",
            "MODULE__Applications__shop__EnvironmentVariables__SECOND",
            "module__Applications:shop:EnvironmentVariables__THIRD",
        ];
        let launch =
            names.iter().fold(Launch::of("server-module"), |launch, name| launch.env(name, "secret"));
        let module = Module::start_by(launch, application).await;
        let url = module.url("/");
        let request = tokio::spawn(async move { curl([&url]).await });
        let report = module.program.folder().path().join("report");
        soon(until(|| report.exists())).await;
        let report = std::fs::read_to_string(report).unwrap();
        let told: Vec<_> = report.lines().filter(|line| line.ends_with("=secret")).collect();
        let mut names: Vec<_> = told.iter().map(|line| line.trim_end_matches("=secret")).collect();
        names.sort_unstable();
        assert_eq!(names, ["FIRST", "SECOND", "THIRD"], "{model}: {report}");
        request.abort();
    }
}

#[tokio::test]
async fn nothing_outlives_a_module_that_is_killed_during_a_start() {
    for round in 0..12 {
        let seconds = unique();
        let application = json!({ "Command": "/bin/sleep", "Arguments": [seconds], "ShutdownTimeLimit": 2 });
        let module = Module::start(application).await;
        let url = module.url("/");
        let request = tokio::spawn(async move { curl([&url]).await });
        // The guard is there, and has not told yet what it starts; a little later each time.
        let id = module.program.id();
        soon(async {
            while !has_child(id) {
                tokio::task::yield_now().await
            }
        })
        .await;
        tokio::time::sleep(Duration::from_micros(round * 500)).await;
        module.program.signal(Signal::KILL);
        drop(module);
        request.abort();
        // A guard that was on its way may come later than this looks.
        tokio::time::sleep(Duration::from_millis(100)).await;
        all_gone(&seconds).await;
    }
}

/// The first process that another one has started.
fn child_of(id: i32) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .next()
}

/// Waits for the guard that a module starts, and for what that starts.
async fn guard_of(module: i32, has_started: bool) -> i32 {
    loop {
        // Not before it has become a guard: until then the module waits within a call of the system.
        let guard = child_of(module).filter(|guard| processes("--limit=").contains(guard));
        if let Some(guard) = guard.filter(|guard| !has_started || child_of(*guard).is_some()) {
            return guard;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_start_whose_guard_hangs_is_given_up_at_once() {
    for (model, has_started) in
        [("OutOfProcess", false), ("OutOfProcess", true), ("InProcess", false), ("InProcess", true)]
    {
        let seconds = unique();
        let application = json!({
            "Command": "/bin/sleep", "Arguments": [seconds], "ShutdownTimeLimit": 60, "StartupTimeLimit": 60,
            "HostingModel": model,
        });
        let module = Module::start(application).await;
        let url = module.url("/");
        let request = tokio::spawn(async move { curl([&url]).await });
        let id = module.program.id().cast_signed();
        let guard = soon(guard_of(id, has_started)).await;
        signal(guard, Signal::STOP);
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Within seconds, where the limits are a minute each.
        let end = module.program.stop().await;
        assert_eq!(end.code, Some(0), "{end:?}");
        assert!(!is_there(guard), "{model} {has_started}");
        all_gone(&seconds).await;
        request.abort();
    }
}
