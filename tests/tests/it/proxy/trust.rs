//! Whom the forwarded headers are believed from, and what becomes of those that are not.

use http::HeaderName;
use server_abstractions::App;
use server_kestrel::Endpoint;
use server_proxy_integration::{
    ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions, ForwardedSource,
};
use tokio::sync::watch;
use tower_layer::Layer;

use super::forwarded_headers::everyone;
use super::{Probe, Seen, parse_peer};
use crate::program::Folder;
use crate::support::{Client, options, start};

const EACH: [(ForwardedFields, &str, &str); 4] = [
    (ForwardedFields::FOR, "X-Forwarded-For", "11.111.111.11:12345"),
    (ForwardedFields::PROTO, "X-Forwarded-Proto", "h1"),
    (ForwardedFields::HOST, "X-Forwarded-Host", "b"),
    (ForwardedFields::PREFIX, "X-Forwarded-Prefix", "/p"),
];

/// Remote address, scheme, host and path base.
fn facts(seen: &Seen) -> (Option<String>, &str, Option<String>, &str) {
    (seen.remote.map(|remote| remote.to_string()), &seen.scheme, seen.header("host"), &seen.path_base)
}

#[tokio::test]
async fn each_field_needs_a_known_proxy() {
    for (fields, name, value) in EACH {
        let options = ForwardedHeadersOptions { fields, ..ForwardedHeadersOptions::default() };
        for peer in ["10.0.0.1:99", "10.0.0.1:1", ""] {
            let mut probe = Probe::forwarded(peer, &options).await;
            let without = probe.get(&[]).await;
            let seen = probe.get(&[(name, value)]).await;
            assert_eq!(facts(&seen), facts(&without), "{name} {peer}");
            assert_eq!(seen.header(name).as_deref(), Some(value));
        }
        let options = ForwardedHeadersOptions { known_proxies: vec![parse_peer("10.0.0.1").ip()], ..options };
        let mut probe = Probe::forwarded("10.0.0.1", &options).await;
        let without = probe.get(&[]).await;
        let seen = probe.get(&[(name, value)]).await;
        assert_ne!(facts(&seen), facts(&without), "{name}");
        assert_eq!(seen.header(name), None);
    }
}

#[tokio::test]
async fn a_peer_that_is_not_known_is_believed_only_with_everyone() {
    for (fields, name, value) in EACH {
        let mut probe = Probe::forwarded("", &everyone(fields)).await;
        let without = probe.get(&[]).await;
        let seen = probe.get(&[(name, value)]).await;
        assert_ne!(facts(&seen), facts(&without), "{name}");
        assert_eq!(seen.header("x-original-for"), None);
    }
}

#[tokio::test]
async fn unix_sockets_are_believed_by_an_explicit_choice() {
    let folder = Folder::new();
    for (trust_unix_sockets, remote) in [(false, "none"), (true, "1.1.1.1:0")] {
        let settings = ForwardedHeadersOptions {
            fields: ForwardedFields::FOR,
            forward_limit: None,
            trust_unix_sockets,
            ..ForwardedHeadersOptions::default()
        };
        let layer = ForwardedHeadersLayer::new(&settings).unwrap();
        let show = async |request: http::Request<server_abstractions::Body>| {
            let remote = Seen::of(&request).remote.map_or("none".to_owned(), |remote| remote.to_string());
            http::Response::new(server_abstractions::Body::from(remote))
        };
        let path = folder.path().join(format!("{trust_unix_sockets}.sock"));
        let endpoint = Endpoint::url(&format!("http://unix:{}", path.display())).unwrap();
        let _running = start(options([endpoint]), layer.layer(App::new(show))).await;
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n\r\n";
        let response = Client::unix(&path).await.exchange(request).await;
        assert_eq!(response.text(), remote);
    }
}

#[tokio::test]
async fn what_was_not_believed_can_be_removed() {
    let options = ForwardedHeadersOptions {
        fields: ForwardedFields::FOR | ForwardedFields::PROTO,
        remove_untrusted: true,
        ..ForwardedHeadersOptions::default()
    };
    let sent = [
        ("X-Forwarded-For", "6.6.6.6, 1.1.1.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Original-For", "6.6.6.6"),
        ("X-Original-Host", "evil"),
        ("X-Other", "stays"),
    ];
    let shown = |seen: &Seen| {
        let mut names: Vec<_> = seen.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    };
    let mut probe = Probe::forwarded("10.0.0.1", &options).await;
    let seen = probe.get(&sent).await;
    assert_eq!(shown(&seen), ["host", "x-other"]);
    assert_eq!((seen.remote.unwrap(), &*seen.scheme), (parse_peer("10.0.0.1"), "http"));
    for (name, value) in &sent[..7] {
        assert_eq!(shown(&probe.get(&[(name, value)]).await), ["host"], "{name}");
    }
    let mut probe = Probe::forwarded("127.0.0.1", &options).await;
    let seen = probe.get(&sent).await;
    assert_eq!(shown(&seen), ["host", "x-original-for", "x-original-proto", "x-other"]);
    assert_eq!((seen.remote.unwrap(), &*seen.scheme), (parse_peer("1.1.1.1:0"), "https"));
    assert_eq!(seen.header("x-original-for").as_deref(), Some("127.0.0.1:99"));
}

