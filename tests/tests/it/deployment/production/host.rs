//! The installation on a machine, and what its settings do.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::Value;

use super::{INSTALL, Machine, block, blocks, section};
use crate::program::{Program, binary, curl, curl_exit_code, workspace};
use crate::support::{Client, soon};

/// The lines of a block that this machine can run: there is no user to be made, and no systemd.
fn lines(block: &str, not: &[&str]) -> String {
    let lines = block.lines().filter(|line| !not.iter().any(|start| line.starts_with(start)));
    lines.fold(String::new(), |all, line| format!("{all}{line}\n"))
}

/// A folder as that of the clone after the build, with the files that the page has one save.
fn clone(machine: &Machine) -> std::path::PathBuf {
    let folder = machine.path("clone");
    machine.root.write("clone/appsettings.json", machine.here(&block("Configuration", "json")));
    machine.root.write("clone/operations.service", &blocks(INSTALL, "ini")[0]);
    std::fs::create_dir_all(folder.join("target/release")).unwrap();
    std::os::unix::fs::symlink(binary("operations"), folder.join("target/release/operations")).unwrap();
    std::os::unix::fs::symlink(workspace().join("samples"), folder.join("samples")).unwrap();
    folder
}

/// Starts it as well.
async fn installed() -> (Machine, Program) {
    let machine = prepared().await;
    let program = machine.start().await;
    (machine, program)
}

/// Does what the page says up to the start.
async fn prepared() -> Machine {
    let machine = Machine::new();
    std::fs::remove_dir_all(machine.path("etc/operations")).unwrap();
    let folder = clone(&machine);
    let commands = blocks(INSTALL, "sh");
    machine.shell(&folder, &lines(&commands[0], &["useradd "])).await;
    machine.shell(&folder, &commands[1]).await;
    for name in
        ["etc/operations/appsettings.json", "etc/operations/orders.json", "etc/operations/tls/site.pem"]
    {
        let mode = std::fs::metadata(machine.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640, "{name}");
    }
    assert!(machine.path("usr/local/bin/operations").is_file());
    assert!(machine.path("etc/systemd/system/operations.service").is_file());
    machine
}

#[tokio::test]
async fn every_command_of_the_installation_works_in_its_order() {
    let machine = prepared().await;
    let program = machine.launch().start().await;
    let checks = lines(&blocks(INSTALL, "sh")[2], &["systemctl "]);
    let commands: Vec<_> = checks.lines().collect();
    let expected = ["\"item\":\"lamp\"", "Healthy", "kestrel_tls_handshake_duration_seconds_count"];
    assert_eq!(commands.len(), expected.len(), "{checks}");
    for (command, expected) in commands.into_iter().zip(expected) {
        assert!(command.starts_with("curl --fail "), "{command}");
        let told = machine
            .shell(&machine.path("clone"), &command.replace("curl", "curl --silent --show-error"))
            .await;
        assert!(told.contains(expected), "{command}: {told}");
    }
    for (name, length) in [("ticket.keys", 80), ("ticket.keys.lock", 0)] {
        let file = std::fs::metadata(machine.path("var/lib/operations").join(name)).unwrap();
        assert_eq!((file.len(), file.permissions().mode() & 0o777), (length, 0o600), "{name}");
    }
    let end = program.stop().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    let good: Vec<_> = machine.here(&block("What the log says", "text")).lines().map(str::to_owned).collect();
    assert_eq!(good.len(), 5);
    for line in good {
        let line = line.replace("[::]:443", &format!("[::]:{}", machine.https));
        let line = if line.contains("127.0.0.1") {
            format!("Now listening on: {}", machine.private(""))
        } else {
            line
        };
        assert!(end.stdout.iter().any(|told| told.ends_with(&line)), "{line} is not in {end:#?}");
    }
    assert!(!end.stdout.iter().any(|line| line.contains("WARN") || line.contains("ERROR")), "{end:#?}");
}

