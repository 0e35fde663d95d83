//! Those of the server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use server_abstractions::{ConnectionObserver, HistogramBounds};
use server_kestrel::{
    Endpoint, KestrelMetrics, KestrelMetricsOptions, KestrelOptions, ProxyProtocolOptions, TlsLayer,
};

use super::{Collected, described, map};
use crate::program::Folder;
use crate::support::{
    Certificate, Client, Memory, client_config, connect_tls, hello, loopback, options, socket_address, soon,
    start_observed, until,
};
use crate::upgrade::{UPGRADE, by_feature};

/// Section 10.1 of what the original measures: name, kind, unit, attributes.
const TABLE: &[(&str, &str, &str, &[&str])] = &[
    ("kestrel.active_connections", "up-down counter", "{connection}", COMMON),
    (
        "kestrel.connection.duration",
        "histogram",
        "s",
        &[
            "error.type",
            "network.protocol.name",
            "network.protocol.version",
            "network.transport",
            "network.type",
            "server.address",
            "server.port",
            "tls.protocol.version",
        ],
    ),
    ("kestrel.rejected_connections", "counter", "{connection}", COMMON),
    ("kestrel.queued_connections", "up-down counter", "{connection}", COMMON),
    ("kestrel.upgraded_connections", "up-down counter", "{connection}", COMMON),
    (
        "kestrel.tls_handshake.duration",
        "histogram",
        "s",
        &[
            "error.type",
            "network.transport",
            "network.type",
            "server.address",
            "server.port",
            "tls.protocol.version",
        ],
    ),
    ("kestrel.active_tls_handshakes", "up-down counter", "{handshake}", COMMON),
];

const COMMON: &[&str] = &["network.transport", "network.type", "server.address", "server.port"];

const LONG: [f64; 14] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const SHORT: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

fn observer(collected: &Collected) -> [Arc<dyn ConnectionObserver>; 1] {
    [Arc::new(KestrelMetrics::new(&collected.meter(), &KestrelMetricsOptions::default()))]
}

/// What an up-down counter or a counter says, summed.
fn total(collected: &Collected, name: &str) -> i64 {
    collected.of(name).iter().map(|series| series.value).sum()
}

/// How many measurements a histogram has.
fn count(collected: &Collected, name: &str) -> u64 {
    collected.of(name).iter().map(|series| series.count).sum()
}

#[tokio::test]
async fn every_instrument_is_as_the_table_says() {
    let collected = Collected::start();
    let certificate = Certificate::new();
    let mut options = options([loopback().https(certificate.https()), loopback()]);
    options.limits.max_concurrent_connections = Some(1);
    let running = start_observed(options, observer(&collected), by_feature).await;
    let [secure, plain] = [0, 1].map(|index| socket_address(&running.addresses()[index]));

    // A handshake that fails, and one that does not; a connection too many; an upgrade.
    let mut client = Client::tcp(secure).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    client.rest().await;
    drop(client);
    until(|| count(&collected, "kestrel.connection.duration") == 1).await;
    let stream = tokio::net::TcpStream::connect(secure).await.unwrap();
    let client = connect_tls(stream, client_config(&certificate, &[])).await.unwrap();
    Client::tcp(plain).await.closed().await;
    drop(client);
    until(|| count(&collected, "kestrel.connection.duration") == 2).await;
    let mut client = Client::tcp(plain).await;
    assert_eq!(client.exchange(UPGRADE).await.status, 101);
    assert_eq!(total(&collected, "kestrel.upgraded_connections"), 1);
    client.finish_sending().await;
    client.closed().await;
    until(|| count(&collected, "kestrel.connection.duration") == 3).await;

    let all = collected.collect();
    let expected = TABLE
        .iter()
        .map(|(name, kind, unit, keys)| (*name, (*kind, *unit, BTreeSet::from_iter(keys.iter().copied()))));
    assert_eq!(described(&all), expected.collect());
    for series in &all {
        let bounds = match &*series.name {
            "kestrel.connection.duration" => &LONG[..],
            "kestrel.tls_handshake.duration" => &SHORT,
            _ => &[],
        };
        assert_eq!(series.bounds, bounds, "{}", series.name);
        if series.kind == "up-down counter" {
            assert_eq!(series.value, 0, "{series:?}");
        }
    }
    assert_eq!(total(&collected, "kestrel.rejected_connections"), 1);
    assert_eq!(count(&collected, "kestrel.tls_handshake.duration"), 2);
}

