//! The keys of TLS: versions, server names, client certificates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use server_kestrel::{
    ClientCertificateMode, ClientCertificateRoots, HttpProtocols, HttpsOptions, SniOptions, TlsVersions,
};

use super::ProtocolsSection;
use super::certificate::CertificateSection;
use super::limits::set;
use crate::startup::rooted;
use crate::{Configuration, ConfigurationError, HostEnvironment};

/// What is different for a server name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct SniSection {
    /// The certificate. Default is that of the endpoint.
    pub(super) certificate: Option<CertificateSection>,
    /// The versions of HTTP. Default is that of the endpoint.
    pub(super) protocols: Option<ProtocolsSection>,
    /// The versions of TLS, one at least. Default is that of the endpoint.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) ssl_protocols: Option<Vec<SslProtocol>>,
    /// Whether clients are asked for a certificate. Default is that of the endpoint.
    pub(super) client_certificate_mode: Option<ModeSection>,
    /// A file in PEM with the authorities that clients' certificates are believed by. Default is that of the endpoint.
    pub(super) client_certificate_roots: Option<PathBuf>,
    /// Files with lists of the certificates that those authorities have revoked. Default is those of the endpoint.
    pub(super) client_certificate_revocation_lists: Option<Vec<PathBuf>>,
}

impl SniSection {
    /// Whether it says anything about clients' certificates.
    fn has_clients(&self) -> bool {
        self.client_certificate_mode.is_some()
            || self.client_certificate_roots.is_some()
            || self.client_certificate_revocation_lists.is_some()
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from))]
pub(super) enum SslProtocol {
    Tls12,
    Tls13,
}

impl TryFrom<String> for SslProtocol {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "tls12" => Ok(Self::Tls12),
            "tls13" => Ok(Self::Tls13),
            "ssl2" | "ssl3" | "tls" | "tls11" => {
                Err(format!("{text} is not safe and not spoken; use Tls12, Tls13 or both"))
            }
            _ => Err("it must be Tls12 or Tls13".to_owned()),
        }
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from))]
pub(super) enum ModeSection {
    #[serde(rename = "NoCertificate")]
    No,
    #[serde(rename = "AllowCertificate")]
    Allow,
    #[serde(rename = "RequireCertificate")]
    Require,
}

impl From<ModeSection> for ClientCertificateMode {
    fn from(section: ModeSection) -> Self {
        match section {
            ModeSection::No => Self::None,
            ModeSection::Allow => Self::Allow,
            ModeSection::Require => Self::Require,
        }
    }
}

impl TryFrom<String> for ModeSection {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "nocertificate" => Ok(Self::No),
            "allowcertificate" => Ok(Self::Allow),
            "requirecertificate" => Ok(Self::Require),
            "delaycertificate" => Err("DelayCertificate cannot be: TLS 1.3 has no renegotiation, by which a certificate would be asked for later; use AllowCertificate".to_owned()),
            _ => Err("it must be NoCertificate, AllowCertificate or RequireCertificate".to_owned()),
        }
    }
}

/// Reads the keys of one place.
pub(super) struct Reader<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) environment: &'a HostEnvironment,
    /// The path of the section that has endpoints and certificates: `Kestrel`.
    pub(super) root: &'a str,
    /// Those of `Kestrel:Certificates`.
    pub(super) certificates: &'a BTreeMap<String, CertificateSection>,
}

impl Reader<'_> {
    /// The versions that the list of this path names.
    pub(super) fn versions(
        &self,
        list: &[SslProtocol],
        path: &str,
    ) -> Result<TlsVersions, ConfigurationError> {
        match (list.contains(&SslProtocol::Tls12), list.contains(&SslProtocol::Tls13)) {
            (true, true) => Ok(TlsVersions::Tls12AndTls13),
            (true, false) => Ok(TlsVersions::Tls12),
            (false, true) => Ok(TlsVersions::Tls13),
            (false, false) => {
                Err(self.configuration.invalid(&format!("{path}:SslProtocols"), "it names no version of TLS"))
            }
        }
    }

    /// Puts what the section of this path says on top of the options.
    pub(super) fn apply(
        &self,
        section: &SniSection,
        options: &mut HttpsOptions,
        path: &str,
    ) -> Result<(), ConfigurationError> {
        if let Some(certificate) = &section.certificate {
            options.certificate = Some(self.certificate(certificate, &format!("{path}:Certificate"))?);
        }
        if let Some(list) = &section.ssl_protocols {
            options.tls_versions = self.versions(list, path)?;
        }
        if let Some(mode) = section.client_certificate_mode {
            options.client_certificates.mode = mode.into();
        }
        if let Some(roots) = &section.client_certificate_roots {
            let roots = ClientCertificateRoots::File(rooted(self.environment, roots));
            options.client_certificates.roots = roots;
            options.client_certificates.roots_configured_at =
                self.place(&format!("{path}:ClientCertificateRoots"));
        }
        if let Some(lists) = &section.client_certificate_revocation_lists {
            let lists = lists.iter().map(|list| rooted(self.environment, list));
            options.client_certificates.revocation_lists = lists.collect();
            options.client_certificates.revocation_lists_configured_at =
                self.place(&format!("{path}:ClientCertificateRevocationLists"));
        }
        Ok(())
    }

    /// How long handshakes of this path may take, and how many there may be.
    pub(super) fn handshakes(
        &self,
        (timeout, most): (Option<Duration>, Option<Option<usize>>),
        options: &mut HttpsOptions,
        path: &str,
    ) -> Result<(), ConfigurationError> {
        set(&mut options.handshake_timeout, timeout);
        set(&mut options.max_concurrent_handshakes, most);
        if options.handshake_timeout.is_zero() {
            let reason = "it must be more than 0";
            return Err(self.configuration.invalid(&format!("{path}:HandshakeTimeout"), reason));
        }
        if options.max_concurrent_handshakes == Some(0) {
            let reason = "it must be at least 1, or null for any number";
            return Err(self.configuration.invalid(&format!("{path}:MaxConcurrentHandshakes"), reason));
        }
        Ok(())
    }

    /// What is different for a server name.
    pub(super) fn sni(
        &self,
        section: &SniSection,
        endpoint: &HttpsOptions,
        path: &str,
    ) -> Result<SniOptions, ConfigurationError> {
        let mut options = endpoint.clone();
        self.apply(section, &mut options, path)?;
        Ok(SniOptions {
            certificate: section.certificate.as_ref().and(options.certificate),
            protocols: section.protocols.map(HttpProtocols::from),
            tls_versions: section.ssl_protocols.as_ref().map(|_| options.tls_versions),
            client_certificates: section.has_clients().then_some(options.client_certificates),
        })
    }
}
