//! The metrics of the page are those of a scrape.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Machine, block, blocks, quoted, rows, section};
use crate::program::{Program, curl, curl_exit_code};
use crate::support::{Client, soon};

const METRICS: &str = "Metrics";

/// Something of everything that is counted, and a scrape.
async fn scrape(machine: &Machine) -> (Program, String) {
    machine.settings("appsettings.json", &block("Configuration", "json"));
    let lines = blocks(super::INSTALL, "sh")[1].clone();
    machine.root.write("etc/operations/tls/folder", "");
    machine.shell(machine.root.path(), &lines).await;
    let program = machine
        .launch()
        .args(["--Kestrel:Limits:MaxConcurrentConnections", "2", "--shutdownDelaySeconds", "0"])
        .start()
        .await;
    let resolve = format!("shop.example:{}:127.0.0.1", machine.https);
    let url = format!("https://shop.example:{}/orders/7", machine.https);
    assert_eq!(curl(["--insecure", "--resolve", &resolve, &url]).await.status, 200);
    // No certificate is trusted, so the handshake fails.
    assert_eq!(curl_exit_code(["--resolve", &resolve, &url]).await, 60);

    let address = ([127, 0, 0, 1], machine.private).into();
    let head =
        "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut socket = Client::tcp(address).await;
    let answer = socket.exchange(&format!("GET /websocket HTTP/1.1\r\n{head}{key}\r\n")).await;
    assert_eq!(answer.status, 101);
    let held = [Client::tcp(address).await, Client::tcp(address).await];
    soon(async { while curl_exit_code([&machine.private("/healthz/live")]).await == 0 {} }).await;
    drop(held);
    soon(async { while curl_exit_code([&machine.private("/healthz/live")]).await != 0 {} }).await;
    let text = curl([&machine.private("/metrics")]).await.text().to_owned();
    drop(socket);
    (program, text)
}

#[tokio::test]
async fn every_metric_of_the_page_is_in_a_scrape() {
    let machine = Machine::new();
    let (program, text) = scrape(&machine).await;
    let of_the_scrape: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let table = rows(METRICS);
    let named: BTreeSet<_> = table.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(named, of_the_scrape, "the page has these, the scrape those");
    assert!(named.len() > 8);

    // Each name and label that is asked for.
    let names = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words
            .filter(|word| word.contains("kestrel_") || word.contains("http_"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let asked: Vec<_> = table
        .iter()
        .flat_map(|row| quoted(&row[1]))
        .chain(quoted(&section(METRICS)))
        .flat_map(names)
        .collect();
    assert!(asked.len() > 12, "{asked:?}");
    for name in asked {
        let is_there = text.lines().any(|line| {
            line.starts_with(&format!("{name}{{"))
                || line.contains(&format!("{name}=\""))
                || line.starts_with(&format!("# TYPE {name} "))
        });
        assert!(is_there, "{name} is not in the scrape:\n{text}");
    }
    for (label, name) in [
        ("server_port", "kestrel_active_connections"),
        ("error_type", "kestrel_tls_handshake_duration_seconds_count"),
    ] {
        let has_label =
            text.lines().any(|line| line.starts_with(name) && line.contains(&format!("{label}=\"")));
        assert!(has_label, "{label} of {name}:\n{text}");
    }
    // Each series begins with what it counts: there is no 0 before.
    let rejected = text.lines().find(|line| line.starts_with("kestrel_rejected_connections_total{")).unwrap();
    assert!(!rejected.ends_with(" 0"), "{rejected}");
    assert_eq!(program.stop().await.code, Some(0));
}

#[test]
fn what_prometheus_is_told_leads_to_the_private_endpoint() {
    let told: Value = serde_saphyr::from_str(&block(METRICS, "yaml")).unwrap();
    let [machine, pods] = &told["scrape_configs"].as_array().unwrap()[..] else { panic!("{told}") };
    let settings = block("Configuration", "json");
    let settings =
        hosting::Configuration::builder().json_text("appsettings.json", &settings).build().unwrap();
    let target = machine["static_configs"][0]["targets"][0].as_str().unwrap();
    let private = settings.get("Kestrel:Endpoints:Private:Url");
    assert_eq!(private, Some(format!("http://{target}").as_str()));
    // The host that Prometheus names is allowed.
    let hosts: Vec<_> = settings.get("AllowedHosts").unwrap().split(';').collect();
    assert!(hosts.contains(&target.split(':').next().unwrap()), "{hosts:?}");
    let manifest: Vec<Value> = serde_saphyr::from_multiple(&block("Kubernetes", "yaml")).unwrap();
    let deployment = manifest.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let label = deployment["spec"]["template"]["metadata"]["labels"]["app"].as_str().unwrap();
    let rule = &pods["relabel_configs"][0];
    assert_eq!(rule["regex"], format!("{label};private"));
    assert_eq!((&rule["action"], &pods["kubernetes_sd_configs"][0]["role"]), (&"keep".into(), &"pod".into()));
}
