use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

#[cfg(feature = "x509")]
mod name;
#[cfg(feature = "x509")]
mod x509;

#[cfg(feature = "x509")]
pub use x509::CertificateParseError;

/// A certificate of a client (X.509, RFC 5280) and what it says.
///
/// Who has checked it is whoever offers it: the server in the handshake, or a proxy that is trusted.
#[doc(alias = "X509Certificate2")]
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    der: Vec<u8>,
    facts: CertificateFacts,
}

/// What a certificate says; what [`ClientCertificate::new`] is made of.
///
/// With the cargo feature `x509`, `ClientCertificate::from_der` reads it out of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// See [`ClientCertificate::subject`].
    pub subject: String,
    /// See [`ClientCertificate::common_name`].
    pub common_name: Option<String>,
    /// See [`ClientCertificate::issuer`].
    pub issuer: String,
    /// The bytes of the serial number, the highest first.
    pub serial_number: Vec<u8>,
    /// See [`ClientCertificate::subject_alternative_names`].
    pub subject_alternative_names: Vec<SubjectAlternativeName>,
    /// See [`ClientCertificate::not_before`].
    pub not_before: SystemTime,
    /// See [`ClientCertificate::not_after`].
    pub not_after: SystemTime,
    /// The SHA-1 of the DER.
    pub sha1: [u8; 20],
    /// The SHA-256 of the DER.
    pub sha256: [u8; 32],
}

/// A name of whom a certificate is for (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectAlternativeName {
    /// A name of the DNS.
    Dns(String),
    /// An address of electronic mail.
    Email(String),
    /// An address of IP.
    Ip(IpAddr),
    /// A URI, such as the SPIFFE id of a workload.
    Uri(String),
}

impl ClientCertificate {
    /// A certificate of which somebody has read what it says.
    pub fn new(der: Vec<u8>, facts: CertificateFacts) -> Self {
        Self { der, facts }
    }

    /// The certificate in DER.
    #[doc(alias = "RawData")]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whom it is for, as text (RFC 4514, in the order of the certificate): `C=DE, O=Shop, CN=till 7`. Characters that
    /// separate are escaped, so that no part can look like two.
    pub fn subject(&self) -> &str {
        &self.facts.subject
    }

    /// The last common name of the subject, as it stands.
    pub fn common_name(&self) -> Option<&str> {
        self.facts.common_name.as_deref()
    }

    /// Who has issued it, as text like the [`subject`](Self::subject).
    pub fn issuer(&self) -> &str {
        &self.facts.issuer
    }

    /// The serial number in upper-case hexadecimal digits, two for each byte.
    pub fn serial_number(&self) -> String {
        hexadecimal(&self.facts.serial_number)
    }

    /// The other names of whom it is for. Kinds of names that are not listed in the type are left out.
    pub fn subject_alternative_names(&self) -> &[SubjectAlternativeName] {
        &self.facts.subject_alternative_names
    }

    /// Since when it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.facts.not_before
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.facts.not_after
    }

    /// The SHA-1 of the DER in upper-case hexadecimal digits, by which Windows and .NET name certificates. To compare with
    /// a list of those that are allowed, take [`sha256_thumbprint`](Self::sha256_thumbprint): SHA-1 has collisions.
    pub fn thumbprint(&self) -> String {
        hexadecimal(&self.facts.sha1)
    }

    /// The SHA-256 of the DER in upper-case hexadecimal digits, as `openssl x509 -fingerprint -sha256` shows it without the
    /// colons.
    #[doc(alias = "GetCertHashString")]
    pub fn sha256_thumbprint(&self) -> String {
        hexadecimal(&self.facts.sha256)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("serial_number", &self.serial_number())
            .finish_non_exhaustive()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |number: u8| char::from(DIGITS[usize::from(number & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
