use std::time::Duration;

use server_abstractions::MinDataRate;
use server_kestrel::{
    CertificateFile, ClientCertificateMode, ClientCertificateRoots, ClientCertificates, Http2Limits, Limits,
    ProxyProtocolOptions, ServerCertificate, SniOptions, TlsVersions,
};

use super::*;

mod certificates;
mod sessions;
mod sockets;

fn options(text: &str) -> Result<KestrelOptions, String> {
    let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
    let mut options = KestrelOptions::default();
    let environment = HostEnvironment { content_root: "/app".into(), ..HostEnvironment::default() };
    apply(&configuration, &environment, &mut options).map_err(|error| error.to_string())?;
    Ok(options)
}

#[test]
fn endpoints_and_certificates_are_read() {
    let options = options(
        r#"{ "Kestrel": {
            "AddServerHeader": false,
            "Certificates": { "Default": { "Path": "cert.pem", "KeyPath": "/keys/key.pem" } },
            "Endpoints": {
                "Web": { "Url": "http://*:80", "Protocols": "http1" },
                "Secure": { "Url": "https://*:443", "Certificate": { "Path": "a", "KeyPath": "b" } }
            } } }"#,
    )
    .unwrap();
    assert!(!options.add_server_header);
    assert_eq!(options.https_defaults, Some(HttpsOptions::pem_files("/app/cert.pem", "/keys/key.pem")));
    let shown: Vec<_> =
        options.endpoints.iter().map(|e| (e.name.as_deref(), e.to_string(), e.protocols)).collect();
    assert_eq!(
        shown,
        [
            (Some("Secure"), "https://*:443".to_owned(), HttpProtocols::Http1AndHttp2),
            (Some("Web"), "http://*:80".to_owned(), HttpProtocols::Http1),
        ]
    );
}

#[test]
fn every_limit_is_read() {
    let limits = options(
        r#"{ "Kestrel": { "Limits": {
            "KeepAliveTimeout": "00:00:05", "RequestHeadersTimeout": 6, "MaxRequestLineSize": 100,
            "MaxRequestHeadersTotalSize": 200, "MaxRequestHeaderCount": 3, "MaxRequestBodySize": 400,
            "MaxRequestBufferSize": 500, "MaxResponseBufferSize": 9000,
            "MinRequestBodyDataRate": { "BytesPerSecond": 10, "GracePeriod": 2 },
            "MinResponseDataRate": { "BytesPerSecond": 11, "GracePeriod": "00:00:03" },
            "MaxConcurrentConnections": 10, "MaxConcurrentUpgradedConnections": 0,
            "MaxConnectionsPerAddress": 12, "MaxConnectionAge": "01:00:00", "MaxRequestsPerConnection": 13,
            "Http2": {
                "MaxStreamsPerConnection": 14, "HeaderTableSize": 15, "MaxFrameSize": 20000,
                "InitialConnectionWindowSize": 70000, "InitialStreamWindowSize": 80000,
                "KeepAlivePingDelay": 30, "KeepAlivePingTimeout": 40 } } } }"#,
    )
    .unwrap()
    .limits;
    let rate = |bytes_per_second: u32, grace| {
        let bytes_per_second = bytes_per_second.try_into().unwrap();
        Some(MinDataRate { bytes_per_second, grace_period: Duration::from_secs(grace) })
    };
    // All fields are named, so that one that is added is read or does not compile.
    let expected = Limits {
        keep_alive_timeout: Duration::from_secs(5),
        request_headers_timeout: Duration::from_secs(6),
        max_request_line_size: 100,
        max_request_headers_total_size: 200,
        max_request_header_count: 3,
        max_request_body_size: Some(400),
        max_request_buffer_size: Some(500),
        max_response_buffer_size: Some(9000),
        min_request_body_data_rate: rate(10, 2),
        min_response_data_rate: rate(11, 3),
        max_concurrent_connections: Some(10),
        max_concurrent_upgraded_connections: Some(0),
        max_connections_per_address: Some(12),
        max_connection_age: Some(Duration::from_secs(3600)),
        max_requests_per_connection: Some(13),
        http2: Http2Limits {
            max_streams_per_connection: 14,
            header_table_size: 15,
            max_frame_size: 20_000,
            initial_connection_window_size: 70_000,
            initial_stream_window_size: 80_000,
            keep_alive_ping_delay: Some(Duration::from_secs(30)),
            keep_alive_ping_timeout: Duration::from_secs(40),
        },
    };
    assert_eq!(limits, expected);
}

#[test]
fn a_limit_that_is_null_is_none_and_one_that_is_absent_is_that_of_the_code() {
    let limits = options(
        r#"{ "Kestrel": { "Limits": { "MaxRequestBodySize": null, "MinResponseDataRate": null } } }"#,
    )
    .unwrap()
    .limits;
    let expected = Limits { max_request_body_size: None, min_response_data_rate: None, ..Limits::default() };
    assert_eq!(limits, expected);
}

