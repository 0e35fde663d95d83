//! The `Kestrel` section of the configuration.

mod https;
mod limits;
mod proxy_protocol;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use server_kestrel::{Endpoint, HttpProtocols, HttpsOptions, KestrelOptions};

use self::https::{CertificateSection, ModeSection, Reader, SniSection, SslProtocol};
use self::limits::LimitsSection;
use self::proxy_protocol::ProxyProtocolSection;
use crate::startup::rooted;
use crate::{Configuration, ConfigurationError, HostEnvironment};

/// The server. A key that is not understood is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct KestrelSection {
    /// Whether responses name the server in `Server`. Default is true.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    add_server_header: Option<bool>,
    /// Whether a request may have another scheme than its connection, as behind a proxy that ends TLS. Default is
    /// false.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    allow_alternate_schemes: Option<bool>,
    /// Certificates by name, for the `Name` of others; the one called `Default` is for every https address that has
    /// no other. Default is none; in the environment Development one is made for `Default`.
    certificates: BTreeMap<String, CertificateSection>,
    /// What connections and requests may take. Default is what each key says.
    limits: LimitsSection,
    /// For endpoints that do not say otherwise, and for `urls`. Default is what each key says.
    endpoint_defaults: EndpointDefaultsSection,
    /// Where the server listens, by names of your own, instead of at `urls`. Default is none.
    endpoints: BTreeMap<String, EndpointSection>,
}

/// For endpoints that do not say otherwise, and for `urls`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct EndpointDefaultsSection {
    /// The versions of HTTP. Default is `Http1AndHttp2`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "Http1AndHttp2")))]
    protocols: Option<ProtocolsSection>,
    /// The versions of TLS, one at least. Default is both.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("default" = ["Tls12", "Tls13"])))]
    ssl_protocols: Option<Vec<SslProtocol>>,
    /// Whether clients are asked for a certificate. Default is `NoCertificate`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "NoCertificate")))]
    client_certificate_mode: Option<ModeSection>,
    /// A file in PEM with the authorities that clients' certificates are believed by; a relative path starts from the
    /// content root. Default is those of the system.
    client_certificate_roots: Option<PathBuf>,
    /// Files with lists of the certificates that those authorities have revoked; relative paths start from the content
    /// root. Default is none.
    client_certificate_revocation_lists: Vec<PathBuf>,
}

/// Where the server listens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct EndpointSection {
    /// One address, such as `https://*:443`, `http://localhost:5000` or `http://unix:/run/app.sock`. It must be there.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^/]"), extend("patternErrorMessage" = "expected an address such as https://*:443")))]
    url: String,
    /// The versions of HTTP. Default is that of `EndpointDefaults`.
    protocols: Option<ProtocolsSection>,
    /// The versions of TLS, one at least; for https only. Default is that of `EndpointDefaults`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    ssl_protocols: Option<Vec<SslProtocol>>,
    /// Whether clients are asked for a certificate; for https only. Default is that of `EndpointDefaults`.
    client_certificate_mode: Option<ModeSection>,
    /// The certificate of the endpoint; for https only. Default is `Kestrel:Certificates:Default`.
    certificate: Option<CertificateSection>,
    /// That connections begin with a header of the PROXY protocol, `{}` for its defaults. Default is none: they do not.
    proxy_protocol: Option<ProxyProtocolSection>,
    /// What is different for server names that clients ask for: a name, `*.` and the end of names, or `*`; for https
    /// only. Default is none.
    #[serde(default)]
    sni: BTreeMap<String, SniSection>,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum ProtocolsSection {
    Http1,
    Http2,
    #[default]
    Http1AndHttp2,
}

impl From<ProtocolsSection> for HttpProtocols {
    fn from(section: ProtocolsSection) -> Self {
        match section {
            ProtocolsSection::Http1 => Self::Http1,
            ProtocolsSection::Http2 => Self::Http2,
            ProtocolsSection::Http1AndHttp2 => Self::Http1AndHttp2,
        }
    }
}

/// Puts the section on top of the options of the code; endpoints are added to those of the code.
pub(crate) fn apply(
    configuration: &Configuration,
    environment: &HostEnvironment,
    options: &mut KestrelOptions,
) -> Result<(), ConfigurationError> {
    let section = configuration.bind::<KestrelSection>("Kestrel")?;
    if let Some(add) = section.add_server_header {
        options.add_server_header = add;
    }
    if let Some(allow) = section.allow_alternate_schemes {
        options.allow_alternate_schemes = allow;
    }
    section.limits.apply(&mut options.limits);
    if let Err(error) = options.limits.check() {
        let path = format!("Kestrel:Limits:{}", limits::key(error.name()));
        return Err(configuration.invalid(&path, format_args!("it must be {}", error.wanted())));
    }
    let reader = Reader { configuration, environment, certificates: &section.certificates };
    apply_defaults(&reader, &section.endpoint_defaults, options)?;
    for (name, endpoint) in &section.endpoints {
        options.endpoints.push(listen(&reader, name, endpoint, options)?);
    }
    Ok(())
}

