//! What a certificate says, out of its DER.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{error, fmt};

use sha1::{Digest, Sha1};
use sha2::Sha256;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

use super::name::{common_name, text};
use super::{CertificateFacts, ClientCertificate, SubjectAlternativeName};

/// Why bytes are no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateParseError(String);

impl fmt::Display for CertificateParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate cannot be parsed: {}", self.0)
    }
}

impl error::Error for CertificateParseError {}

impl ClientCertificate {
    /// Reads a certificate in DER. It checks neither the signature nor anything else.
    ///
    /// # Errors
    /// When it is no certificate, when something follows it, or when its names cannot be read.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, CertificateParseError> {
        let der = der.into();
        let facts = facts(&der)?;
        Ok(Self::new(der, facts))
    }
}

fn facts(der: &[u8]) -> Result<CertificateFacts, CertificateParseError> {
    let failed = |error: &dyn fmt::Display| CertificateParseError(error.to_string());
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| failed(&error))?;
    if !rest.is_empty() {
        return Err(failed(&"something follows it"));
    }
    let names = certificate.subject_alternative_name().map_err(|error| failed(&error))?;
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect());
    Ok(CertificateFacts {
        subject: text(certificate.subject()),
        common_name: common_name(certificate.subject()),
        issuer: text(certificate.issuer()),
        serial_number: serial_number(certificate.raw_serial()),
        subject_alternative_names: names.unwrap_or_default(),
        not_before: time(&certificate.validity().not_before),
        not_after: time(&certificate.validity().not_after),
        sha1: Sha1::digest(der).into(),
        sha256: Sha256::digest(der).into(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<SubjectAlternativeName> {
    Some(match name {
        GeneralName::DNSName(name) => SubjectAlternativeName::Dns((*name).to_owned()),
        GeneralName::RFC822Name(name) => SubjectAlternativeName::Email((*name).to_owned()),
        GeneralName::URI(name) => SubjectAlternativeName::Uri((*name).to_owned()),
        GeneralName::IPAddress(bytes) => SubjectAlternativeName::Ip(address(bytes)?),
        _ => return None,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Without the zero that stands in front of a number whose highest bit is set.
fn serial_number(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        _ => bytes.to_vec(),
    }
}

fn time(time: &ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}
