use tokio::io::AsyncWriteExt;

use super::*;
use crate::program::Folder;

#[tokio::test]
async fn one_that_crashes_is_started_again_by_the_next_request() {
    let mut module = Module::start(odd("plain")).await;
    let first = module.pid("/").await;
    let answer = module.get("/crash").await;
    assert_eq!(answer.status, 502);
    let line = module.program.line("ended by itself").await;
    assert!(line.contains("signal 6") && line.contains(&format!("pid={first}")), "{line}");
    assert_ne!(module.pid("/").await, first);
}

#[tokio::test]
async fn one_that_is_killed_under_load_fails_only_what_it_had() {
    let module = Module::start(odd("plain")).await;
    module.pid("/").await;
    let load = async {
        let mut statuses = std::collections::BTreeMap::new();
        for round in 0..10 {
            let requests = (0..20).map(|_| module.get("/"));
            let mut pid = None;
            for answer in futures_util::future::join_all(requests).await {
                *statuses.entry(answer.status).or_insert(0) += 1;
                pid = facts(&answer, "pid").next().and_then(|pid| pid.parse().ok()).or(pid);
            }
            if let Some(pid) = pid.filter(|pid| round % 3 == 1 && is_there(*pid)) {
                signal(pid, Signal::KILL);
            }
        }
        statuses
    };
    let statuses = soon(load).await;
    assert!(statuses.keys().all(|status| [200, 502].contains(status)), "{statuses:?}");
    assert!(statuses[&200] >= 100, "{statuses:?}");
}

#[tokio::test]
async fn requests_under_way_are_finished_when_the_module_stops() {
    let module = Module::start(odd("plain")).await;
    let pid = module.pid("/").await;
    let slow = tokio::spawn({
        let url = module.url("/slow");
        async move { curl([&url]).await.status }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let end = module.program.stop().await;
    assert_eq!((slow.await.unwrap(), end.code), (200, Some(0)), "{end:?}");
    gone(pid).await;
}

#[tokio::test]
async fn one_that_hangs_at_the_stop_is_killed_at_the_limit() {
    let module = Module::start(odd("deaf")).await;
    let pid = module.pid("/").await;
    let end = module.program.stop().await;
    assert_eq!(end.code, Some(0));
    assert!(end.stdout.iter().any(|line| line.contains("is killed")), "{end:?}");
    assert!(!is_there(pid));
}

#[tokio::test]
async fn one_with_a_request_that_does_not_end_stops_by_itself_before_the_limit() {
    let application = json!({ "Command": binary("features"), "ShutdownTimeLimit": 4 });
    let module = Module::start(application).await;
    assert_eq!(module.get("/plaintext").await.status, 200);
    let endless = tokio::spawn({
        let url = module.url("/delay/60000");
        async move { curl([&url]).await.status }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let end = module.program.stop().await;
    assert_eq!((endless.await.unwrap(), end.code), (502, Some(0)), "{end:?}");
    assert!(!end.stdout.iter().any(|line| line.contains("is killed")), "{end:?}");
}

#[tokio::test]
async fn a_stream_ends_when_the_module_stops() {
    let module = Module::start(json!({ "Command": binary("features") })).await;
    assert_eq!(module.get("/plaintext").await.status, 200);
    let stream = tokio::spawn({
        let url = module.url("/sse");
        async move { curl([&url]).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The limit of both is longer than a test waits.
    let end = module.program.stop().await;
    let stream = stream.await.unwrap();
    assert_eq!((stream.status, end.code), (200, Some(0)), "{end:?}");
    assert!(!end.stdout.iter().any(|line| line.contains("WARN")), "{end:?}");
}

#[tokio::test]
async fn nothing_outlives_the_future_of_a_module() {
    let launch = Launch::in_folder(Folder::new(), env!("CARGO_BIN_EXE_in-process-module"));
    let port = free_port();
    let settings = json!({ "Module": {
        "Endpoints": {
            "Web": { "Url": format!("http://127.0.0.1:{port}") },
            "Shop": { "Url": "http://127.0.0.1:0" },
        },
        "Applications": {
            "web": { "Command": binary("odd-app"), "Arguments": ["plain"], "Endpoints": ["Web"] },
            "shop": { "Command": binary("hello"), "HostingModel": "InProcess", "Endpoints": ["Shop"] },
        },
    } });
    let launch = launch.file("module.json", settings.to_string()).args(["module.json", "--whole"]);
    let mut program = launch.spawn_with_input();
    let shop = program.line("for an application in process").await;
    let shop = shop.split("Now listening on: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let url = shop.to_owned();
    program.line("Application started").await;
    let module = Module { program, port };
    let web = module.pid("/").await;
    assert_eq!(curl([&url]).await.status, 200);
    let hello = module.worker("hello");
    let Module { mut program, .. } = module;
    soon(program.stdin.as_mut().unwrap().write_all(b"drop\n")).await.unwrap();
    program.line("= dropped").await;
    gone(web).await;
    gone(hello).await;
    drop(program.stdin.take());
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn nothing_outlives_a_module_that_is_killed() {
    let module = Module::start(odd("forks")).await;
    let pid = module.pid("/").await;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child: i32 = children.trim().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let guard: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    module.program.signal(Signal::KILL);
    for pid in [pid, child, guard] {
        gone(pid).await;
    }
}

#[tokio::test]
async fn nothing_outlives_a_guard_that_is_killed() {
    let module = Module::start(odd("plain")).await;
    let pid = module.pid("/").await;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let guard: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    signal(guard, Signal::KILL);
    gone(pid).await;
    soon(until_answered(&module)).await;
}

async fn until_answered(module: &Module) {
    while module.get("/").await.status != 200 {}
}

#[tokio::test]
async fn what_a_worker_leaves_is_ended_with_it() {
    let module = Module::start(odd("forks")).await;
    let pid = module.pid("/").await;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child: i32 = children.trim().parse().unwrap();
    signal(pid, Signal::KILL);
    gone(child).await;
}

#[tokio::test]
async fn a_changed_web_config_is_read_for_the_next_process() {
    let folder = Folder::new();
    let config = |oddity: &str| {
        let program = binary("odd-app").display().to_string();
        format!(
            "<configuration><system.webServer><aspNetCore processPath=\"{program}\" arguments=\"{oddity}\" \
             shutdownTimeLimit=\"2\" /></system.webServer></configuration>"
        )
    };
    folder.write("web.config", config("plain"));
    let application = json!({ "Path": folder.path(), "Recycle": { "OnFileChange": true } });
    let mut module = Module::start(application).await;
    let first = module.pid("/").await;
    // One that cannot be used changes nothing.
    folder.write("web.config", config("plain").replace("\"2\"", "\"soon\""));
    let line = module.program.line("its processes stay").await;
    assert!(line.contains("shutdownTimeLimit"), "{line}");
    assert_eq!(module.pid("/").await, first);
    folder.write("web.config", config("forks"));
    module.program.line("its files have changed").await;
    gone(first).await;
    let second = module.pid("/").await;
    let line = std::fs::read(format!("/proc/{second}/cmdline")).unwrap();
    assert!(String::from_utf8_lossy(&line).contains("forks"));
}
