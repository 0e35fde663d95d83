//! Applications behind the module, out of process: real processes, the module as its users start it.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::program::{Answer, Launch, Program, binary, curl, free_port};
use crate::support::{soon, until};

mod forwarding;
mod life;
mod offline;
mod start;

/// The module with one application, and where clients find it.
struct Module {
    program: Program,
    port: u16,
}

/// The settings of an application that is one of the tests' own.
fn odd(oddity: &str) -> serde_json::Value {
    json!({ "Command": binary("odd-app"), "Arguments": [oddity], "ShutdownTimeLimit": 2 })
}

impl Module {
    async fn start(application: serde_json::Value) -> Self {
        let port = free_port();
        let settings = json!({ "Module": {
            "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
            "Applications": { "shop": application },
        }});
        let launch = Launch::of("server-module").file("module.json", settings.to_string());
        let program = launch.args(["run", "--config", "module.json"]).start().await;
        Self { program, port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn get(&self, path: &str) -> Answer {
        curl([&self.url(path)]).await
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