#[test]
fn everything_of_tls_is_read() {
    let options = options(
        r#"{ "Kestrel": {
            "Certificates": { "Default": { "Path": "d.pfx", "Password": "p" }, "Other": { "Path": "o.pem" } },
            "EndpointDefaults": {
                "Protocols": "Http1", "SslProtocols": ["Tls13"], "ClientCertificateMode": "AllowCertificate",
                "ClientCertificateRoots": "roots.pem", "ClientCertificateRevocationLists": ["crl.pem"] },
            "Endpoints": { "A": {
                "Url": "https://*:443", "ClientCertificateMode": "RequireCertificate",
                "SslProtocols": ["tls12", "tls13"], "Certificate": { "Name": "other" },
                "Sni": {
                    "a.b": { "Certificate": { "Path": "s.pem", "KeyPath": "s.key" }, "Protocols": "Http2" },
                    "*.b": { "SslProtocols": ["Tls12"], "ClientCertificateMode": "NoCertificate" } } } } } }"#,
    )
    .unwrap();
    let file = |path: &str| CertificateFile::new(format!("/app/{path}"));
    let defaults = options.https_defaults.as_ref().unwrap();
    let default = CertificateFile { password: Some("p".to_owned()), ..file("d.pfx") };
    assert_eq!(defaults.certificate, Some(ServerCertificate::File(default)));
    assert_eq!(defaults.tls_versions, TlsVersions::Tls13);
    let clients = &defaults.client_certificates;
    assert_eq!(clients.mode, ClientCertificateMode::Allow);
    assert_eq!(clients.roots, ClientCertificateRoots::File("/app/roots.pem".into()));
    assert_eq!(clients.revocation_lists, [PathBuf::from("/app/crl.pem")]);
    assert_eq!(options.default_protocols, HttpProtocols::Http1);

    let endpoint = &options.endpoints[0];
    assert_eq!(endpoint.protocols, HttpProtocols::Http1);
    let https = endpoint.https.as_ref().unwrap();
    assert_eq!(https.certificate, Some(ServerCertificate::File(file("o.pem"))));
    assert_eq!(https.tls_versions, TlsVersions::Tls12AndTls13);
    let mode = |mode| ClientCertificates { mode, ..clients.clone() };
    assert_eq!(https.client_certificates, mode(ClientCertificateMode::Require));
    let own = CertificateFile { key_path: Some("/app/s.key".into()), ..file("s.pem") };
    let exact = SniOptions {
        certificate: Some(ServerCertificate::File(own)),
        protocols: Some(HttpProtocols::Http2),
        ..SniOptions::default()
    };
    let wildcard = SniOptions {
        tls_versions: Some(TlsVersions::Tls12),
        client_certificates: Some(mode(ClientCertificateMode::None)),
        ..SniOptions::default()
    };
    let expected = [("a.b".to_owned(), exact), ("*.b".to_owned(), wildcard)];
    assert_eq!(https.sni, expected.into());
}

