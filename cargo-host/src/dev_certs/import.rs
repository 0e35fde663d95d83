//! A certificate from elsewhere.

use std::{fs, io};

use dev_certs::{DevCertificate, Store};
use p12_keystore::Pkcs12Archive;

use super::failure::{Code, Failure};
use crate::arguments::Import;

/// Reads a PKCS#12 file with a development certificate.
pub(super) fn read(import: &Import) -> Result<DevCertificate, Failure> {
    let path = import.path.display();
    let failure = |code, what: &str| Failure::new(code, format!("{path} {what}"));
    let content = fs::read(&import.path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failure(Code::ImportMissing, "is not there"),
        _ => failure(Code::ImportUnreadable, "could not be read").because(error),
    })?;
    let archive = Pkcs12Archive::from_pkcs12(&content, &import.password).map_err(|error| {
        failure(Code::ImportUnreadable, "is no PKCS#12 file, or the password is another one").because(error)
    })?;
    let Some(certificate) = pair(&archive) else {
        return Err(failure(Code::ImportForeign, "holds no certificate with its key"));
    };
    if !certificate.is_marked() {
        let what = "is no development certificate: it lacks the extension 1.3.6.1.4.1.311.84.1.1";
        return Err(failure(Code::ImportForeign, what));
    }
    if !certificate.is_current() {
        let what = format!("is valid until {}, and not now and for another day", certificate.valid_until());
        return Err(failure(Code::Import, &what));
    }
    Ok(certificate)
}

/// A key, and the certificate that it belongs to.
fn pair(archive: &Pkcs12Archive) -> Option<DevCertificate> {
    archive.keys.iter().find_map(|key| {
        archive.certs.iter().find_map(|certificate| {
            let der = certificate.cert.as_der().to_vec();
            DevCertificate::from_der(der, key.key.as_der().to_vec()).ok()
        })
    })
}

/// Keeps it in the place of the one that was removed.
pub(super) fn keep(certificate: &DevCertificate, store: &Store) -> Result<(), Failure> {
    if let Ok(Some(_)) = store.find() {
        let message = "a certificate was made meanwhile: stop the programs that use it and try again";
        return Err(Failure::new(Code::ImportPresent, message));
    }
    store.save(certificate).map_err(|error| Failure::new(Code::Import, "the import failed").because(error))
}
