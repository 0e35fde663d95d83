//! The `Kestrel` section of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use server_kestrel::{Endpoint, HttpProtocols, HttpsOptions, KestrelOptions};

use crate::startup::rooted;
use crate::{Configuration, ConfigurationError, HostEnvironment};

/// What of the section is understood; any other key is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KestrelSection {
    add_server_header: Option<bool>,
    allow_alternate_schemes: Option<bool>,
    certificates: CertificatesSection,
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
    fn what_is_not_understood_is_refused_with_its_place() {
        for (text, names) in [
            (r#"{ "Kestrel": { "Endpionts": {} } }"#, "Kestrel:Endpionts"),
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
