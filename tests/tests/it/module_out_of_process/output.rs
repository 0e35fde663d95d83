//! What processes print, and who reads it.

use std::process::Stdio;

use super::*;
use crate::program::Folder;
use crate::support::within;

#[tokio::test]
async fn a_module_whose_output_nobody_reads_serves_and_stops() {
    let (folder, port) = (Folder::new(), free_port());
    let application = |mode: &str| json!({ "Command": binary("raw-app"), "Arguments": [mode], "ShutdownTimeLimit": 2, "PathPrefix": format!("/{mode}") });
    let settings = json!({ "Module": {
        "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
        "Applications": {
            "loud": { "Command": binary("raw-app"), "Arguments": ["plain"], "ShutdownTimeLimit": 2 },
            "other": application("plain"),
        },
    }});
    let file = folder.write("module.json", settings.to_string());
    let mut command = tokio::process::Command::new(binary("server-module"));
    command.args(["run", "--config"]).arg(file).env_clear().current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    soon(async { while crate::program::curl_exit_code(["-o", "/dev/null", &url("/noise")]).await != 0 {} })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Each of these makes an event: a process starts, and ends, and is started again.
    for _ in 0..3 {
        let answer = curl([&url("/plain/")]).await;
        signal(fact(&answer, "pid").parse().unwrap(), Signal::KILL);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = within(Duration::from_secs(9), child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn everything_that_is_read_late_is_there_in_its_order() {
    let folder = Folder::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; exit 3";
    let port = free_port();
    // The events of a failure have the output as well.
    let levels = json!({ "LogLevel": { "server_module": "None" } });
    let settings = json!({ "Logging": levels, "Module": {
        "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
        "Applications": { "shop": { "Command": "/bin/sh", "Arguments": ["-c", script] } },
    }});
    let file = folder.write("module.json", settings.to_string());
    let mut command = tokio::process::Command::new(binary("server-module"));
    command.args(["run", "--config"]).arg(file).env_clear().current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().unwrap();
    let request = async {
        let url = format!("http://127.0.0.1:{port}/");
        while crate::program::curl_exit_code(["-o", "/dev/null", &url]).await != 0 {}
    };
    soon(request).await;
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::TERM).unwrap();
    let output = soon(child.wait_with_output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u32> =
        text.lines().filter_map(|line| line.strip_prefix("shop: line-")?.parse().ok()).collect();
    // Two attempts.
    let expected: Vec<u32> = (0..20_000).chain(0..20_000).collect();
    assert!(numbers == expected, "{} lines", numbers.len());
    assert!(text.contains("Application is shutting down"), "the last events");
}

#[tokio::test]
async fn lines_of_processes_tell_whose_they_are() {
    let script = "printf 'colour \\033[31m\\n'; printf 'half '; sleep 0.1; echo line; exit 3";
    let shell = |script: &str| json!({ "Command": "/bin/sh", "Arguments": ["-c", script] });
    let mut module = Module::start(shell(script)).await;
    assert_eq!(module.get("/").await.status, 502);
    assert_eq!(module.program.line("half line").await, "shop: half line");
    assert!(module.program.seen().iter().any(|line| line == "shop: colour \\u{1b}[31m"));

    let mut several = shell("echo I am $$; exit 3");
    several["ProcessesPerApplication"] = json!(2);
    let mut module = Module::start(several).await;
    assert_eq!(module.get("/").await.status, 502);
    let line = module.program.line("I am").await;
    let pid = line.strip_prefix("shop[").and_then(|rest| rest.split_once("]: I am ")).expect(&line);
    assert_eq!(pid.0, pid.1);
}
