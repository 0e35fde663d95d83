//! What people read.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{HostingModel, ModuleOptions};

/// The longest reason in a table, in characters; `--json` has all of it.
const MOST_SHOWN: usize = 120;

/// Columns of texts, each as wide as its widest, with two spaces between them.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn head(names: &[&str]) -> Vec<Vec<String>> {
    vec![names.iter().map(|name| (*name).to_owned()).collect()]
}

/// The applications of good settings.
pub(super) fn checked(options: &ModuleOptions) -> String {
    let mut rows = head(&["APPLICATION", "MODEL", "HOSTS", "PATH", "ENDPOINTS", "PROGRAM"]);
    for application in &options.applications {
        let model = match application.settings.hosting_model {
            HostingModel::InProcess => "inProcess",
            HostingModel::OutOfProcess => "outOfProcess",
        };
        let hosts: Vec<_> = application.hosts.iter().map(ToString::to_string).collect();
        let or = |list: String, none: &str| if list.is_empty() { none.to_owned() } else { list };
        rows.push(vec![
            application.name.clone(),
            model.to_owned(),
            or(hosts.join(","), "any"),
            application.path_prefix.to_string(),
            or(application.endpoints.join(","), "all"),
            application.program.display().to_string(),
        ]);
    }
    let mut text = String::from("the settings are good\n\n") + &columns(&rows);
    for note in &options.notes {
        let _ = write!(text, "\nnote: {note}");
    }
    if !options.notes.is_empty() {
        text.push('\n');
    }
    text
}

/// How the applications are.
pub(super) fn status(status: &Value) -> String {
    let mut rows = head(&[
        "APPLICATION",
        "MODEL",
        "STATE",
        "PID",
        "PROCESS",
        "PORT",
        "UPTIME",
        "REQUESTS",
        "MEMORY",
        "STARTS",
        "FAILURES",
        "LAST EXIT",
    ]);
    for application in list(&status["applications"]) {
        let own = [&application["name"], &application["hostingModel"], &application["state"]].map(text);
        let last_exit = one_line(&text(&application["lastExit"]));
        let counts = [text(&application["starts"]), text(&application["failures"]), last_exit];
        let mut workers: Vec<_> = list(&application["workers"]).iter().map(worker).collect();
        if workers.is_empty() {
            workers.push(["-"; 6].map(str::to_owned));
        }
        for (number, worker) in workers.into_iter().enumerate() {
            let is_first = number == 0;
            let once =
                |cells: &[String; 3]| cells.clone().map(|cell| if is_first { cell } else { String::new() });
            rows.push([&once(&own)[..], &worker[..], &once(&counts)[..]].concat());
        }
    }
    let uptime = status["uptimeSeconds"].as_u64().map(duration).unwrap_or_default();
    format!("server-module {}, pid {}, up {uptime}\n\n", text(&status["version"]), text(&status["pid"]))
        + &columns(&rows)
}

/// What has become of an application that was recycled.
pub(super) fn recycled(application: &Value) -> String {
    let name = text(&application["name"]);
    let there = list(&application["workers"]).iter().filter(|worker| worker["state"] != "stopping");
    let pids: Vec<_> = there.map(|worker| text(&worker["pid"])).collect();
    if pids.is_empty() {
        return format!("{name} had no process, and none is started before somebody asks for it\n");
    }
    format!("{name} has new processes: {}\n", pids.join(", "))
}

fn worker(worker: &Value) -> [String; 6] {
    let uptime = worker["uptimeSeconds"].as_u64().map_or_else(|| "-".to_owned(), duration);
    let memory = worker["memoryBytes"].as_u64().map_or_else(|| "-".to_owned(), size);
    let (pid, state) = (text(&worker["pid"]), text(&worker["state"]));
    [pid, state, text(&worker["port"]), uptime, text(&worker["requests"]), memory]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text without line breaks, and its beginning if it is long: a process may have printed much before it ended.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

fn size(bytes: u64) -> String {
    let mebibytes = bytes / (1 << 20);
    if mebibytes < 10 * 1024 { format!("{mebibytes} MiB") } else { format!("{} GiB", mebibytes / 1024) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_of_many_lines_is_one_in_the_table() {
        let panic = format!("exit code 101\n\nthread 'main' panicked:\n  {}", "x".repeat(200));
        let shown = one_line(&panic);
        assert!(shown.starts_with("exit code 101 thread 'main' panicked: xx") && shown.ends_with("x..."));
        assert_eq!((shown.lines().count(), shown.len()), (1, MOST_SHOWN + 3));
        assert_eq!(one_line("-"), "-");
    }

    #[test]
    fn a_status_is_a_table() {
        let shown = status(&json!({
            "version": "0.1.0", "pid": 7, "uptimeSeconds": 90_061,
            "applications": [
                { "name": "shop", "hostingModel": "outOfProcess", "state": "running", "starts": 3, "failures": 1,
                  "lastExit": "signal 9, by itself", "workers": [
                    { "pid": 11, "state": "running", "port": 20_000, "uptimeSeconds": 5, "requests": 12, "memoryBytes": 5_242_880 },
                    { "pid": 12, "state": "stopping", "port": 20_001, "uptimeSeconds": 65, "requests": 3, "memoryBytes": 12_884_901_888_u64 } ] },
                { "name": "api", "hostingModel": "inProcess", "state": "idle", "starts": 0, "failures": 0,
                  "lastExit": null, "workers": [] },
            ],
        }));
        assert_eq!(
            shown,
            "server-module 0.1.0, pid 7, up 1d1h\n\n\
             APPLICATION  MODEL         STATE    PID  PROCESS   PORT   UPTIME  REQUESTS  MEMORY  STARTS  FAILURES  LAST EXIT\n\
             shop         outOfProcess  running  11   running   20000  5s      12        5 MiB   3       1         signal 9, by itself\n\
             \x20                                   12   stopping  20001  1m5s    3         12 GiB\n\
             api          inProcess     idle     -    -         -      -       -         -       0       0         -\n"
        );
    }
}
