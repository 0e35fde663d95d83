//! Sockets, threads and handshakes: every key, and what is refused.

use server_abstractions::AddressTarget;
use server_kestrel::{SocketOptions, TcpKeepAlive, Threads};

use super::*;

fn keep_alive(time: u64, interval: u64, retries: u32) -> TcpKeepAlive {
    TcpKeepAlive { time: Duration::from_secs(time), interval: Duration::from_secs(interval), retries }
}

#[test]
fn every_option_of_the_server_is_read() {
    let options = options(
        r#"{ "Kestrel": {
            "AddServerHeader": false, "AllowAlternateSchemes": true, "InheritListeners": false, "Threads": "PerCore",
            "Limits": { "MaxRequestLineSize": 100 },
            "EndpointDefaults": {
                "Protocols": "Http2", "HandshakeTimeout": "00:00:03", "MaxConcurrentHandshakes": 4,
                "SocketOptions": {
                    "Backlog": 5, "ReusePort": true, "NoDelay": false, "UnixMode": "0660",
                    "KeepAlive": { "Time": "00:01:00", "Interval": 7, "Retries": 8 } } },
            "Endpoints": { "A": { "Url": "http://127.0.0.1:80" } } } }"#,
    );
    // All fields are named, so that one that is added is read or does not compile.
    let KestrelOptions {
        endpoints,
        add_server_header,
        allow_alternate_schemes,
        limits,
        https_defaults,
        default_protocols,
        default_socket_options,
        threads,
        inherit_listeners,
    } = options.unwrap();
    assert_eq!((add_server_header, allow_alternate_schemes, inherit_listeners), (false, true, false));
    assert_eq!((threads, default_protocols), (Threads::PerCore(None), HttpProtocols::Http2));
    assert_eq!((limits.max_request_line_size, endpoints.len()), (100, 1));
    let expected = SocketOptions {
        backlog: 5,
        reuse_port: true,
        no_delay: false,
        keep_alive: Some(keep_alive(60, 7, 8)),
        unix_mode: Some(0o660),
    };
    assert_eq!(default_socket_options, expected);
    assert_eq!(endpoints[0].socket_options, SocketOptions { unix_mode: None, ..expected });
    let https = https_defaults.unwrap();
    assert_eq!(https.handshake_timeout, Duration::from_secs(3));
    assert_eq!(https.max_concurrent_handshakes, Some(4));
}

#[test]
fn an_endpoint_says_otherwise_than_the_defaults() {
    let options = options(
        r#"{ "Kestrel": {
            "EndpointDefaults": {
                "ClientCertificateMode": "RequireCertificate", "ClientCertificateRoots": "roots.pem",
                "ClientCertificateRevocationLists": ["one.pem"], "HandshakeTimeout": 3, "MaxConcurrentHandshakes": 4,
                "SocketOptions": {
                    "Backlog": 5, "ReusePort": true, "NoDelay": false, "UnixMode": "0600",
                    "KeepAlive": { "Time": 60, "Interval": 7, "Retries": 8 } } },
            "Endpoints": {
                "A": {
                    "Url": "https://*:443", "HandshakeTimeout": 5, "MaxConcurrentHandshakes": null,
                    "ClientCertificateRoots": "own.pem", "ClientCertificateRevocationLists": ["two.pem", "/three.pem"],
                    "SocketOptions": {
                        "Backlog": 6, "ReusePort": false, "NoDelay": true, "KeepAlive": { "Retries": 9 } },
                    "Sni": { "a.b": {
                        "ClientCertificateRoots": "sni.pem", "ClientCertificateRevocationLists": [] } } },
                "B": { "Url": "http://localhost:80", "SocketOptions": { "KeepAlive": null } },
                "C": { "Url": "http://unix:/s", "SocketOptions": { "UnixMode": "0666" } },
                "D": { "Url": "http://unix:/t", "SocketOptions": { "UnixMode": null } },
                "E": { "Url": "http://unix:@u" } } } }"#,
    )
    .unwrap();
    let default = SocketOptions::default();
    let sockets: Vec<_> = options.endpoints.iter().map(|endpoint| endpoint.socket_options).collect();
    let expected = [
        SocketOptions { backlog: 6, keep_alive: Some(keep_alive(60, 7, 9)), ..default },
        SocketOptions { backlog: 5, reuse_port: true, no_delay: false, ..default },
        SocketOptions { backlog: 5, unix_mode: Some(0o666), ..default },
        SocketOptions { backlog: 5, ..default },
        SocketOptions { backlog: 5, ..default },
    ];
    assert_eq!(sockets, expected);
    let https = options.endpoints[0].https.as_ref().unwrap();
    assert_eq!((https.handshake_timeout, https.max_concurrent_handshakes), (Duration::from_secs(5), None));
    let clients = ClientCertificates {
        mode: ClientCertificateMode::Require,
        roots: ClientCertificateRoots::File("/app/own.pem".into()),
        revocation_lists: vec!["/app/two.pem".into(), "/three.pem".into()],
        validation: None,
        ..ClientCertificates::default()
    };
    assert_eq!(https.client_certificates, clients);
    let sni = https.sni["a.b"].client_certificates.as_ref().unwrap();
    let roots = ClientCertificateRoots::File("/app/sni.pem".into());
    assert_eq!(sni, &ClientCertificates { roots, revocation_lists: Vec::new(), ..clients });
}

