//! Probes of an application, as code and configuration switch them on.

use hosting::{
    Body, HealthChecks, HttpsRedirectionLayer, HttpsRedirectionOptions, Request, TestServer, WebApplication,
    WebApplicationOptions,
};
use http_body_util::BodyExt;

use crate::program::Launch;
use crate::support::{Client, hello, soon};

fn builder(values: &[(&str, &str)]) -> hosting::WebApplicationBuilder {
    of_environment("Production", values)
}

fn of_environment(environment: &str, values: &[(&str, &str)]) -> hosting::WebApplicationBuilder {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    WebApplication::builder_with(WebApplicationOptions {
        arguments: Some(Vec::new()),
        environment: Some(environment.to_owned()),
        values: values.iter().map(own).collect(),
        ..WebApplicationOptions::default()
    })
}

async fn get(server: &TestServer, path: &str) -> (u16, String) {
    let request = Request::get(path).header("host", "shop.example").body(Body::empty()).unwrap();
    let response = soon(server.client().send(request)).await.unwrap();
    let status = response.status().as_u16();
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn failing() -> HealthChecks {
    HealthChecks::new().check("database", async || Err("gone".into()))
}

const FAILING: &str = "Unhealthy";

#[tokio::test]
async fn probes_are_answered_if_code_or_configuration_say_so() {
    let hello_there = (200, "Hello, World!".to_owned());
    let server = builder(&[]).start_test_server(hello).await.unwrap();
    assert_eq!(get(&server, "/healthz/ready").await, hello_there);
    let server = builder(&[("Health:Enabled", "true")]).start_test_server(hello).await.unwrap();
    assert_eq!(get(&server, "/healthz/ready").await, (200, "Healthy".to_owned()));
    let server = builder(&[]).health_checks(failing()).start_test_server(hello).await.unwrap();
    assert_eq!(get(&server, "/healthz/ready").await, (503, FAILING.to_owned()));
    let off = builder(&[("Health:Enabled", "false")]).health_checks(failing());
    let server = off.start_test_server(hello).await.unwrap();
    assert_eq!(get(&server, "/healthz/ready").await, hello_there);
}

#[tokio::test]
async fn paths_are_configured() {
    let values = [("Health:LivePath", "/alive"), ("Health:ReadyPath", "/up")];
    let server = builder(&values).health_checks(failing()).start_test_server(hello).await.unwrap();
    assert_eq!(get(&server, "/alive").await, (200, "Healthy".to_owned()));
    assert_eq!(get(&server, "/up").await, (503, "Unhealthy".to_owned()));
    assert_eq!(get(&server, "/healthz/ready").await, (200, "Hello, World!".to_owned()));
}

#[tokio::test]
async fn details_are_for_development() {
    for (environment, details, is_detailed) in [
        ("Development", None, true),
        ("Production", None, false),
        ("Staging", None, false),
        ("Development", Some("false"), false),
        ("Production", Some("true"), true),
    ] {
        let values = Vec::from_iter(details.map(|details| ("Health:Details", details)));
        let builder = of_environment(environment, &values).health_checks(failing());
        let server = builder.start_test_server(hello).await.unwrap();
        let expected = if is_detailed { "Unhealthy\ndatabase: Unhealthy, gone" } else { FAILING };
        assert_eq!(
            get(&server, "/healthz/ready").await,
            (503, expected.to_owned()),
            "{environment} {values:?}"
        );
    }
}

#[tokio::test]
async fn the_timeout_of_checks_is_configured() {
    let hangs = HealthChecks::new().check("hangs", async || std::future::pending().await);
    let values = [("Health:Timeout", "0.05"), ("Health:Details", "true")];
    let server = builder(&values).health_checks(hangs).start_test_server(hello).await.unwrap();
    let expected = "Unhealthy\nhangs: Unhealthy, it did not answer within 50ms";
    assert_eq!(get(&server, "/healthz/ready").await, (503, expected.to_owned()));
}

#[tokio::test]
async fn they_stand_in_front_of_the_pipeline_and_behind_host_filtering() {
    let values = [("Health:Enabled", "true"), ("AllowedHosts", "shop.example")];
    let https_port = Some(443);
    let options = HttpsRedirectionOptions { https_port, ..HttpsRedirectionOptions::default() };
    let steps =
        move |pipeline: hosting::ApplicationBuilder| pipeline.layer(HttpsRedirectionLayer::new(options));
    let server = builder(&values).pipeline(steps).start_test_server(hello).await.unwrap();
    // Nobody is sent to https.
    assert_eq!(get(&server, "/").await.0, 307);
    assert_eq!(get(&server, "/healthz/ready").await, (200, "Healthy".to_owned()));
    let request = Request::get("/healthz/ready").header("host", "other.example").body(Body::empty()).unwrap();
    assert_eq!(soon(server.client().send(request)).await.unwrap().status(), 400);
}

#[tokio::test]
async fn what_cannot_be_used_fails_the_start_with_its_key() {
    for (settings, key, expected) in [
        (r#"{ "Health": { "Enabeld": true } }"#, "Health:Enabeld", "appsettings.json:1:"),
        (r#"{ "Health": { "Enabled": "maybe" } }"#, "Health:Enabled", "appsettings.json:1:"),
        (r#"{ "Health": { "ReadyPath": "ready" } }"#, "Health:ReadyPath", "such as /healthz/ready"),
        (r#"{ "Health": { "LivePath": "/a?b" } }"#, "Health:LivePath", "such as /healthz/ready"),
        (r#"{ "Health": { "LivePath": "/a", "ReadyPath": "/a" } }"#, "Health:ReadyPath", "a path of its own"),
        (r#"{ "Health": { "LivePath": "/healthz/ready" } }"#, "Health:LivePath", "a path of its own"),
        (r#"{ "Health": { "Timeout": "00:00:00" } }"#, "Health:Timeout", "more than no time"),
        (r#"{ "Health": "yes" }"#, "Health", "expected a section"),
    ] {
        let error = Launch::hello().file("appsettings.json", settings).fail().await;
        assert!(error.contains(key) && error.contains(expected), "{settings}: {error}");
    }
}

#[tokio::test]
async fn a_probe_over_a_socket_has_no_body_where_there_is_none() {
    let program = Launch::features().args(["--Health:Enabled", "true"]).start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("HEAD /healthz/ready HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.response_to_head().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("7")), "{head:?}");
    // As HAProxy asks when it is told nothing else.
    let old = Client::tcp(program.address()).await.exchange("OPTIONS /healthz/ready HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.status, old.text()), (200, "Healthy"));
}
