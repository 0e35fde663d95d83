//! What a certificate says of itself, for those who configured it.

use std::fmt;

use rustls_pki_types::CertificateDer;
use server_abstractions::StartError;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Refuses a certificate that is none for a server, and tells what clients will not like.
pub(super) fn inspect(chain: &[CertificateDer<'_>], name: &dyn fmt::Display) -> Result<(), StartError> {
    let Some(own) = chain.first() else {
        return Err(StartError::configuration(format!("{name} contains no certificate")));
    };
    let (_, certificate) = X509Certificate::from_der(own).map_err(|error| {
        StartError::configuration(format!("the certificate {name} cannot be parsed")).with_source(error)
    })?;
    if !is_for_servers(&certificate) {
        let message = format!(
            "the certificate {name} may not be used by a server: its extended key usage lacks serverAuth"
        );
        return Err(StartError::configuration(message));
    }
    let validity = certificate.validity();
    if !validity.is_valid() {
        tracing::warn!(
            certificate = %name,
            not_before = %validity.not_before,
            not_after = %validity.not_after,
            "the certificate is not valid today; clients will refuse it"
        );
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    if names.is_none_or(|names| names.value.general_names.is_empty()) {
        tracing::info!(certificate = %name, "the certificate has no subject alternative name; clients will refuse it");
    }
    if chain.len() == 1 && certificate.issuer() != certificate.subject() {
        tracing::info!(
            certificate = %name,
            issuer = %certificate.issuer(),
            "the certificate comes without the one of its issuer; clients that do not know that one will refuse it"
        );
    }
    Ok(())
}

/// Whether its extended key usage, if it has any, lets a server use it.
pub(super) fn is_for_servers(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.extended_key_usage().ok().flatten();
    usage.is_none_or(|usage| usage.value.any || usage.value.server_auth)
}
