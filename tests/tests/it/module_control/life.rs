//! How the module ends.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::*;
use crate::support::{soon, until};

/// A module whose applications, one of each model, take nothing for a reason to end.
async fn start_deaf(port: u16) -> Program {
    let folder = Folder::new();
    let socket = format!("http://unix:{}", folder.path().join("own.sock").display());
    let settings = json!({ "Module": {
        "Endpoints": {
            "Web": { "Url": format!("http://127.0.0.1:{port}") },
            "Own": { "Url": socket },
        },
        "ControlSocket": "control.sock",
        "Applications": {
            "out": { "Command": binary("odd-app"), "Arguments": ["deaf"], "Endpoints": ["Web"], "ShutdownTimeLimit": 60 },
            "in": {
                "Command": "/bin/sh", "Arguments": ["-c", "trap '' TERM; while :; do sleep 0.1; done"],
                "HostingModel": "InProcess", "Endpoints": ["Own"], "ShutdownTimeLimit": 60,
            },
        },
    }});
    folder.write("module.json", settings.to_string());
    let launch = Launch::in_folder(folder, binary("server-module"));
    launch.args(["run", "--config", "module.json"]).start().await
}

/// The processes of the applications, one each.
async fn workers(program: &Program) -> Vec<Pid> {
    soon(async {
        loop {
            let (code, shown, errors) = module(program.folder(), &["status", "--json"]).await;
            assert_eq!(code, Some(0), "{errors}");
            let status: Value = serde_json::from_str(&shown).unwrap();
            let applications = status["applications"].as_array().unwrap();
            let all = applications.iter().flat_map(|application| application["workers"].as_array().unwrap());
            let pids: Vec<_> = all.filter_map(|worker| pid(worker["pid"].as_i64()?)).collect();
            if pids.len() == 2 {
                return pids;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

fn pid(number: i64) -> Option<Pid> {
    Pid::from_raw(number.try_into().ok()?)
}

fn guard_of(worker: Pid) -> Pid {
    let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
    pid(stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()).unwrap()
}

async fn is_gone(process: Pid) {
    soon(until(|| test_kill_process(process).is_err())).await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_the_module_at_once_with_all_that_it_has_started() {
    for has_hanging_guard in [false, true] {
        let port = free_port();
        let mut program = start_deaf(port).await;
        let folder = program.folder().path().to_owned();
        let files = ["own.sock", "control.sock"].map(|name| folder.join(name));
        let _waiting = UnixStream::connect(&files[0]).unwrap();
        assert_eq!(curl([&format!("http://127.0.0.1:{port}/")]).await.status, 200);
        let workers = workers(&program).await;
        let guards: Vec<_> = workers.iter().map(|worker| guard_of(*worker)).collect();
        if has_hanging_guard {
            guards.iter().for_each(|guard| kill_process(*guard, Signal::STOP).unwrap());
        }
        program.signal(Signal::INT);
        program.line("Application is shutting down").await;
        program.signal(Signal::INT);
        let end = program.end().await;
        assert_eq!(end.code, Some(130), "{end:?}");
        assert!(end.stdout.iter().any(|line| line.contains("a second Ctrl+C")), "{end:?}");
        assert!(!end.stdout.iter().any(|line| line.contains("has failed")), "{end:?}");
        for process in workers.into_iter().chain(guards) {
            is_gone(process).await;
        }
        assert!(!files.iter().any(|file| Path::exists(file)), "{end:?}");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
