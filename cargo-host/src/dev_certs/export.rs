//! The certificate in a file for others.

use std::{error::Error, fs, path::Path};

use dev_certs::{DevCertificate, write_private};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use pkcs8::{LineEnding, PrivateKeyInfoRef, pkcs5::pbes2};

use super::{
    Console,
    failure::{Code, Failure},
};
use crate::arguments::{Export, Format};

/// As the original has it for keys and PKCS#12.
const ITERATIONS: u32 = 100_000;

pub(super) fn write(certificate: &DevCertificate, export: &Export, console: &Console) -> Result<(), Failure> {
    let path = &export.path;
    let failed = |error: Box<dyn Error>| {
        Failure::new(Code::Export, format!("could not export the certificate to {}", path.display()))
            .because(error)
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), fs::create_dir_all).map_err(|error| failed(error.into()))?;
    for (path, content) in files(certificate, path, &export.format).map_err(failed)? {
        write_private(&path, &content).map_err(|error| failed(error.into()))?;
        console.say(&format!("exported to {}", path.display()));
    }
    Ok(())
}

type Files = Vec<(std::path::PathBuf, Vec<u8>)>;

fn files(certificate: &DevCertificate, path: &Path, format: &Format) -> Result<Files, Box<dyn Error>> {
    let pem = || certificate.certificate_pem().into_bytes();
    let own = |content| (path.to_owned(), content);
    Ok(match format {
        Format::Der => vec![own(certificate.certificate_der().to_vec())],
        Format::Pkcs12 { password } => vec![own(pkcs12(certificate, password)?)],
        Format::Pem => vec![own(pem())],
        Format::PemWithKey { password } => {
            let key = match password {
                Some(password) => encrypted_key(certificate, password)?,
                None => certificate.key_pem(),
            };
            let key_path = path.with_extension("key");
            if key_path == path {
                return Err(
                    "the key goes into a file beside it that ends in .key: choose another ending".into()
                );
            }
            vec![(key_path, key.into_bytes()), own(pem())]
        }
    })
}

fn pkcs12(certificate: &DevCertificate, password: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let key = PrivateKey::from_der(certificate.key_der())?;
    let chain = [Certificate::from_der(certificate.certificate_der())?];
    let mut store = KeyStore::new();
    let id = [1_u8].as_slice();
    store.add_entry("localhost", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(id, key, chain)));
    Ok(store.writer(password).encryption_iterations(ITERATIONS).mac_iterations(ITERATIONS).write()?)
}

/// PKCS#8 with AES-256-CBC and PBKDF2 with SHA-256.
fn encrypted_key(certificate: &DevCertificate, password: &str) -> Result<String, Box<dyn Error>> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::fill(&mut salt)?;
    getrandom::fill(&mut iv)?;
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv)?;
    let key = PrivateKeyInfoRef::try_from(certificate.key_der())?;
    let encrypted = key.encrypt_with_params(parameters, password)?;
    Ok(encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?.to_string())
}