#[tokio::test]
async fn every_field_can_have_another_name() {
    let name = HeaderName::from_static;
    let options = ForwardedHeadersOptions {
        forwarded_for_header_name: name("cf-connecting-ip"),
        forwarded_host_header_name: name("real-host"),
        forwarded_proto_header_name: name("x-url-scheme"),
        forwarded_prefix_header_name: name("x-script-name"),
        original_for_header_name: name("old-for"),
        original_host_header_name: name("old-host"),
        original_proto_header_name: name("old-proto"),
        original_prefix_header_name: name("old-prefix"),
        ..everyone(ForwardedFields::ALL)
    };
    let mut probe = Probe::forwarded("10.0.0.1", &options).await;
    let sent = [
        ("CF-Connecting-IP", "1.1.1.1"),
        ("Real-Host", "b"),
        ("X-Url-Scheme", "https"),
        ("X-Script-Name", "/p"),
    ];
    let seen = probe.get(&sent).await;
    assert_eq!(facts(&seen), (Some("1.1.1.1:0".to_owned()), "https", Some("b".to_owned()), "/p"));
    let old = ["old-for", "old-host", "old-proto", "old-prefix"].map(|name| seen.header(name));
    assert_eq!(old, [Some("10.0.0.1:99".to_owned()), Some("a".to_owned()), Some("http".to_owned()), None]);
    assert_eq!(sent.map(|(name, _)| seen.header(name)), [None, None, None, None]);
    // The usual names mean nothing then.
    let seen = probe.get(&EACH.map(|(_, name, value)| (name, value))).await;
    assert_eq!(seen.remote.unwrap(), parse_peer("10.0.0.1"));
}

#[tokio::test]
async fn proxies_can_change_while_the_server_runs() {
    let options =
        ForwardedHeadersOptions { fields: ForwardedFields::FOR, ..ForwardedHeadersOptions::default() };
    let (sender, receiver) = watch::channel(options.clone());
    let layer = ForwardedHeadersLayer::reloading(receiver).unwrap();
    let mut probe = Probe::start("10.0.0.1", |app| App::new(layer.layer(app))).await;
    let field = [("X-Forwarded-For", "1.1.1.1")];
    assert_eq!(probe.get(&field).await.remote.unwrap(), parse_peer("10.0.0.1"));
    sender.send_replace(ForwardedHeadersOptions {
        known_networks: vec!["10.0.0.0/8".parse().unwrap()],
        ..options.clone()
    });
    assert_eq!(probe.get(&field).await.remote.unwrap(), parse_peer("1.1.1.1:0"));
    // Options that cannot be used change nothing.
    sender.send_replace(ForwardedHeadersOptions { allowed_hosts: vec!["a:80".to_owned()], ..options });
    assert_eq!(probe.get(&field).await.remote.unwrap(), parse_peer("1.1.1.1:0"));
}

#[tokio::test]
async fn a_node_that_is_hidden_is_a_wall_for_every_layer() {
    let settings = ForwardedHeadersOptions {
        fields: ForwardedFields::FOR | ForwardedFields::PROTO | ForwardedFields::HOST,
        source: ForwardedSource::Forwarded,
        ..ForwardedHeadersOptions::default()
    };
    let twice = |app| {
        let layer = ForwardedHeadersLayer::new(&settings).unwrap();
        App::new(layer.layer(App::new(layer.layer(app))))
    };
    for last in ["for=_hidden;proto=h1", "proto=h1"] {
        let mut probe = Probe::start("127.0.0.1:9", twice).await;
        let value = format!("for=6.6.6.6;proto=h2;host=evil, {last}");
        let seen = probe.get(&[("Forwarded", value.as_str())]).await;
        // What is left was written by nobody knows whom.
        assert_eq!((seen.scheme.as_str(), seen.remote), ("h1", Some(parse_peer("127.0.0.1:9"))), "{last}");
        assert_ne!(seen.header("host").as_deref(), Some("evil"));
        assert_eq!(seen.header("forwarded").as_deref(), Some("for=6.6.6.6;proto=h2;host=evil"));
    }
}

#[tokio::test]
async fn what_was_there_before_is_said_by_the_layer_alone() {
    let mut probe = Probe::forwarded("", &everyone(ForwardedFields::ALL)).await;
    let names = ["X-Original-For", "X-Original-Proto", "X-Original-Host", "X-Original-Prefix"];
    let mut fields: Vec<_> = names.iter().map(|name| (*name, "client")).collect();
    fields.push(("X-Forwarded-For", "1.1.1.1"));
    let seen = probe.get(&fields).await;
    for name in names {
        assert_ne!(seen.header(name).as_deref(), Some("client"), "{name}");
    }
}

#[tokio::test]
async fn a_prefix_leads_nowhere_else() {
    for prefix in ["//evil.example", "/%5Cevil.example", "/a%0d%0ab", "/\\evil.example", "evil"] {
        let mut probe = Probe::forwarded("127.0.0.1:9", &everyone(ForwardedFields::PREFIX)).await;
        let seen = probe.get(&[("X-Forwarded-Prefix", prefix)]).await;
        assert_eq!(seen.path_base, "", "{prefix}");
    }
}
