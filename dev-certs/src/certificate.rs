use std::{error, fmt, time::Duration};

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// A certificate that ends sooner is replaced.
const MIN_REMAINING: Duration = Duration::from_secs(24 * 60 * 60);

/// The extension by which the original's tools know their development certificates.
pub(crate) const MARKER: &[u64] = &[1, 3, 6, 1, 4, 1, 311, 84, 1, 1];

/// A certificate and its key, which belong together.
#[derive(Clone, PartialEq, Eq)]
pub struct DevCertificate {
    certificate: Vec<u8>,
    key: Vec<u8>,
    is_marked: bool,
    not_before: ASN1Time,
    not_after: ASN1Time,
}

/// Why a certificate and a key are not a [`DevCertificate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPair(String);

impl DevCertificate {
    /// Takes a certificate and its key (PKCS#8), both in DER.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn from_der(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, InvalidPair> {
        let invalid = |what: &str, error: &dyn fmt::Display| InvalidPair(format!("{what}: {error}"));
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|error| invalid("the certificate", &error))?;
        let pair = KeyPair::try_from(key.as_slice()).map_err(|error| invalid("the private key", &error))?;
        if pair.subject_public_key_info() != parsed.public_key().raw {
            return Err(InvalidPair("the private key is not the certificate's".to_owned()));
        }
        let is_marked = parsed
            .extensions()
            .iter()
            .any(|extension| extension.oid.iter().is_some_and(|oid| oid.eq(MARKER.iter().copied())));
        let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
        Ok(Self { certificate, key, is_marked, not_before, not_after })
    }

    /// Takes the first certificate and the first key (`PRIVATE KEY`) of a PEM text.
    ///
    /// # Errors
    /// When one of them is missing or cannot be read, or they do not belong together.
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidPair> {
        let blocks = pem::parse_many(text).map_err(|error| InvalidPair(error.to_string()))?;
        let block = |tag: &str| {
            let found = blocks.iter().find(|block| block.tag() == tag);
            found
                .map(|block| block.contents().to_vec())
                .ok_or_else(|| InvalidPair(format!("there is no {tag}")))
        };
        Self::from_der(block("CERTIFICATE")?, block("PRIVATE KEY")?)
    }

    /// The certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The key as PKCS#8 in DER.
    pub fn key_der(&self) -> &[u8] {
        &self.key
    }

    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        encode("CERTIFICATE", &self.certificate)
    }

    /// The key as PEM, not encrypted.
    pub fn key_pem(&self) -> String {
        encode("PRIVATE KEY", &self.key)
    }

    /// Whether it is valid now and for another day.
    pub fn is_current(&self) -> bool {
        let now = ASN1Time::now();
        let remaining = self.not_after - now;
        self.not_before <= now && remaining.is_some_and(|remaining| remaining.unsigned_abs() > MIN_REMAINING)
    }

    /// Whether it says itself that it is a development certificate, by the extension 1.3.6.1.4.1.311.84.1.1 that
    /// ASP.NET Core's tools look for as well.
    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Until when it is valid, as text.
    pub fn valid_until(&self) -> String {
        self.not_after.to_string()
    }
}

fn encode(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// Without the key.
impl fmt::Debug for DevCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("DevCertificate");
        debug.field("is_marked", &self.is_marked).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl error::Error for InvalidPair {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (one, other) = (DevCertificate::make().unwrap(), DevCertificate::make().unwrap());
        let error = |certificate: &DevCertificate, key: &DevCertificate| {
            let text = certificate.certificate_pem() + &key.key_pem();
            DevCertificate::from_pem(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(error(&one, &other), "the private key is not the certificate's");
        let certificate = one.certificate_pem();
        let error = DevCertificate::from_pem(certificate.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "there is no PRIVATE KEY");
        assert!(DevCertificate::from_der(vec![1, 2, 3], one.key_der().to_vec()).is_err());
        assert!(DevCertificate::from_der(one.certificate_der().to_vec(), vec![1, 2, 3]).is_err());
    }

    #[test]
    fn what_was_made_is_current_and_marked_and_hides_its_key() {
        let made = DevCertificate::make().unwrap();
        assert!(made.is_current() && made.is_marked());
        let text = made.certificate_pem() + &made.key_pem();
        assert_eq!(DevCertificate::from_pem(text.as_bytes()).unwrap(), made);
        assert!(!format!("{made:?}").contains("key"));
    }
}
