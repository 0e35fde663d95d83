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
    fn limits_are_read_and_null_is_none() {
        let limits = options(
            r#"{ "Kestrel": { "Limits": {
                "KeepAliveTimeout": "00:00:05", "MaxRequestLineSize": 100, "MaxRequestBodySize": null,
                "MaxConcurrentConnections": 10, "MaxConnectionAge": "01:00:00",
                "MinRequestBodyDataRate": { "BytesPerSecond": 10, "GracePeriod": 2 },
                "MinResponseDataRate": null,
                "Http2": { "MaxFrameSize": 20000, "KeepAlivePingDelay": 30 } } } }"#,
        )
        .unwrap()
        .limits;
        let rate =
            MinDataRate { bytes_per_second: 10.try_into().unwrap(), grace_period: Duration::from_secs(2) };
        let expected = Limits {
            keep_alive_timeout: Duration::from_secs(5),
            max_request_line_size: 100,
            max_request_body_size: None,
            max_concurrent_connections: Some(10),
            max_connection_age: Some(Duration::from_secs(3600)),
            min_request_body_data_rate: Some(rate),
            min_response_data_rate: None,
            http2: Http2Limits {
                max_frame_size: 20_000,
                keep_alive_ping_delay: Some(Duration::from_secs(30)),
                ..Http2Limits::default()
            },
            ..Limits::default()
        };
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
