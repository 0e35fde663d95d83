//! The certificate for `https` addresses in the Development environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use server_kestrel::HttpsOptions;
use tracing::Level;
use x509_parser::pem::Pem;

use crate::Error;

/// How long a new certificate is valid.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A certificate that ends sooner is replaced.
const MIN_REMAINING: Duration = Duration::from_secs(24 * 60 * 60);

/// The extension by which the original's tools know their development certificates, and its payload's version.
const MARKER: &[u64] = &[1, 3, 6, 1, 4, 1, 311, 84, 1, 1];
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

/// The certificate of the user, made if there is none that is valid.
///
/// `localhost.pem` holds certificate and key and is readable by the user only; `localhost.crt` is the certificate
/// alone, for those who are to trust it. That one was made is told in `messages`.
pub(crate) fn find_or_create(messages: &mut Vec<(Level, String)>) -> Result<HttpsOptions, Error> {
    let folder = folder().ok_or_else(|| {
        Error::new("there is no place for a development certificate: neither XDG_DATA_HOME nor HOME is set; configure Kestrel:Certificates:Default:Path and :KeyPath")
    })?;
    let pem = folder.join("localhost.pem");
    let is_new = create_once(&folder, &pem).map_err(|error| {
        let message = format!("cannot make a development certificate in {}", folder.display());
        Error::new(message).with_source(error)
    })?;
    if is_new {
        let message = format!(
            "made a development certificate; clients warn of it until they trust {}",
            folder.join("localhost.crt").display()
        );
        messages.push((Level::INFO, message));
    }
    Ok(HttpsOptions::pem_files(&pem, &pem))
}

/// `server-kestrel/dev-certs` in the user's data folder: `$XDG_DATA_HOME`, else `~/.local/share`; on macOS
/// `~/Library/Application Support`, on Windows `%LOCALAPPDATA%`.
fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    Some(data?.join("server-kestrel/dev-certs"))
}

fn is_valid(pem: &Path) -> bool {
    let Ok(text) = fs::read(pem) else { return false };
    let Some(Ok(certificate)) = Pem::iter_from_buffer(&text).next() else { return false };
    let Ok(certificate) = certificate.parse_x509() else { return false };
    let remaining = certificate.validity().time_to_expiration();
    remaining.is_some_and(|remaining| remaining.unsigned_abs() > MIN_REMAINING)
}

/// Makes the certificate unless there is one; true if it was made. Of programs that start at once, one makes it and
/// the others wait for it.
fn create_once(folder: &Path, pem: &Path) -> io::Result<bool> {
    if is_valid(pem) {
        return Ok(false);
    }
    create_private_folder(folder)?;
    let lock = fs::File::create(folder.join("lock"))?;
    lock.lock()?;
    if is_valid(pem) {
        return Ok(false);
    }
    create(folder, pem)?;
    Ok(true)
}

fn create(folder: &Path, pem: &Path) -> io::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let certificate =
        parameters().and_then(|parameters| parameters.self_signed(&key)).map_err(io::Error::other)?;
    // The pair comes last and in one file: once it is there, everything is, and nobody reads half of it.
    replace(&folder.join("localhost.crt"), certificate.pem().as_bytes())?;
    let both = certificate.pem() + &key.serialize_pem();
    replace(pem, both.as_bytes())
}

fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(NAMES.map(str::to_owned))?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
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

#[cfg(unix)]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Writes a file that only the user can read, beside its place, and moves it there.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&temporary).and_then(|mut file| io::Write::write_all(&mut file, content));
    let moved = written.and_then(|()| fs::rename(&temporary, path));
    if moved.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_is_private() {
        let folder = std::env::temp_dir().join(format!("dev-certs-{}", std::process::id()));
        let pem = folder.join("localhost.pem");
        assert!(!is_valid(&pem));
        assert!(create_once(&folder, &pem).unwrap());
        assert!(is_valid(&pem));
        assert!(!create_once(&folder, &pem).unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let crt = fs::read_to_string(folder.join("localhost.crt")).unwrap();
        assert!(!crt.contains("PRIVATE KEY"));
        fs::write(&pem, "broken").unwrap();
        assert!(!is_valid(&pem));
        fs::remove_dir_all(&folder).unwrap();
    }
}
