//! Workers that fail, in every way.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::module::{Module, features, gone, is_running, kill, script, unique, with};
use crate::program::binary;
use crate::support::{soon, until};

#[tokio::test]
async fn one_that_exits_at_once_is_started_until_it_has_failed_too_often() {
    let application = with(
        script("echo on purpose; exit 3"),
        json!({ "RapidFailsPerMinute": 2, "StdoutLogEnabled": true }),
    );
    let mut module = Module::start(application).await;
    // Connected, and waits.
    let mut client = module.client().await;
    let status = module.until(|status| status["state"] == "disabled").await;
    assert_eq!((&status["starts"], &status["failures"]), (&json!(3), &json!(3)));
    assert_eq!(status["lastExit"], "exit code 3, before it was ready");
    let events = module.events();
    assert!(events.contains("on purpose") && events.contains("rapidFailsPerMinute"), "{events}");
    assert!(client.is_silent().await);
    // Whoever recycles it has corrected something, and somebody still waits.
    let answer = module.ask("recycle").await;
    assert!(answer.starts_with("the new worker has failed: exit code 3, before it was ready"), "{answer}");
    assert!(answer.contains("on purpose"), "{answer}");
    let status = module.until(|status| status["state"] == "disabled" && status["starts"] == 6).await;
    assert_eq!(status["failures"], 6);
    module.stop().await;
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn one_that_cannot_be_executed_says_why() {
    let mut module = Module::start(with(features(), json!({ "RapidFailsPerMinute": 0 }))).await;
    let folder = module.folder.path();
    let bad = folder.join("bad");
    std::fs::write(&bad, "#!/nowhere/at/all\n").unwrap();
    std::fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = folder.join("module.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let features = binary("features").display().to_string();
    std::fs::write(&file, text.replace(&features, &bad.display().to_string())).unwrap();
    module.recycle().await;
    let _client = module.client().await;
    let status = module.until(|status| status["state"] == "disabled").await;
    assert_eq!(status["lastExit"], "exit code 126, before it was ready");
    let printed = module.events();
    assert!(
        printed.contains(&format!("the application could not be started: {}", bad.display())),
        "{printed}"
    );
    module.stop().await;
}

#[tokio::test]
async fn one_that_never_gets_ready_is_ended() {
    let seconds = unique();
    let limits = json!({ "StartupTimeLimit": "00:00:01", "RapidFailsPerMinute": 0 });
    let mut module = Module::start(with(script(&format!("sleep {seconds}; true")), limits)).await;
    let _client = module.client().await;
    let status = module.until(|status| status["state"] == "disabled").await;
    assert!(status["lastExit"].as_str().unwrap().contains("not ready within 1 s"), "{status:#}");
    gone(&format!("sleep {seconds}")).await;
    // Whoever asks for it does not wait longer than the start may take.
    let began = Instant::now();
    let answer = module.ask("recycle").await;
    assert!(answer.contains("not ready within 1 s") && answer.contains("READY=1"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(10));
    module.stop().await;
}

#[tokio::test]
async fn one_that_hangs_at_its_stop_is_ended_with_what_it_has_started() {
    let seconds = unique();
    let stubborn =
        format!("trap '' TERM; (trap '' TERM; touch up; exec sleep {seconds}) & while :; do sleep 0.1; done");
    let mut module = Module::start(with(script(&stubborn), json!({ "ShutdownTimeLimit": "00:00:01" }))).await;
    let _client = module.client().await;
    let up = module.folder.path().join("up");
    module.until(|_| up.exists()).await;
    let begun = Instant::now();
    module.stop().await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(9), "{took:?}");
    assert!(!is_running(&seconds));
}

#[tokio::test]
async fn one_that_stops_by_itself_is_started_by_the_next_connection() {
    let mut module = Module::start(features()).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await[0];
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let status = module.until(|status| status["workers"] == json!([])).await;
    assert_eq!((&status["state"], &status["starts"]), (&json!("idle"), &json!(1)));
    assert_eq!(status["lastExit"], "exit code 0");
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    assert_ne!(module.running(1).await[0], pid);
    assert_eq!(module.status().await["starts"], 2);
    module.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let mut module = Module::start(features()).await;
    let mut client = module.client().await;
    assert_eq!(client.get("/plaintext").await.text(), "Hello, World!");
    module.running(1).await;
    let begun = Instant::now();
    module.stop().await;
    // How each has ended is told, at a stop as well.
    soon(until(|| module.events().contains("a worker has ended"))).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    client.closed().await;
}

#[tokio::test]
async fn nothing_survives_a_module_that_is_killed() {
    let (seconds, other) = (unique(), unique());
    // One grandchild leaves the group of the worker, and one ignores what it is told.
    let script_text = format!("(trap '' TERM; sleep {seconds}) & setsid sleep {other} & exec \"$0\"");
    let application = with(
        script(""),
        json!({ "Arguments": ["-c", script_text, binary("features")], "ShutdownTimeLimit": "00:00:01" }),
    );
    let mut module = Module::start(application).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await[0];
    assert!(is_running(&format!("sleep {seconds}")) && is_running(&format!("sleep {other}")));
    let (address, _folder) = (module.address(0), module.kill().await);
    gone(&format!("sleep {seconds}")).await;
    gone(&format!("sleep {other}")).await;
    soon(async {
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    soon(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_whose_guard_is_killed_is_replaced() {
    let mut module = Module::start(features()).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await[0];
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let guard: i32 = stat.rsplit(')').next().unwrap().split(' ').nth(2).unwrap().parse().unwrap();
    kill(guard);
    module.until(|status| status["starts"] == 2 && status["state"] == "running").await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    assert_ne!(module.running(1).await[0], pid);
    module.stop().await;
}

#[tokio::test]
async fn one_that_says_nothing_is_ready_when_the_connection_is_taken_or_after_a_while() {
    let listener = env!("CARGO_BIN_EXE_inherited-listener");
    let application = json!({ "Command": listener, "HostingModel": "InProcess" });
    let mut module = Module::start(application).await;
    assert_eq!(module.get("/").await, "Web");
    let pid = module.running(1).await[0];
    module.recycle().await;
    // It takes connections until the signal ends it, and those end with it.
    soon(until(|| !std::path::Path::new(&format!("/proc/{pid}")).exists())).await;
    assert_eq!(module.get("/").await, "Web");
    let now = module.running(1).await;
    assert_ne!(now[0], pid);
    module.stop().await;
}

#[tokio::test]
async fn a_socket_that_a_worker_has_shut_down_is_listened_on_again() {
    let raw = format!("exec {} stdin <&3", binary("raw-app").display());
    let mut module = Module::start(script(&raw)).await;
    let first = module.get("/").await;
    let address: std::net::SocketAddr = module.address(0);
    for _ in 0..2 {
        let mut client = module.client().await;
        client.send("GET /shutdown HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.rest().await;
        let listens = async { while tokio::net::TcpStream::connect(address).await.is_err() {} };
        let listens = tokio::time::timeout(Duration::from_secs(8), listens).await;
        assert!(listens.is_ok(), "{}", module.events());
        assert_ne!(module.get("/").await, first);
    }
    assert!(module.events().contains("listened on again"), "{}", module.events());
    module.stop().await;
}

#[tokio::test]
async fn where_its_output_is_and_that_it_cannot_be_offline_is_said() {
    let application = with(script("echo on purpose; exit 3"), json!({ "RapidFailsPerMinute": 0 }));
    let mut module = Module::start(application).await;
    let _client = module.client().await;
    module.until(|status| status["state"] == "disabled").await;
    assert!(module.printed().contains("on purpose"));
    let events = module.events();
    let line = events.lines().find(|line| line.contains("a worker has failed")).unwrap();
    assert!(line.contains("the module's own output") && line.contains("StdoutLogEnabled"), "{line}");
    std::fs::write(module.folder.path().join("app_offline.htm"), "closed").unwrap();
    soon(until(|| module.events().contains("app_offline.htm has no effect"))).await;
    let events = module.events();
    let line = events.lines().find(|line| line.contains("app_offline.htm")).unwrap();
    assert!(line.contains("WARN") && line.contains("OutOfProcess"), "{line}");
    module.stop().await;
}
