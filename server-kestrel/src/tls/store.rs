//! A certificate that is looked for in a folder.

use std::fmt;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use server_abstractions::StartError;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::CertificateFile;
use super::configured_at::ConfiguredAt;
use super::crypto::digest;
use super::inspection::is_for_servers;
use super::reloadable::{Look, Source, Stamp};

/// A certificate that is looked for in a folder, which stands in the place of a certificate store of Windows or macOS.
///
/// Looked at are the files `*.pem`, `*.crt` and `*.cer` (a chain in PEM; its key in the same file, or beside it in a file of the
/// same name with the end `.key`) and `*.pfx` and `*.p12` (PKCS#12). Of those that match, have a private key, are valid today and may be
/// used by a server (the extended key usage `serverAuth`, or none), the one that expires last is used.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCertificate {
    /// The folder; those in it are not looked at. At most 1000 files.
    pub folder: PathBuf,
    /// What it is known by.
    pub find: FindCertificate,
    /// Whether it may be one that is not valid today. Default is not.
    pub allow_invalid: bool,
    /// What encrypted keys (PKCS#8) and PKCS#12 files in the folder are decrypted with. Default is none.
    pub password: Option<String>,
    /// Where that was configured, for errors. Default is nowhere.
    pub configured_at: ConfiguredAt,
}

/// What a certificate in a folder is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindCertificate {
    /// Its subject contains this, regardless of case: `CN=localhost` and `local` both find `CN=localhost, O=Example`.
    #[doc(alias = "FindBySubjectName")]
    Subject(String),
    /// Its SHA-1 (40 hexadecimal digits) or SHA-256 (64) is this, regardless of case, spaces and colons.
    #[doc(alias = "FindByThumbprint")]
    Thumbprint(String),
}

impl StoredCertificate {
    /// One that is valid today.
    pub fn new(folder: impl Into<PathBuf>, find: FindCertificate) -> Self {
        Self {
            folder: folder.into(),
            find,
            allow_invalid: false,
            password: None,
            configured_at: ConfiguredAt::default(),
        }
    }
}

/// Shows no password.
impl fmt::Debug for StoredCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.find, self.folder.display())
    }
}

impl fmt::Display for FindCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => write!(f, "subject {subject:?}"),
            Self::Thumbprint(thumbprint) => write!(f, "thumbprint {thumbprint:?}"),
        }
    }
}

impl FindCertificate {
    /// Whether anything can be known by it.
    ///
    /// # Errors
    /// What it must be.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Subject(subject) if subject.trim().is_empty() => Err("a subject must not be empty"),
            Self::Thumbprint(text) if thumbprint(text).is_none() => {
                Err("a thumbprint has 40 (SHA-1) or 64 (SHA-256) hexadecimal digits")
            }
            _ => Ok(()),
        }
    }

    /// Why it is not this certificate.
    fn refuse(&self, der: &[u8], certificate: &X509Certificate<'_>) -> Option<String> {
        match self {
            Self::Subject(part) => {
                let subject = certificate.subject().to_string();
                let is_it = subject.to_lowercase().contains(&part.to_lowercase());
                (!is_it).then(|| format!("its subject is {subject:?}"))
            }
            Self::Thumbprint(text) => {
                let is_long = thumbprint(text).is_some_and(|wanted| wanted.len() == 64);
                let algorithm = if is_long { &digest::SHA256 } else { &digest::SHA1_FOR_LEGACY_USE_ONLY };
                let own = hex(digest::digest(algorithm, der).as_ref());
                (thumbprint(text).as_ref() != Some(&own)).then(|| format!("its thumbprint is {own}"))
            }
        }
    }
}

/// The digits, if they are a thumbprint.
fn thumbprint(text: &str) -> Option<String> {
    let digits = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect::<String>();
    let is_one = matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| digits.to_ascii_lowercase())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// More files than anybody keeps; each is read when one has changed.
const MAX_FILES: usize = 1000;
/// How much of what was found an error tells.
const MAX_TOLD: usize = 20;
/// The longest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// The folder, and when it is to be looked through again though nothing has changed.
pub(super) struct StoreSource {
    wanted: StoredCertificate,
    provider: Arc<CryptoProvider>,
    /// When the next certificate becomes valid, in seconds.
    turn: AtomicI64,
    turns: AtomicU64,
}

impl fmt::Debug for StoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wanted.fmt(f)
    }
}

