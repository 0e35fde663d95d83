//! Workers that are replaced, and what clients see of it: nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::load::Load;
use super::module::{Module, features, kill, pids, with};
use crate::program::{Folder, binary};
use crate::support::{soon, until, within};

/// Puts a program in the place of another, as deploying does.
fn deploy(path: &Path, content: &[u8]) {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, content).unwrap();
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(temporary, path).unwrap();
}

/// A script that becomes the sample `features`.
fn launcher() -> Vec<u8> {
    format!("#!/bin/sh\nexec {}\n", binary("features").display()).into_bytes()
}

/// A module whose program can be replaced.
async fn deployed(keys: Value) -> Module {
    let folder = Folder::new();
    deploy(&folder.path().join("shop"), &launcher());
    let section = json!({ "Endpoints": { "Web": { "Url": "http://127.0.0.1:0" } } });
    let application = with(json!({ "Command": "shop", "HostingModel": "InProcess" }), keys);
    Module::start_in(folder, section, application).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_recycles_under_load_fail_no_request() {
    let mut module = Module::start(features()).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(1).await;
    let load = Load::start(module.address(0));
    within(Duration::from_secs(110), async {
        load.each_has_connected_since(&[]).await;
        for _ in 0..100 {
            let before = load.connections();
            module.recycle().await;
            // Everybody has gone over to the new one.
            load.each_has_connected_since(&before).await;
        }
    })
    .await;
    let tally = load.stop().await;
    assert_eq!(tally.failures, Vec::<String>::new());
    assert!(tally.answers > 1000 && tally.refused == 0, "{tally:?}");
    let status = module.until(|status| pids(status).len() == 1).await;
    assert_eq!((&status["starts"], &status["failures"]), (&json!(101), &json!(0)));
    module.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_worker_is_killed_under_load_nobody_is_refused() {
    let mut module = Module::start(with(features(), json!({ "RapidFailsPerMinute": 100 }))).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(1).await;
    let load = Load::start(module.address(0));
    load.each_has_connected_since(&[]).await;
    for starts in 1..=20 {
        let is_next = |status: &Value| status["starts"] == starts && status["state"] == "running";
        let pid = pids(&module.until(is_next).await)[0];
        let before = load.connections();
        kill(pid);
        load.each_has_connected_since(&before).await;
    }
    module.until(|status| status["starts"] == 21).await;
    let tally = load.stop().await;
    assert_eq!(tally.refused, 0, "{:?}", tally.failures);
    // At the most what each client had under way at the time.
    assert!(tally.failures.len() <= 20 * Load::CLIENTS, "{:?}", tally.failures);
    let status = module.status().await;
    assert_eq!((&status["starts"], &status["failures"]), (&json!(21), &json!(20)));
    assert_eq!(status["lastExit"], "signal 9");
    module.stop().await;
}

#[tokio::test]
async fn a_new_worker_that_fails_leaves_the_old_one_where_it_is() {
    let mut module = deployed(json!({ "StartupTimeLimit": "00:00:05" })).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await;
    deploy(&module.folder.path().join("shop"), b"#!/bin/sh\nexit 7\n");
    let answer = module.ask("recycle").await;
    assert!(answer.contains("exit code 7") && answer.contains("the old one stays"), "{answer}");
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    assert_eq!(module.running(1).await, pid);
    deploy(&module.folder.path().join("shop"), &launcher());
    module.recycle().await;
    assert_ne!(module.running(1).await, pid);
    module.stop().await;
}

#[tokio::test]
async fn the_old_worker_serves_until_the_new_one_says_that_it_is_ready() {
    let mut module = deployed(json!({})).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(1).await;
    let slow = format!("#!/bin/sh\nsleep 1.5; exec {}\n", binary("features").display());
    deploy(&module.folder.path().join("shop"), slow.as_bytes());
    module.recycle().await;
    module.until(|status| pids(status).len() == 1).await;
    // What it has printed is read a moment later.
    soon(until(|| module.printed().matches("Application started").count() == 2)).await;
    soon(until(|| module.printed().contains("shutting down"))).await;
    let printed = module.printed();
    let (_, second) = printed.split_once("Application started").unwrap();
    let (before, _) = second.split_once("Application started").unwrap();
    assert!(!before.contains("shutting down"), "{printed}");
    module.stop().await;
}

#[tokio::test]
async fn a_program_that_changes_replaces_its_workers() {
    let mut module = deployed(json!({ "Recycle": { "OnFileChange": true } })).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await;
    // Away for a while: nothing happens until the new one is there.
    let program = module.folder.path().join("shop");
    std::fs::remove_file(&program).unwrap();
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(module.running(1).await, pid);
    deploy(&program, &launcher());
    module.until(|status| status["starts"] == 2).await;
    let others =
        |status: &Value| status["state"] == "running" && pids(status) != pid && pids(status).len() == 1;
    module.until(others).await;
    assert!(module.events().contains("has changed"), "{}", module.events());
    module.stop().await;
}

#[tokio::test]
async fn memory_and_age_replace_workers() {
    for (recycle, why) in [
        (json!({ "After": "00:00:01" }), "Recycle:After"),
        (json!({ "MemoryBytes": 1 << 20 }), "Recycle:MemoryBytes"),
    ] {
        let mut module = deployed(json!({ "Recycle": recycle })).await;
        assert_eq!(module.get("/plaintext").await, "Hello, World!");
        module.until(|status| status["starts"].as_u64() >= Some(3)).await;
        assert!(module.events().contains(why), "{}", module.events());
        assert_eq!(module.status().await["failures"], 0);
        module.stop().await;
    }
}

#[tokio::test]
async fn a_request_under_way_is_finished_by_the_old_worker() {
    let mut module = Module::start(features()).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(1).await;
    let (mut slow, mut idle) = (module.client().await, module.client().await);
    assert!(!idle.get("/plaintext").await.closes());
    slow.send("GET /delay/1500 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(200)).await;
    module.recycle().await;
    // As soon as the old one has heard of it, the next answer on a connection of its own is the last.
    soon(async {
        loop {
            let answer = idle.get("/plaintext").await;
            assert_eq!(answer.text(), "Hello, World!");
            if answer.closes() {
                return;
            }
        }
    })
    .await;
    let last = slow.response().await;
    assert!(last.text() == "after 1500 ms" && last.closes(), "{last:?}");
    module.running(1).await;
    module.stop().await;
}
