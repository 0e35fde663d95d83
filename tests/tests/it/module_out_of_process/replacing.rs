//! Processes that are replaced or stopped while others start.

use tokio::time::Instant;

use super::*;
use crate::program::{Folder, tool};
use crate::support::within;

const WEB_CONFIG: &str =
    "<configuration><system.webServer><aspNetCore processPath=\"none\" /></system.webServer></configuration>";

/// A module with the application `raw-app` in a folder of its own, and what its processes are found by.
async fn raw(mode: &str, keys: &serde_json::Value) -> (Folder, Module, String) {
    let (folder, mark) = (Folder::new(), mark());
    let mut application = json!({
        "Path": folder.path(), "Command": binary("raw-app"), "Arguments": [mode, mark],
        "ShutdownTimeLimit": 4, "StartupTimeLimit": 60,
    });
    for (key, value) in keys.as_object().unwrap() {
        application[key] = value.clone();
    }
    folder.write("web.config", WEB_CONFIG);
    let module = Module::start_with(application, json!({ "ControlSocket": "control.sock" })).await;
    (folder, module, format!("raw-app {mode} {mark}"))
}

/// A text that nobody else has in its command line.
fn mark() -> String {
    format!("mark-{}-{}", std::process::id(), free_port())
}

/// The processes of the application, guards not counted.
fn workers(mark: &str) -> Vec<i32> {
    let is_own = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next().is_some_and(|program| program.ends_with(b"raw-app"))
    };
    processes(mark).into_iter().filter(is_own).collect()
}

async fn recycle(module: &Module) -> (Option<i32>, String) {
    let socket = module.program.folder().path().join("control.sock");
    let output = tool(
        binary("server-module").to_str().unwrap(),
        ["recycle", "shop", "--control", socket.to_str().unwrap()],
    )
    .await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn one_that_dies_while_it_is_replaced_leaves_one_process_only() {
    let (folder, module, mark) = raw("plain", &json!({})).await;
    let first = module.pid("/").await;
    folder.write("delay", "1500");
    let (recycled, pid) = tokio::join!(recycle(&module), async {
        soon(until(|| workers(&mark).len() == 2)).await;
        signal(first, Signal::KILL);
        gone(first).await;
        // Its start is under way when the one of the recycling is over.
        module.pid("/").await
    });
    assert_eq!(recycled.0, Some(0), "{}", recycled.1);
    within(Duration::from_secs(15), until(|| workers(&mark).len() == 1)).await;
    assert!(is_there(pid) || module.pid("/").await != pid);
    assert_eq!(workers(&mark), [module.pid("/").await]);
}

#[tokio::test]
async fn one_that_starts_is_replaced_when_it_has_started() {
    let (folder, module, mark) = raw("plain", &json!({})).await;
    folder.write("delay", "1000");
    let url = module.url("/");
    let request = tokio::spawn(async move { curl([&url]).await });
    soon(until(|| workers(&mark).len() == 1)).await;
    let before = workers(&mark)[0];
    let (code, told) = recycle(&module).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(request.await.unwrap().status, 200);
    gone(before).await;
    assert_ne!(module.pid("/").await, before);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_start() {
    let (folder, module, mark) = raw("plain", &json!({})).await;
    folder.write("delay", "60000");
    let url = module.url("/");
    let request = tokio::spawn(async move { curl([&url]).await });
    soon(until(|| workers(&mark).len() == 1)).await;
    let begun = Instant::now();
    let end = module.program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(request.await.unwrap().status, 503);
    assert!(workers(&mark).is_empty());
    assert!(!end.stdout.iter().any(|line| line.contains("attempt=")), "{end:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_replacement() {
    let (folder, module, mark) = raw("plain", &json!({})).await;
    module.pid("/").await;
    folder.write("delay", "60000");
    let (recycled, end) = tokio::join!(recycle(&module), async {
        soon(until(|| workers(&mark).len() == 2)).await;
        let begun = Instant::now();
        module.program.signal(Signal::TERM);
        soon(until(|| workers(&mark).is_empty())).await;
        begun.elapsed()
    });
    assert_ne!(recycled.0, Some(0), "{}", recycled.1);
    assert!(end < Duration::from_secs(4), "{end:?}");
    assert_eq!(module.program.end().await.code, Some(0));
}

#[tokio::test]
async fn the_offline_page_is_there_while_a_process_is_replaced() {
    let (folder, mut module, mark) = raw("plain", &json!({ "Recycle": { "OnFileChange": true } })).await;
    module.pid("/").await;
    folder.write("delay", "8000");
    folder.write("web.config", format!("{WEB_CONFIG}\n"));
    soon(until(|| workers(&mark).len() == 2)).await;
    folder.write("app_offline.htm", "soon back");
    let offline = async { while module.get("/").await.status != 503 {} };
    within(Duration::from_secs(3), offline).await;
    assert_eq!(module.get("/").await.text(), "soon back");
    soon(until(|| workers(&mark).is_empty())).await;
    module.program.line("offline").await;
}

#[tokio::test]
async fn a_recycle_loses_no_request_of_one_that_knows_sigterm_only() {
    let (_folder, module, _) = raw("plain", &json!({ "ShutdownTimeLimit": 8 })).await;
    let first = module.pid("/").await;
    let url = module.url("/");
    let slow = tokio::spawn(async move { curl(["-H", "x-wait: 2000", &url]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (code, told) = recycle(&module).await;
    assert_eq!(code, Some(0), "{told}");
    let answer = slow.await.unwrap();
    assert_eq!((answer.status, fact(&answer, "pid")), (200, first.to_string().as_str()));
    gone(first).await;
}

#[tokio::test]
async fn one_that_does_not_answer_the_request_to_stop_gets_sigterm_early() {
    let (_folder, module, _) = raw("mute", &json!({ "ShutdownTimeLimit": 9 })).await;
    let pid = module.pid("/").await;
    let begun = Instant::now();
    let end = module.program.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(end.stdout.iter().any(|line| line.contains("signal 15")), "{end:?}");
    assert!(!is_there(pid));
}

#[tokio::test]
async fn one_with_a_port_of_its_own_is_ended_before_the_next_one_starts() {
    let port = free_port();
    let variables = json!({ "EnvironmentVariables": { "ASPNETCORE_PORT": port.to_string() } });
    let (_folder, module, mark) = raw("plain", &variables).await;
    let first = module.pid("/").await;
    let (recycled, statuses) = tokio::join!(recycle(&module), async {
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(module.get("/").await.status);
        }
        statuses
    });
    assert_eq!(recycled.0, Some(0), "{}", recycled.1);
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let second = module.pid("/").await;
    assert_ne!(second, first);
    assert_eq!(workers(&mark), [second]);
}

#[tokio::test]
async fn one_that_has_failed_too_often_is_started_again_after_a_recycle() {
    let (_folder, mut module, _) = raw("crashes", &json!({ "RapidFailsPerMinute": 0 })).await;
    assert_eq!(module.get("/").await.status, 502);
    module.program.line("attempt=2").await;
    assert_eq!(module.get("/").await.status, 502);
    let (code, told) = recycle(&module).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(module.get("/").await.status, 502);
    module.program.line("attempt=2").await;
}
