//! The `Kestrel` section of the configuration.

mod limits;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use server_kestrel::{Endpoint, HttpProtocols, HttpsOptions, KestrelOptions};

use self::limits::LimitsSection;
use crate::startup::rooted;
use crate::{Configuration, ConfigurationError, HostEnvironment};

/// What of the section is understood; any other key is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KestrelSection {
    add_server_header: Option<bool>,
    allow_alternate_schemes: Option<bool>,
    certificates: CertificatesSection,
    limits: LimitsSection,
    endpoints: BTreeMap<String, EndpointSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CertificatesSection {
    default: Option<CertificateSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateSection {
    path: PathBuf,
    key_path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointSection {
    url: String,
    #[serde(default)]
    protocols: ProtocolsSection,
    certificate: Option<CertificateSection>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
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

impl CertificateSection {
    fn options(self, environment: &HostEnvironment) -> HttpsOptions {
        HttpsOptions::pem_files(rooted(environment, self.path), rooted(environment, self.key_path))
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
    if let Some(certificate) = section.certificates.default {
        options.https_defaults = Some(certificate.options(environment));
    }
    for (name, endpoint) in section.endpoints {
        let path = |key: &str| format!("Kestrel:Endpoints:{name}:{key}");
        let mut listen = Endpoint::url(&endpoint.url)
            .map_err(|error| configuration.invalid(&path("Url"), error))?
            .protocols(endpoint.protocols.into())
            .name(name.clone());
        if let Some(certificate) = endpoint.certificate {
            if listen.https.is_none() {
                let reason = "a certificate needs an https url";
                return Err(configuration.invalid(&path("Certificate:Path"), reason));
            }
            listen.https = Some(certificate.options(environment));
        }
        options.endpoints.push(listen);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use server_abstractions::MinDataRate;
    use server_kestrel::{Http2Limits, Limits};

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