impl Source<CertifiedKey> for StoreSource {
    fn what(&self) -> &'static str {
        "a certificate in a folder"
    }

    fn look(&self) -> Look {
        let now = ASN1Time::now().timestamp();
        if self
            .turn
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |turn| (turn <= now).then_some(i64::MAX))
            .is_ok()
        {
            self.turns.fetch_add(1, Ordering::Relaxed);
        }
        let files = self.files(&["pem", "crt", "cer", "pfx", "p12", "key"]).unwrap_or_default();
        let mut look: Look = files.iter().map(|path| Stamp::of(path)).collect();
        look.push(Some(Stamp::of_turn(self.turns.load(Ordering::Relaxed))));
        look
    }

    fn load(&self) -> Result<CertifiedKey, StartError> {
        self.load_best().map_err(|error| self.wanted.configured_at.blame(error))
    }

    fn is_same(&self, one: &CertifiedKey, other: &CertifiedKey) -> bool {
        one.cert == other.cert
    }
}

impl StoreSource {
    fn load_best(&self) -> Result<CertifiedKey, StartError> {
        self.wanted.find.check().map_err(|why| self.failed(why))?;
        let files = self.files(&["pem", "crt", "cer", "pfx", "p12"])?;
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for path in files {
            match self.judge(&path) {
                Ok(candidate) => found.push(candidate),
                Err(why) => refused.push((path, why)),
            }
        }
        // Among those that expire together, the first by name.
        found.sort_by_key(|(expires, _)| std::cmp::Reverse(*expires));
        for (_, file) in found {
            match file.load(&self.provider) {
                Ok(certificate) => return Ok(certificate),
                Err(error) => refused.push((file.path, told(&error))),
            }
        }
        Err(self.nothing(&refused))
    }
}

impl StoreSource {
    pub(super) fn new(wanted: StoredCertificate, provider: &Arc<CryptoProvider>) -> Self {
        let (turn, turns) = (AtomicI64::new(i64::MAX), AtomicU64::new(0));
        Self { wanted, provider: Arc::clone(provider), turn, turns }
    }

    fn failed(&self, why: impl fmt::Display) -> StartError {
        let StoredCertificate { folder, find, .. } = &self.wanted;
        let folder = folder.display();
        StartError::configuration(format!(
            "cannot find a certificate with the {find} in the folder {folder}: {why}"
        ))
    }

    /// The files with these ends, by name.
    fn files(&self, ends: &[&str]) -> Result<Vec<PathBuf>, StartError> {
        let cannot_read = |error| self.failed("the folder cannot be read").with_source(error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.wanted.folder).map_err(cannot_read)? {
            let path = entry.map_err(cannot_read)?.path();
            let is_one = |end: &str| ends.iter().any(|one| end.eq_ignore_ascii_case(one));
            if !path.extension().and_then(|end| end.to_str()).is_some_and(is_one) {
                continue;
            }
            if files.len() == MAX_FILES {
                return Err(self.failed(format_args!("there are more than {MAX_FILES} files")));
            }
            files.push(path);
        }
        files.sort_unstable();
        Ok(files)
    }

    /// When the certificate of a file expires, and where its key is; or why it is not the one.
    fn judge(&self, path: &Path) -> Result<(i64, CertificateFile), String> {
        let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err("it is no file of at most 1 MiB".to_owned());
        }
        let key_path = Some(path.with_extension("key")).filter(|key| key.is_file());
        let file = CertificateFile {
            key_path,
            password: self.wanted.password.clone(),
            ..CertificateFile::new(path)
        };
        let chain = file.chain().map_err(|error| told(&error))?;
        let own = chain.first().ok_or("it contains no certificate")?;
        let (_, certificate) = X509Certificate::from_der(own).map_err(|error| error.to_string())?;
        if let Some(why) = self.wanted.find.refuse(own, &certificate) {
            return Err(why);
        }
        if !is_for_servers(&certificate) {
            return Err("it may not be used by a server: its extended key usage lacks serverAuth".to_owned());
        }
        let validity = certificate.validity();
        if !self.wanted.allow_invalid && !validity.is_valid() {
            let begins = validity.not_before.timestamp();
            if begins > ASN1Time::now().timestamp() {
                self.turn.fetch_min(begins, Ordering::Relaxed);
            }
            return Err(format!("it is valid from {} to {}", validity.not_before, validity.not_after));
        }
        Ok((validity.not_after.timestamp(), file))
    }

    fn nothing(&self, refused: &[(PathBuf, String)]) -> StartError {
        if refused.is_empty() {
            return self.failed("there is no file *.pem, *.crt, *.cer, *.pfx or *.p12");
        }
        let mut why = String::from("none of these can be used");
        for (index, (path, reason)) in refused.iter().take(MAX_TOLD).enumerate() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let _ = write!(why, "{} {name}: {reason}", if index == 0 { ":" } else { ";" });
        }
        if refused.len() > MAX_TOLD {
            let _ = write!(why, "; and {} more", refused.len() - MAX_TOLD);
        }
        self.failed(why)
    }
}

/// The error and what caused it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
