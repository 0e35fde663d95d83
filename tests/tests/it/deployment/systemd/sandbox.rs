//! What the service may not do is nothing that the program does: its system calls, traced, against those of the unit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::assignments;
use crate::deployment::{begin, file, finish, request};
use crate::program::{Folder, Launch, binary, curl, free_port, output_of};
use crate::support::{Client, soon};

/// Sets of system calls by their names, whose members are calls and other sets.
type Sets = BTreeMap<String, Vec<String>>;

async fn sets() -> Sets {
    let listed = output_of("systemd-analyze", ["syscall-filter", "--no-pager"]).await;
    let mut sets = Sets::new();
    let mut current = String::new();
    for line in listed.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let name = line.trim();
        if line.starts_with('@') {
            name.clone_into(&mut current);
        } else if line.starts_with(' ') && !name.is_empty() {
            sets.entry(current.clone()).or_default().push(name.to_owned());
        }
    }
    sets
}

/// The calls of a set, or the call itself.
fn calls(sets: &Sets, name: &str) -> BTreeSet<String> {
    match sets.get(name) {
        Some(members) => members.iter().flat_map(|member| calls(sets, member)).collect(),
        None => {
            assert!(!name.starts_with('@'), "there is no set {name}");
            BTreeSet::from([name.to_owned()])
        }
    }
}

/// What the lines `SystemCallFilter` of the service let through.
fn allowed(sets: &Sets, service: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for (_, list) in assignments(service).into_iter().filter(|(name, _)| *name == "SystemCallFilter") {
        let is_denied = list.starts_with('~');
        for name in list.trim_start_matches('~').split_whitespace() {
            for call in calls(sets, name) {
                if is_denied {
                    allowed.remove(&call)
                } else {
                    allowed.insert(call)
                };
            }
        }
    }
    allowed
}

/// What is traced, of all threads, once the process has ended: the tracer is a process of its own.
async fn traced(path: &Path, process: u32) -> Vec<String> {
    let end = (process.to_string(), "+++ exited with 0 +++");
    let complete = async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            // Short numbers have more than one space behind them.
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            let lines: Vec<_> = lines.map(|(id, what)| (id.to_owned(), what.trim_start())).collect();
            if lines.contains(&end) {
                return lines.into_iter().map(|(_, what)| what.to_owned()).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(complete).await
}

#[tokio::test]
async fn the_program_does_nothing_that_the_service_may_not() {
    let service = file("systemd/shop.service", &[]);
    let address = format!("127.0.0.1:{}", free_port());
    let folder = Folder::new();
    let trace = folder.path().join("trace");
    let launch = Launch::in_folder(Folder::new(), "strace")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // -D: the process that is started becomes the program, and so gets its signals.
        .args(["-D", "-f", "-q", "-e", "signal=none", "-o"])
        .args([&trace, &binary("reverse-proxy")])
        .file("appsettings.json", file("nginx/appsettings.json", &[("127.0.0.1:5000", &address)]));
    let program = launch.start().await;
    let mut client = Client::tcp(program.address()).await;
    for path in ["/whoami", "/healthz/ready", "/file/100000", "/delay/1"] {
        assert_eq!(client.exchange(&request(&format!("GET {path}"), &[])).await.status, 200, "{path}");
    }
    let url = program.url("/bytes/1000000");
    curl(["--http2-prior-knowledge", "--header", "Host: localhost", &url]).await;
    begin(&mut client).await;
    finish(&mut client).await;
    let process = program.id();
    assert_eq!(program.stop().await.code, Some(0));

    is_allowed(&service, &trace, process).await;
}

/// What a process has done, which has ended with 0, is nothing that the service may not do.
pub(in crate::deployment) async fn is_allowed(service: &str, trace: &Path, process: u32) {
    let allowed = allowed(&sets().await, service);
    assert!(allowed.contains("accept4") && !allowed.contains("mount"), "{allowed:?}");
    let mut used = BTreeSet::new();
    for line in traced(trace, process).await {
        let name = line.strip_prefix("<... ").unwrap_or(&line).split(['(', ' ']).next().unwrap_or_default();
        if name.starts_with(|first: char| first.is_ascii_lowercase()) {
            used.insert(name.to_owned());
        }
        // MemoryDenyWriteExecute, and RestrictAddressFamilies.
        assert!(!(line.contains("PROT_WRITE") && line.contains("PROT_EXEC")), "{line}");
        if let Some(family) = line.strip_prefix("socket(").and_then(|rest| rest.split(',').next()) {
            assert!(service.contains(&format!("{family} ")), "{line}");
        }
    }
    assert!(used.contains("accept4") && used.contains("write"), "{used:?}");
    let refused: Vec<_> = used.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