#[test]
fn the_proxy_protocol_is_read() {
    let endpoint = |section: &str| {
        let text = format!(
            r#"{{ "Kestrel": {{ "Endpoints": {{ "A": {{ "Url": "http://*:80", "ProxyProtocol": {section} }} }} }} }}"#
        );
        options(&text).map(|options| options.endpoints[0].proxy_protocol.clone())
    };
    assert_eq!(endpoint("{}").unwrap(), Some(ProxyProtocolOptions::default()));
    assert_eq!(endpoint("null").unwrap(), None);
    let all = r#"{ "TrustedProxies": ["10.0.0.0/8", "::1"], "TrustUnixSockets": true, "HeaderTimeout": "00:00:02" }"#;
    let expected = ProxyProtocolOptions {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        trust_unix_sockets: true,
        header_timeout: Duration::from_secs(2),
    };
    assert_eq!(endpoint(all).unwrap(), Some(expected));
    let on_unix = |section: &str| {
        let url = r#""Url": "http://unix:/run/a.sock""#;
        let text = format!(
            r#"{{ "Kestrel": {{ "Endpoints": {{ "A": {{ {url}, "ProxyProtocol": {section} }} }} }} }}"#
        );
        options(&text).map(|options| options.endpoints[0].proxy_protocol.clone().unwrap())
    };
    let trusted = on_unix(r#"{ "TrustedProxies": [], "TrustUnixSockets": true }"#).unwrap();
    assert!(trusted.trust_unix_sockets && trusted.trusted_proxies.is_empty());
    let error = on_unix("{}").unwrap_err();
    assert!(error.contains("ProxyProtocol:TrustUnixSockets") && error.contains("set it to true"), "{error}");
    for (section, expected) in [
        ("true", "A:ProxyProtocol = \"true\""),
        ("false", "{} switches it on with its defaults; leave the key out to leave it off"),
        (r#"{ "TrustedProxies": "10.0.0.0/8" }"#, r#"expected a list, such as ["10.0.0.0/8", "192.0.2.7"]"#),
        (r#"{ "TrustedProxies": [], "TrustUnixSockets": true }"#, "name the proxies"),
        (r#"{ "TrustedProxies": [] }"#, "or leave the key out for those on this machine"),
        (r#"{ "HeaderTimeout": 0 }"#, "ProxyProtocol:HeaderTimeout = \"0\""),
        (r#"{ "HeaderTimeout": "00:00:00" }"#, "it must be more than 0"),
        (r#"{ "HeaderTimeout": null }"#, "ProxyProtocol:HeaderTimeout"),
    ] {
        let error = endpoint(section).unwrap_err();
        assert!(error.contains(expected), "{section}: {error}");
    }
    for (section, key) in [
        (r#"{ "TrustedProxies": ["proxy.local"] }"#, "TrustedProxies:0"),
        (r#"{ "TrustedProxies": ["10.0.0.0/33"] }"#, "TrustedProxies:0"),
        (r#"{ "Trusted": [] }"#, "Trusted"),
        ("true", "ProxyProtocol"),
    ] {
        let error = endpoint(section).unwrap_err();
        assert!(
            error.contains(&format!(
                "A:{}",
                if key == "ProxyProtocol" { key.to_owned() } else { format!("ProxyProtocol:{key}") }
            )),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_of_tls_is_refused_with_its_place() {
    let endpoint = |keys: &str| {
        format!(r#"{{ "Kestrel": {{ "Endpoints": {{ "A": {{ "Url": "https://a", {keys} }} }} }} }}"#)
    };
    for (text, expected) in [
        (endpoint(r#""SslProtocols": ["Tls11"]"#), "Tls11 is not safe"),
        (endpoint(r#""SslProtocols": []"#), "Kestrel:Endpoints:A:SslProtocols"),
        (endpoint(r#""SslProtocols": ["Tls14"]"#), "Tls12 or Tls13"),
        (endpoint(r#""ClientCertificateMode": "DelayCertificate""#), "no renegotiation"),
        (endpoint(r#""ClientCertificateMode": "Maybe""#), "Kestrel:Endpoints:A:ClientCertificateMode"),
        (endpoint(r#""Certificate": { "Name": "b" }"#), "no certificate \"b\""),
        (endpoint(r#""Certificate": { "KeyPath": "b" }"#), "Kestrel:Endpoints:A:Certificate:Path"),
        (endpoint(r#""Certificate": { "Path": "b", "Name": "c" }"#), "not both"),
        (endpoint(r#""Sni": { "b": { "Certficate": {} } }"#), "Kestrel:Endpoints:A:Sni:b:Certficate"),
        (
            endpoint(r#""Sni": {}"#).replace("https", "http").replace("{}", r#"{ "a": {} }"#),
            "needs an https url",
        ),
        (
            r#"{ "Kestrel": { "EndpointDefaults": { "Url": "a" } } }"#.to_owned(),
            "Kestrel:EndpointDefaults:Url",
        ),
    ] {
        let error = options(&text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (text, names) in [
        (r#"{ "Kestrel": { "Endpionts": {} } }"#, "Kestrel:Endpionts"),
        (r#"{ "Kestrel": { "Limits": { "MaxSize": 1 } } }"#, "Kestrel:Limits:MaxSize"),
        (r#"{ "Kestrel": { "Limits": { "MaxRequestBodySize": -1 } } }"#, "Kestrel:Limits:MaxRequestBodySize"),
        (
            r#"{ "Kestrel": { "Limits": { "Http2": { "MaxFrameSize": 1 } } } }"#,
            "Kestrel:Limits:Http2:MaxFrameSize",
        ),
        (r#"{ "Kestrel": { "Limits": { "KeepAliveTimeout": null } } }"#, "Kestrel:Limits:KeepAliveTimeout"),
        (
            r#"{ "Kestrel": { "Limits": { "MaxRequestLineSize": null } } }"#,
            "Kestrel:Limits:MaxRequestLineSize",
        ),
        (r#"{ "Kestrel": { "Endpoints": { "A": { "Url": "nope" } } } }"#, "Kestrel:Endpoints:A:Url"),
        (
            r#"{ "Kestrel": { "Endpoints": { "A": { "Url": "http://a", "Protocols": "Http9" } } } }"#,
            "Http1AndHttp2",
        ),
        (
            r#"{ "Kestrel": { "Endpoints": { "A": { "Url": "http://a", "Certificate": { "Path": "a", "KeyPath": "b" } } } } }"#,
            "needs an https url",
        ),
    ] {
        let error = options(text).unwrap_err();
        assert!(error.contains(names), "{error}");
    }
}
