use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::{DevCertificate, Error, certificate::MARKER};

/// How long a new certificate is valid.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The payload of the marker: the version of the original's certificates with these names.
const MARKER_VERSION: u8 = 6;

const NAMES: [&str; 7] = [
    "localhost",
    "*.dev.localhost",
    "*.dev.internal",
    "host.docker.internal",
    "host.containers.internal",
    "127.0.0.1",
    "::1",
];

impl DevCertificate {
    /// Makes a certificate of its own issue for the names of this machine, valid for a year: ECDSA P-256, for servers
    /// only, and no authority, so that whoever gets its key can issue nothing.
    ///
    /// # Errors
    /// [`Error::Make`].
    pub fn make() -> Result<Self, Error> {
        make().map_err(Error::Make)
    }
}

fn make() -> Result<DevCertificate, Box<dyn std::error::Error + Send + Sync>> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = parameters()?.self_signed(&key)?;
    Ok(DevCertificate::from_der(certificate.der().to_vec(), key.serialize_der())?)
}

fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(NAMES.map(str::to_owned))?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "localhost");
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.custom_extensions = vec![CustomExtension::from_oid_content(MARKER, vec![MARKER_VERSION])];
    let now = SystemTime::now();
    parameters.not_before = (now - Duration::from_secs(60)).into();
    parameters.not_after = (now + VALIDITY).into();
    Ok(parameters)
}
