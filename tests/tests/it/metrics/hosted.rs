//! The section `Metrics` of the configuration, and the sample that has it.

use crate::program::{Launch, curl};

fn operations() -> Launch {
    Launch::of("operations").args(["--Kestrel:Endpoints:Private:Url", "http://127.0.0.1:0"])
}

#[tokio::test]
async fn the_bounds_of_the_configuration_are_those_of_the_histograms() {
    let settings = r#"{ "Metrics": {
        "RequestDurationBounds": [0.5, 1], "ConnectionDurationBounds": [2, 3], "TlsHandshakeDurationBounds": [4] } }"#;
    let program = operations().file("appsettings.json", settings).start().await;
    curl([program.url("/").as_str()]).await;
    let bounds = |text: &str, name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}_bucket")));
        let mut bounds: Vec<_> = lines
            .filter_map(|line| Some(line.split_once("le=\"")?.1.split_once('"')?.0.to_owned()))
            .collect();
        bounds.dedup();
        bounds
    };
    // The connection of the first request has ended before long.
    let text = loop {
        let text = curl([program.url("/metrics").as_str()]).await.text().to_owned();
        if text.contains("kestrel_connection_duration_seconds_bucket") {
            break text;
        }
    };
    assert_eq!(bounds(&text, "http_server_request_duration_seconds")[..3], ["0.5", "1", "+Inf"], "{text}");
    assert_eq!(bounds(&text, "kestrel_connection_duration_seconds")[..3], ["2", "3", "+Inf"], "{text}");
}

#[tokio::test]
async fn metrics_are_off_if_the_section_says_so() {
    let program = operations().args(["--Metrics:Enabled", "false"]).start().await;
    let text = curl([program.url("/metrics").as_str()]).await.text().to_owned();
    assert!(!text.contains("kestrel_") && !text.contains("http_server_"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_obeyed_fails_the_start_with_the_key() {
    for (key, list, place, reason) in [
        (
            "RequestDurationBounds",
            "[1, 0.5]",
            "Metrics:RequestDurationBounds:1",
            "not larger than the one before",
        ),
        ("ConnectionDurationBounds", "[0, 1]", "Metrics:ConnectionDurationBounds:0", "not a number above 0"),
        ("TlsHandshakeDurationBounds", "[]", "Metrics:TlsHandshakeDurationBounds", "must be 1 to 200"),
        ("TlsHandshakeDurationBounds", "[\"soon\"]", "Metrics:TlsHandshakeDurationBounds:0", "soon"),
        ("Buckets", "[1]", "Metrics", "Buckets"),
    ] {
        let settings = format!("{{ \"Metrics\": {{ \"{key}\": {list} }} }}");
        let error = operations().file("appsettings.json", settings).fail().await;
        for part in [place, reason, "appsettings.json"] {
            assert!(error.contains(part), "{part:?} is not named: {error}");
        }
    }
}
