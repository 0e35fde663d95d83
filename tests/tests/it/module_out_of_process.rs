//! Applications behind the module, out of process: real processes, the module as its users start it.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::program::{Answer, Launch, Program, binary, curl, free_port};
use crate::support::{soon, until};

mod answers;
mod engine;
mod forwarding;
mod guard;
mod left_behind;
mod life;
mod offline;
mod output;
mod replacing;
mod start;
mod strangers;
mod user;

/// The module with one application, and where clients find it.
struct Module {
    program: Program,
    port: u16,
}

/// The settings of an application that is one of the tests' own.
fn odd(oddity: &str) -> serde_json::Value {
    json!({ "Command": binary("odd-app"), "Arguments": [oddity], "ShutdownTimeLimit": 2 })
}

/// The command line and the settings of the module, with these keys in the section.
fn with_settings(
    launch: Launch,
    port: u16,
    application: &serde_json::Value,
    keys: &serde_json::Value,
) -> Launch {
    let mut section = json!({
        "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
        "Applications": { "shop": application },
    });
    for (key, value) in keys.as_object().unwrap() {
        section[key] = value.clone();
    }
    let settings = json!({ "Module": section });
    launch.file("module.json", settings.to_string()).args(["run", "--config", "module.json"])
}

impl Module {
    async fn start(application: serde_json::Value) -> Self {
        Self::start_by(Launch::of("server-module"), application).await
    }

    /// Started so, before the arguments of its own.
    async fn start_by(launch: Launch, application: serde_json::Value) -> Self {
        let port = free_port();
        let program = with_settings(launch, port, &application, &json!({})).start().await;
        Self { program, port }
    }

    /// With these keys in the section.
    async fn start_with(application: serde_json::Value, keys: serde_json::Value) -> Self {
        let port = free_port();
        let program = with_settings(Launch::of("server-module"), port, &application, &keys).start().await;
        Self { program, port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn get(&self, path: &str) -> Answer {
        curl([&self.url(path)]).await
    }

    /// The process that it has started of a program.
    fn worker(&self, program: &str) -> i32 {
        // The guard of the process has the name among its arguments.
        let is_it = |pid: i32| {
            let file = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            file.file_name().is_some_and(|name| name == program) && is_below(pid, self)
        };
        let found = processes(program).into_iter().find(|pid| is_it(*pid));
        found.expect("a process of the module's")
    }

    /// What the application says of its process.
    async fn pid(&self, path: &str) -> i32 {
        let answer = self.get(path).await;
        fact(&answer, "pid").parse().expect("a number")
    }
}

/// A line of what `odd-app` answers.
fn fact<'a>(answer: &'a Answer, name: &str) -> &'a str {
    facts(answer, name).next().unwrap_or_else(|| panic!("no {name}: {}", answer.text()))
}

fn facts<'a>(answer: &'a Answer, name: &str) -> impl Iterator<Item = &'a str> {
    answer.text().lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Whether there is such a process, other than one that has ended and was not asked for.
fn is_there(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

/// Whether a process was started by the module: by its guard.
fn is_below(pid: i32, module: &Module) -> bool {
    let mut at = pid;
    while at > 1 {
        if u32::try_from(at) == Ok(module.program.id()) {
            return true;
        }
        let stat = std::fs::read_to_string(format!("/proc/{at}/stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        at = parent.unwrap_or(0);
    }
    false
}

/// How many connections there are through the Unix socket that a process was told of.
fn connections_through_socket(pid: i32) -> usize {
    let address = told(pid, "ASPNETCORE_MODULE_SOCKET");
    let name = address.strip_prefix("http://unix:").expect("a Unix socket");
    // The sixth field is the state, of which 3 is a connected one.
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    let of_name = sockets.lines().filter(|line| line.ends_with(name));
    of_name.filter(|line| line.split_whitespace().nth(5) == Some("03")).count()
}

/// A variable in the environment that a process was started with.
fn told(pid: i32, name: &str) -> String {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    let mut values = environment.split('\0').filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// Processes whose command line has this text.
fn processes(text: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text) && is_there(*pid)
    })
    .collect()
}

async fn gone(pid: i32) {
    soon(until(|| !is_there(pid))).await;
}