#[tokio::test]
async fn a_start_that_fails_says_what_was_attempted_and_why() {
    let machine = prepared().await;
    let certificate = machine.path("etc/operations/tls/site.pem");
    std::fs::remove_file(&certificate).unwrap();
    let told = machine.launch().fail().await;
    for part in ["cannot listen on", "Public", certificate.to_str().unwrap(), "No such file"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[tokio::test]
async fn the_hook_of_certbot_gives_the_next_handshake_the_new_certificate() {
    let (machine, mut program) = installed().await;
    let live = machine.path("etc/letsencrypt/live/shop.example");
    std::fs::create_dir_all(&live).unwrap();
    let trial = blocks(INSTALL, "sh")[1].lines().take(2).collect::<Vec<_>>().join("\n");
    machine
        .shell(&live, &trial.replace("site.key", "privkey.pem").replace("site.crt", "fullchain.pem"))
        .await;
    let https = async |trusted: &std::path::Path| {
        let resolve = format!("shop.example:{}:127.0.0.1", machine.https);
        let url = format!("https://shop.example:{}/orders/7", machine.https);
        curl_exit_code(["--cacert", trusted.to_str().unwrap(), "--resolve", &resolve, &url]).await
    };
    let (old, new) = (machine.path("clone/site.crt"), live.join("fullchain.pem"));
    // 60: the certificate is not trusted.
    assert_eq!((https(&old).await, https(&new).await), (0, 60));
    let commands = blocks(INSTALL, "sh");
    let reload = format!("kill -HUP {}", program.id());
    let hook = &commands[4];
    assert!(hook.starts_with("#!/bin/sh\n") && hook.ends_with("systemctl reload operations\n"), "{hook}");
    machine.shell(&live, &lines(&commands[3], &["apt-get "])).await;
    let hook = machine.root.write(
        "etc/letsencrypt/renewal-hooks/deploy/operations",
        machine.here(&hook.replace("systemctl reload operations", &reload)),
    );
    let first = lines(&commands[5], &["certbot "]);
    let key = std::fs::read(live.join("privkey.pem")).unwrap();
    std::fs::copy(machine.path("clone/site.key"), live.join("privkey.pem")).unwrap();
    let told = machine.shell(&live, &format!("{} 2>&1 || echo $?", first.trim_end())).await;
    assert!(told.contains("do not belong together") && told.ends_with("\n1\n"), "{told}");
    assert_eq!((https(&old).await, https(&new).await), (0, 60));
    std::fs::write(live.join("privkey.pem"), key).unwrap();
    machine.shell(&live, &first).await;
    assert_eq!(std::fs::metadata(hook).unwrap().permissions().mode() & 0o777, 0o755);
    program.line("and was read again").await;
    assert_eq!((https(&old).await, https(&new).await), (60, 0));
    assert_eq!(
        std::fs::metadata(machine.path("etc/operations/tls/site.pem")).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(!machine.path("etc/operations/tls/new.pem").exists());
}

#[tokio::test]
async fn a_secret_that_systemd_hands_over_is_a_setting() {
    let (machine, program) = installed().await;
    // Not there before.
    let data = machine.private("/_diagnostics/data");
    assert!(!curl([&data]).await.text().contains("Shop:Password"));
    assert_eq!(program.stop().await.code, Some(0));
    machine.root.write("clone/secrets.json", r#"{ "Shop": { "Password": "secret" } }"#);
    machine.shell(&machine.path("clone"), &lines(&blocks(INSTALL, "sh")[6], &["systemctl "])).await;
    let drop_in =
        std::fs::read_to_string(machine.path("etc/systemd/system/operations.service.d/secrets.conf"))
            .unwrap();
    // What systemd does with this line.
    let (name, source) =
        drop_in.trim().strip_prefix("[Service]\nLoadCredential=").unwrap().split_once(':').unwrap();
    let credentials = machine.path("run/credentials/operations.service");
    std::fs::create_dir_all(&credentials).unwrap();
    std::fs::copy(source, credentials.join(name)).unwrap();
    let program = machine.start().await;
    let shown = curl([&data]).await;
    assert!(shown.text().contains("Shop:Password") && !shown.text().contains("secret\""), "{}", shown.text());
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn the_access_log_is_read_as_the_page_says() {
    let (machine, program) = installed().await;
    std::fs::remove_file(machine.path("etc/operations/orders.json")).unwrap();
    let failed = curl([&machine.private("/orders/7?secret=1")]).await;
    assert_eq!((failed.status, curl([&machine.private("/healthz/ready")]).await.status), (503, 503));
    let id = failed.header("x-request-id").unwrap();
    assert_eq!(program.stop().await.code, Some(0));
    let commands = blocks("Access log and traces", "sh");
    let lines: Vec<_> = commands[0].lines().collect();
    let [errors, slow] = lines[..] else { panic!("{lines:?}") };
    let told = machine.shell(machine.root.path(), errors).await;
    assert!(!told.contains("/healthz/"), "{told}");
    assert!(told.contains("GET\t/orders/7\t503\t") && told.trim_end().ends_with(id), "{told}");
    let log = std::fs::read_to_string(machine.path("var/log/operations/access.log")).unwrap();
    assert!(log.contains("[redacted]") && !log.contains("secret"), "{log}");
    assert_eq!(machine.shell(machine.root.path(), slow).await, "");
    let told = machine.shell(machine.root.path(), &slow.replace("> 1000", "> 0")).await;
    assert!(told.starts_with("20") && told.contains("\t/orders/7\t"), "{told}");
}

#[tokio::test]
async fn the_limits_lie_over_the_settings() {
    let (machine, program) = installed().await;
    assert_eq!(program.stop().await.code, Some(0));
    let limits = block("Limits", "json");
    machine.settings(
        "appsettings.Production.json",
        &limits.replace("\"MaxConnectionsPerAddress\": 200", "\"MaxConnectionsPerAddress\": 1"),
    );
    assert!(limits.contains("\"MaxConnectionsPerAddress\": 200"));
    let _program = machine.start().await;
    let address = ([127, 0, 0, 1], machine.private).into();
    let mut first = Client::tcp(address).await;
    let live = "GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(first.exchange(live).await.status, 200);
    Client::tcp(address).await.closed().await;
}

#[tokio::test]
async fn a_limit_of_all_connections_shuts_out_probes_and_scrapes() {
    let (machine, program) = installed().await;
    assert_eq!(program.stop().await.code, Some(0));
    let said = section("Limits");
    assert!(
        said.contains("`MaxConcurrentConnections` counts the connections of all endpoints together"),
        "{said}"
    );
    let _program = machine.launch().args(["--Kestrel:Limits:MaxConcurrentConnections", "1"]).start().await;
    let client = Client::tcp(([127, 0, 0, 1], machine.https).into()).await;
    // Both have been accepted in their order when the second one is closed.
    soon(async { while curl_exit_code([&machine.private("/healthz/live")]).await == 0 {} }).await;
    drop(client);
    soon(async { while curl_exit_code([&machine.private("/healthz/live")]).await != 0 {} }).await;
}

#[tokio::test]
async fn behind_a_proxy_the_client_is_the_one_that_it_tells_of() {
    let machine = Machine::new();
    machine.settings("appsettings.json", &block("Behind a proxy", "json"));
    let program = machine.start().await;
    let url = format!("http://127.0.0.1:{}/orders/7", machine.public);
    let fields =
        ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: shop.example", "x-request-id: of-the-proxy"];
    let answer = curl(["--header", fields[0], "--header", fields[1], "--header", fields[2], &url]).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("of-the-proxy")), "{answer:?}");
    let strange = curl(["--header", "Host: strange.example", &url]).await;
    assert_eq!(strange.status, 400);
    assert_eq!(program.stop().await.code, Some(0));
    let log = std::fs::read_to_string(machine.path("var/log/operations/access.log")).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["client_ip"], "203.0.113.9", "{line}");
}

/// The words of the last row of the stop, and what clients see in its steps: `drain` has the rest.
#[tokio::test]
async fn a_stop_goes_in_the_steps_of_the_table() {
    let machine = prepared().await;
    let mut program = machine.launch().start().await;
    let steps = super::rows("Health, stops and new versions");
    let row = |name: &str| {
        let row = steps.iter().find(|row| row[0].contains(name));
        row.unwrap_or_else(|| panic!("{name}: {steps:?}")).clone()
    };
    let lines: Vec<_> = row("last line")[1..].iter().map(|cell| cell.trim_matches('`').to_owned()).collect();
    program.signal(Signal::TERM);
    program.line(&lines[0]).await;
    for (name, path) in [("/healthz/ready", "/healthz/ready"), ("/healthz/live", "/healthz/live")] {
        assert_eq!(curl([&machine.private(path)]).await.status.to_string(), row(name)[1], "{name}");
    }
    let answer = Client::tcp(([127, 0, 0, 1], machine.private).into()).await.get("/orders/7").await;
    // Nobody is allowed by the name that this client gives.
    assert!(answer.status == 400 && answer.closes(), "{answer:?}");
    program.line(&lines[1]).await;
    assert_eq!(curl_exit_code([&machine.private("/healthz/live")]).await, 7);
    let end = program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    assert!(end.stdout.last().unwrap().ends_with(&lines[1]), "{end:?}");
}

#[tokio::test]
async fn the_loop_over_machines_waits_until_each_one_is_ready() {
    let (machine, _program) = installed().await;
    let commands = blocks("Health, stops and new versions", "sh");
    let restart = &commands[1];
    assert!(restart.contains("ssh \"$host\" systemctl restart operations\n"), "{restart}");
    // This machine is both of them, and is ready.
    let here =
        restart.replace("ssh \"$host\" systemctl restart operations", ":").replace("ssh \"$host\" ", "");
    let told = machine.shell(machine.root.path(), &here).await;
    assert_eq!(told.matches("Healthy").count(), 2, "{told}");
}