fn apply_defaults(
    reader: &Reader<'_>,
    section: &EndpointDefaultsSection,
    options: &mut KestrelOptions,
) -> Result<(), ConfigurationError> {
    const PATH: &str = "Kestrel:EndpointDefaults";
    if let Some(protocols) = section.protocols {
        options.default_protocols = protocols.into();
    }
    let mut https = options.https_defaults.clone().unwrap_or_default();
    let default = reader.certificates.iter().find(|(name, _)| name.eq_ignore_ascii_case("Default"));
    if let Some((name, certificate)) = default {
        let path = format!("Kestrel:Certificates:{name}");
        https.certificate = Some(reader.certificate(certificate, &path)?);
    }
    let tls = SniSection {
        ssl_protocols: section.ssl_protocols.clone(),
        client_certificate_mode: section.client_certificate_mode,
        ..SniSection::default()
    };
    reader.apply(&tls, &mut https, PATH)?;
    if let Some(roots) = &section.client_certificate_roots {
        https.client_certificates.roots = reader.roots(roots);
    }
    for list in &section.client_certificate_revocation_lists {
        https.client_certificates.revocation_lists.push(rooted(reader.environment, list));
    }
    if https != HttpsOptions::default() {
        options.https_defaults = Some(https);
    }
    Ok(())
}

/// The endpoint of this name.
fn listen(
    reader: &Reader<'_>,
    name: &str,
    section: &EndpointSection,
    options: &KestrelOptions,
) -> Result<Endpoint, ConfigurationError> {
    let path = format!("Kestrel:Endpoints:{name}");
    let protocols = section.protocols.map_or(options.default_protocols, HttpProtocols::from);
    let mut listen = Endpoint::url(&section.url)
        .map_err(|error| reader.configuration.invalid(&format!("{path}:Url"), error))?
        .protocols(protocols)
        .name(name.to_owned());
    listen.proxy_protocol = section.proxy_protocol.as_ref().map(ProxyProtocolSection::options);
    if listen.https.is_none() {
        return only_http(reader, section, &path).map(|()| listen);
    }
    let mut https = options.https_defaults.clone().unwrap_or_default();
    let tls = SniSection {
        certificate: section.certificate.clone(),
        ssl_protocols: section.ssl_protocols.clone(),
        client_certificate_mode: section.client_certificate_mode,
        protocols: None,
    };
    reader.apply(&tls, &mut https, &path)?;
    for (host, sni) in &section.sni {
        let different = reader.sni(sni, &https, &format!("{path}:Sni:{host}"))?;
        https.sni.insert(host.clone(), different);
    }
    listen.https = Some(https);
    Ok(listen)
}

/// Refuses the keys of TLS where there is none.
fn only_http(reader: &Reader<'_>, section: &EndpointSection, path: &str) -> Result<(), ConfigurationError> {
    let keys = [
        ("Certificate", section.certificate.is_some()),
        ("SslProtocols", section.ssl_protocols.is_some()),
        ("ClientCertificateMode", section.client_certificate_mode.is_some()),
        ("Sni", !section.sni.is_empty()),
    ];
    match keys.iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => {
            let reason = "it needs an https url";
            Err(reader.configuration.invalid(&format!("{path}:{key}"), reason))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use server_abstractions::MinDataRate;
    use server_kestrel::{
        CertificateFile, ClientCertificateMode, ClientCertificateRoots, ClientCertificates, Http2Limits,
        Limits, ProxyProtocolOptions, ServerCertificate, SniOptions, TlsVersions,
    };

    use super::*;

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
        let expected =
            Limits { max_request_body_size: None, min_response_data_rate: None, ..Limits::default() };
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
            (endpoint(r#""Certificate": { "Subject": "b" }"#), "Kestrel:Endpoints:A:Certificate:Subject"),
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
            (
                r#"{ "Kestrel": { "Limits": { "MaxRequestBodySize": -1 } } }"#,
                "Kestrel:Limits:MaxRequestBodySize",
            ),
            (
                r#"{ "Kestrel": { "Limits": { "Http2": { "MaxFrameSize": 1 } } } }"#,
                "Kestrel:Limits:Http2:MaxFrameSize",
            ),
            (
                r#"{ "Kestrel": { "Limits": { "KeepAliveTimeout": null } } }"#,
                "Kestrel:Limits:KeepAliveTimeout",
            ),
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
}
