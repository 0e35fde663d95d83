//! The access log, the ids of requests, and the clients behind a proxy in both.

use super::Sample;
use crate::program::curl;

#[tokio::test]
async fn each_answer_has_the_id_that_its_line_in_the_log_has() {
    let mut running = Sample::new().start().await;
    let mut ids = Vec::new();
    for path in ["/orders/7", "/nothing", "/healthz/live"] {
        let answer = running.public(path).await;
        let id = answer.header("x-request-id").unwrap_or_else(|| panic!("{path}: {answer:?}")).to_owned();
        let line = running.access().await;
        assert_eq!((&line["path"], &line["request_id"]), (&path.into(), &id.as_str().into()), "{line}");
        assert_eq!(line["status"], answer.status, "{line}");
        assert!(!ids.contains(&id), "{id} {ids:?}");
        ids.push(id);
    }
}

#[tokio::test]
async fn the_client_behind_a_proxy_is_told_if_the_proxy_is_known() {
    for (proxy, client) in [("127.0.0.1", "203.0.113.9"), ("127.0.0.9", "127.0.0.1")] {
        let sample = Sample::new().args(["--ForwardedHeaders:KnownProxies:0", proxy]);
        let mut running = sample.start().await;
        running.forwarded("203.0.113.9").await;
        assert_eq!(running.access().await["client_ip"], client, "{proxy}");
    }
    let networks = Sample::new().args(["--ForwardedHeaders:KnownNetworks:0", "127.0.0.0/8"]);
    let mut running = networks.args(["--ForwardedHeaders:ForwardLimit", "2"]).start().await;
    running.forwarded("203.0.113.9, 127.0.0.7").await;
    assert_eq!(running.access().await["client_ip"], "203.0.113.9");
}

#[tokio::test]
async fn without_the_section_nobody_is_believed() {
    let mut running = Sample::new().start().await;
    running.forwarded("203.0.113.9").await;
    assert_eq!(running.access().await["client_ip"], "127.0.0.1");
}

impl super::Running {
    /// A request of a proxy that tells of clients.
    async fn forwarded(&self, clients: &str) {
        let url = format!("http://localhost:{}/orders/7", self.public);
        curl(["--ipv4", "--header", &format!("X-Forwarded-For: {clients}"), &url]).await;
    }
}

#[tokio::test]
async fn proxies_that_are_none_fail_the_start_with_their_key_and_place() {
    for (section, expected) in [
        (r#"{ "KnownProxies": ["10.0.0.0/8"] }"#, ["ForwardedHeaders:KnownProxies:0", "such as 10.0.0.5"]),
        (
            r#"{ "KnownNetworks": ["10.0.0.0/33"] }"#,
            ["ForwardedHeaders:KnownNetworks:0", "such as 10.0.0.0/8"],
        ),
        (r#"{ "KnownProxys": ["10.0.0.5"] }"#, ["ForwardedHeaders", "did you mean KnownProxies?"]),
        (r#"{ "ForwardLimit": 1 }"#, ["ForwardedHeaders", "names no proxy"]),
    ] {
        let settings = format!(r#"{{ "ForwardedHeaders": {section} }}"#);
        let error = Sample::new().launch.file("appsettings.json", settings).fail().await;
        for part in expected.into_iter().chain(["appsettings.json"]) {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        // As the host's own, and no debug text.
        assert!(error.contains("the configuration cannot be used: ForwardedHeaders"), "{error}");
        assert!(!error.contains('{'), "{error}");
    }
}

#[tokio::test]
async fn a_misspelt_key_of_the_orders_fails_the_start() {
    let settings = r#"{ "Orders": { "Fiel": "orders.json" } }"#;
    let error = Sample::new().launch.file("appsettings.json", settings).fail().await;
    for part in ["Orders:Fiel", "appsettings.json:1:", "did you mean File?"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}