#[test]
fn sockets_of_urls_have_the_defaults_that_are_for_them() {
    let options = options(
        r#"{ "Kestrel": { "EndpointDefaults": { "SocketOptions": {
            "UnixMode": "0640", "KeepAlive": {} } } } }"#,
    );
    let defaults = options.unwrap().default_socket_options;
    let tcp = defaults.for_target(&AddressTarget::Ip(([127, 0, 0, 1], 80).into()));
    assert_eq!((tcp.keep_alive, tcp.unix_mode), (Some(TcpKeepAlive::default()), None));
    let unix = defaults.for_target(&AddressTarget::Unix("/s".into()));
    assert_eq!((unix.keep_alive, unix.unix_mode), (None, Some(0o640)));
}

#[test]
fn threads_are_shared_or_counted() {
    for (text, expected) in [
        (r#""shared""#, Threads::Shared),
        (r#""PerCore""#, Threads::PerCore(None)),
        ("3", Threads::PerCore(3.try_into().ok())),
        (r#""1024""#, Threads::PerCore(1024.try_into().ok())),
    ] {
        let options = options(&format!(r#"{{ "Kestrel": {{ "Threads": {text} }} }}"#)).unwrap();
        assert_eq!(options.threads, expected, "{text}");
    }
    for text in ["0", "-1", "1025", r#""Some""#, "null"] {
        let error = options(&format!(r#"{{ "Kestrel": {{ "Threads": {text} }} }}"#)).unwrap_err();
        assert!(error.contains("Kestrel:Threads"), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_of_sockets_is_refused_with_its_place() {
    for (url, options_of_sockets, key, reason) in [
        ("http://a", r#""Backlog": 0"#, "Backlog", "from 1 to 2147483647"),
        ("http://a", r#""Backlog": -1"#, "Backlog", "from 0 to"),
        ("http://a", r#""Backlog": 3000000000"#, "Backlog", "from 1 to 2147483647"),
        ("http://a", r#""Backlog": null"#, "Backlog", "null"),
        ("http://a", r#""Backlogs": 1"#, "Backlogs", ""),
        ("http://a", r#""ReusePort": "maybe""#, "ReusePort", "true or false"),
        ("http://a", r#""UnixMode": "0660""#, "UnixMode", "left out"),
        ("http://a", r#""KeepAlive": true"#, "KeepAlive", "section"),
        ("http://a", r#""KeepAlive": { "Time": 0 }"#, "KeepAlive:Time", "from 1 to 32767"),
        ("http://a", r#""KeepAlive": { "Time": "10:00:00" }"#, "KeepAlive:Time", "from 1 to 32767"),
        ("http://a", r#""KeepAlive": { "Interval": 0.5 }"#, "KeepAlive:Interval", "whole seconds"),
        ("http://a", r#""KeepAlive": { "Retries": 128 }"#, "KeepAlive:Retries", "from 1 to 127"),
        ("http://a", r#""KeepAlive": { "Count": 1 }"#, "KeepAlive:Count", ""),
        ("http://unix:/s", r#""KeepAlive": {}"#, "KeepAlive", "left out"),
        ("http://unix:/s", r#""ReusePort": true"#, "ReusePort", "left out"),
        ("http://unix:/s", r#""NoDelay": false"#, "NoDelay", "left out"),
        ("http://unix:/s", r#""UnixMode": 660"#, "UnixMode", "four octal digits"),
        ("http://unix:/s", r#""UnixMode": "660""#, "UnixMode", "four octal digits"),
        ("http://unix:/s", r#""UnixMode": "0o66""#, "UnixMode", "four octal digits"),
        ("http://unix:/s", r#""UnixMode": "0680""#, "UnixMode", "four octal digits"),
        ("http://unix:/s", r#""UnixMode": "1777""#, "UnixMode", "four octal digits"),
        ("http://unix:/s", r#""UnixMode": "rw-rw----""#, "UnixMode", "four octal digits"),
        ("http://unix:@s", r#""UnixMode": "0660""#, "UnixMode", "left out"),
    ] {
        let endpoint = format!(r#"{{ "Url": "{url}", "SocketOptions": {{ {options_of_sockets} }} }}"#);
        let error =
            options(&format!(r#"{{ "Kestrel": {{ "Endpoints": {{ "A": {endpoint} }} }} }}"#)).unwrap_err();
        let place = format!("Kestrel:Endpoints:A:SocketOptions:{key}");
        assert!(error.contains(&place) && error.contains(reason), "{options_of_sockets}: {error}");
    }
    for (text, place) in [
        (r#""SocketOptions": { "Backlog": 0 }"#, "SocketOptions:Backlog"),
        (r#""SocketOptions": { "UnixMode": "0999" }"#, "SocketOptions:UnixMode"),
        (r#""SocketOptions": { "KeepAlive": { "Retries": 0 } }"#, "SocketOptions:KeepAlive:Retries"),
        (r#""HandshakeTimeout": 0"#, "HandshakeTimeout"),
        (r#""HandshakeTimeout": null"#, "HandshakeTimeout"),
        (r#""MaxConcurrentHandshakes": 0"#, "MaxConcurrentHandshakes"),
    ] {
        let error =
            options(&format!(r#"{{ "Kestrel": {{ "EndpointDefaults": {{ {text} }} }} }}"#)).unwrap_err();
        assert!(error.contains(&format!("Kestrel:EndpointDefaults:{place}")), "{text}: {error}");
    }
}

#[test]
fn what_is_for_https_is_refused_without_it() {
    for (text, key) in [
        (r#""HandshakeTimeout": 1"#, "HandshakeTimeout"),
        (r#""MaxConcurrentHandshakes": 1"#, "MaxConcurrentHandshakes"),
        (r#""ClientCertificateRoots": "a""#, "ClientCertificateRoots"),
        (r#""ClientCertificateRevocationLists": ["a"]"#, "ClientCertificateRevocationLists"),
    ] {
        let text =
            format!(r#"{{ "Kestrel": {{ "Endpoints": {{ "A": {{ "Url": "http://a", {text} }} }} }} }}"#);
        let error = options(&text).unwrap_err();
        assert!(
            error.contains(&format!("Kestrel:Endpoints:A:{key}")) && error.contains("https url"),
            "{error}"
        );
    }
}