#[tokio::test]
async fn a_connection_is_told_by_the_socket_that_it_came_to() {
    let collected = Collected::start();
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let endpoints = [loopback(), Endpoint::tcp("[::1]:0".parse().unwrap()), Endpoint::unix(&path)];
    let running = start_observed(options(endpoints), observer(&collected), hello).await;
    let [v4, v6] = [0, 1].map(|index| socket_address(&running.addresses()[index]));
    let clients = [Client::tcp(v4).await, Client::tcp(v6).await, Client::unix(&path).await];
    for mut client in clients {
        client.get("/").await;
        drop(client);
    }
    until(|| count(&collected, "kestrel.connection.duration") == 3).await;
    let ip = |address: &str, port: u16, kind: &str| {
        map(&[
            ("server.address", address),
            ("server.port", &port.to_string()),
            ("network.type", kind),
            ("network.transport", "tcp"),
        ])
    };
    let unix = map(&[("server.address", path.to_str().unwrap()), ("network.transport", "unix")]);
    let expected = BTreeSet::from([ip("127.0.0.1", v4.port(), "ipv4"), ip("::1", v6.port(), "ipv6"), unix]);
    let active = collected.of("kestrel.active_connections");
    assert_eq!(active.iter().map(|series| series.attributes.clone()).collect::<BTreeSet<_>>(), expected);
    for series in collected.of("kestrel.connection.duration") {
        let mut attributes = series.attributes;
        assert_eq!(attributes.remove("network.protocol.name").as_deref(), Some("http"));
        assert_eq!(attributes.remove("network.protocol.version").as_deref(), Some("1.1"));
        assert!(expected.contains(&attributes), "{attributes:?}");
    }
}

#[tokio::test]
async fn behind_the_proxy_protocol_it_is_the_socket_as_well() {
    let collected = Collected::start();
    let endpoint = loopback().proxy_protocol(ProxyProtocolOptions::default());
    let running = start_observed(options([endpoint]), observer(&collected), hello).await;
    let address = socket_address(&running.addresses()[0]);
    let mut client = Client::tcp(address).await;
    client.send("PROXY TCP4 203.0.113.1 203.0.113.2 1000 443\r\n").await;
    client.get("/").await;
    drop(client);
    until(|| count(&collected, "kestrel.connection.duration") == 1).await;
    for series in collected.collect() {
        assert_eq!(series.attributes["server.address"], "127.0.0.1", "{series:?}");
        assert_eq!(series.attributes["server.port"], address.port().to_string(), "{series:?}");
    }
}

#[tokio::test]
async fn versions_are_those_that_are_spoken() {
    let collected = Collected::start();
    let certificate = Certificate::new();
    let change = |options: &mut KestrelOptions| {
        let endpoint = options.endpoints.remove(0);
        let tls = TlsLayer::new(&certificate.https(), endpoint.protocols).unwrap();
        options.endpoints.push(endpoint.layer(tls));
    };
    let server = Memory::start_observed(change, observer(&collected), hello).await;
    let io = soon(server.connector.connect()).await.unwrap();
    let client = connect_tls(io, client_config(&certificate, &["h2"])).await.unwrap();
    let client = crate::support::Http2::over_tls(client).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(total(&collected, "kestrel.active_connections"), 1);
    drop(client);
    until(|| count(&collected, "kestrel.connection.duration") == 1).await;
    let ended = collected.of("kestrel.connection.duration");
    // The client went without the end that TLS has.
    let expected = map(&[
        ("error.type", "connection_reset"),
        ("network.transport", "unix"),
        ("server.address", "@memory"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "2"),
        ("tls.protocol.version", "1.3"),
    ]);
    assert_eq!(ended[0].attributes, expected);
    let handshakes = collected.of("kestrel.tls_handshake.duration");
    let expected =
        map(&[("network.transport", "unix"), ("server.address", "@memory"), ("tls.protocol.version", "1.3")]);
    assert_eq!(handshakes[0].attributes, expected);
}

#[tokio::test(start_paused = true)]
async fn durations_are_those_of_the_connections_in_the_buckets_of_the_code() {
    let collected = Collected::start();
    let options = KestrelMetricsOptions {
        connection_duration_bounds: HistogramBounds::new([1.0, 100.0]).unwrap(),
        ..KestrelMetricsOptions::default()
    };
    let observer = Arc::new(KestrelMetrics::new(&collected.meter(), &options));
    let server = Memory::start_observed(|_| (), [observer as _], hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    drop(client);
    until(|| count(&collected, "kestrel.connection.duration") == 1).await;
    let ended = collected.of("kestrel.connection.duration");
    assert_eq!(ended[0].bounds, [1.0, 100.0]);
    assert!((20.0..21.0).contains(&ended[0].sum), "{ended:?}");
}
