use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use server_abstractions::{ClientCertificate, StartError};

use super::StoredCertificate;
use super::configured_at::ConfiguredAt;
use super::crypto;
use super::inspection::inspect;
use super::reloadable::{Look, Source, Stamp};
use super::store::StoreSource;

/// Where the server's certificate comes from.
#[derive(Clone)]
#[non_exhaustive]
pub enum ServerCertificate {
    /// A chain and its private key in files. A file that changes is read again, and new handshakes use it within
    /// five seconds.
    File(CertificateFile),
    /// A chain and its private key, looked for in a folder. What changes there is looked at again, and new handshakes
    /// use what fits best within five seconds.
    #[doc(alias = "X509Store")]
    Store(StoredCertificate),
    /// A chain and its private key as PEM text.
    Pem {
        /// The chain, the server's own certificate first.
        certificate: String,
        /// The key (PKCS#8, PKCS#1 or SEC 1).
        key: String,
        /// What an encrypted key (PKCS#8) is decrypted with.
        password: Option<String>,
    },
    /// A whole TLS configuration.
    Rustls(Arc<ServerConfig>),
}

/// A certificate in files: PEM, or PKCS#12.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// The chain in PEM, the server's own certificate first; or chain and key in PKCS#12 (`.pfx`, `.p12`).
    pub path: PathBuf,
    /// The private key in PEM (PKCS#8, PKCS#1 or SEC 1). Default is none: the key is in the file of the chain.
    pub key_path: Option<PathBuf>,
    /// What an encrypted key (PKCS#8) or a PKCS#12 file is decrypted with. Default is none.
    pub password: Option<String>,
    /// Where that was configured, for errors. Default is nowhere.
    pub configured_at: ConfiguredAt,
}

impl CertificateFile {
    /// Chain and key in one file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), key_path: None, password: None, configured_at: ConfiguredAt::default() }
    }
}

/// Shows no password.
impl fmt::Debug for CertificateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.key_path.as_ref().map_or(Ok(()), |key| write!(f, " with {}", key.display()))
    }
}

impl ServerCertificate {
    /// Reads what the server's own certificate says, as it is now where it comes from; new handshakes use the same within
    /// five seconds. None of a whole TLS configuration, which does not tell. It blocks as long as the files take.
    ///
    /// # Errors
    /// When there is no certificate that can be read.
    pub fn read(&self) -> Result<Option<ClientCertificate>, StartError> {
        let chain = match self {
            Self::File(file) => file.chain()?,
            Self::Store(stored) => {
                StoreSource::new(stored.clone(), &Arc::new(crypto::provider())).load()?.cert.clone()
            }
            Self::Pem { certificate, .. } => chain_of(certificate.as_bytes(), &"the PEM text")?,
            Self::Rustls(_) => return Ok(None),
        };
        let Some(own) = chain.first() else { return Ok(None) };
        let read = ClientCertificate::from_der(own.to_vec());
        read.map(Some).map_err(|error| {
            StartError::configuration(format!("cannot read the certificate of {self:?}")).with_source(error)
        })
    }
}

impl PartialEq for ServerCertificate {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Store(one), Self::Store(two)) => one == two,
            (Self::Pem { certificate, key, password }, Self::Pem { certificate: c, key: k, password: p }) => {
                certificate == c && key == k && password == p
            }
            (Self::Rustls(one), Self::Rustls(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for ServerCertificate {}

/// Shows no key.
impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "File({file:?})"),
            Self::Store(stored) => write!(f, "Store({stored:?})"),
            Self::Pem { .. } => f.write_str("Pem"),
            Self::Rustls(_) => f.write_str("Rustls"),
        }
    }
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl CertificateFile {
    /// Reads chain and key.
    pub(crate) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, StartError> {
        let content = read(&self.path, "certificate")?;
        let password = self.password.as_deref();
        let name = self.path.display();
        let (chain, key) = if !is_pem(&content) {
            from_pkcs12(&content, password.unwrap_or_default(), &self.path)?
        } else if let Some(key_path) = &self.key_path {
            let key = read(key_path, "private key")?;
            (chain_of(&content, &name)?, key_of(&key, password, &key_path.display())?)
        } else {
            (chain_of(&content, &name)?, key_of(&content, password, &name)?)
        };
        certified(chain, key, provider, &format_args!("{self:?}"))
    }
}

impl CertificateFile {
    /// Reads the chain; without the key, unless it cannot be had without it.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, StartError> {
        let content = read(&self.path, "certificate")?;
        if is_pem(&content) {
            return chain_of(&content, &self.path.display());
        }
        let password = self.password.as_deref().unwrap_or_default();
        from_pkcs12(&content, password, &self.path).map(|(chain, _)| chain)
    }
}

/// A file, for the provider that can use it.
pub(super) struct FileSource(pub(super) CertificateFile, pub(super) Arc<CryptoProvider>);

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Source<CertifiedKey> for FileSource {
    fn what(&self) -> &'static str {
        "a certificate"
    }

    fn look(&self) -> Look {
        let files = [Some(&self.0.path), self.0.key_path.as_ref()];
        files.into_iter().flatten().map(|path| Stamp::of(path)).collect()
    }

    fn load(&self) -> Result<CertifiedKey, StartError> {
        self.0.load(&self.1).map_err(|error| self.0.configured_at.blame(error))
    }

    fn is_same(&self, one: &CertifiedKey, other: &CertifiedKey) -> bool {
        one.cert == other.cert
    }
}

/// Reads chain and key of PEM text.
pub(crate) fn from_pem(
    certificate: &str,
    key: &str,
    password: Option<&str>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, StartError> {
    let chain = chain_of(certificate.as_bytes(), &"the PEM text")?;
    let key = key_of(key.as_bytes(), password, &"the PEM text")?;
    certified(chain, key, provider, &"the PEM text")
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
    name: &dyn fmt::Display,
) -> Result<CertifiedKey, StartError> {
    inspect(&chain, name)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let what = match error {
            rustls::Error::InconsistentKeys(_) => "the private key is not that of the certificate",
            _ => "the certificate and its private key cannot be used",
        };
        StartError::configuration(format!("{what}: {name}")).with_source(error)
    })
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| {
        StartError::configuration(format!("cannot read the {what} {}", path.display())).with_source(error)
    })
}

/// Whether a file is PEM; PKCS#12 begins with the tag of a SEQUENCE.
fn is_pem(content: &[u8]) -> bool {
    content.first() != Some(&0x30)
}

fn chain_of(pem: &[u8], name: &dyn fmt::Display) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| {
        StartError::configuration(format!("{name} is not a PEM file of certificates")).with_source(error)
    })?;
    if chain.is_empty() {
        return Err(StartError::configuration(format!("{name} contains no PEM certificate")));
    }
    Ok(chain)
}

fn key_of(
    pem: &[u8],
    password: Option<&str>,
    name: &dyn fmt::Display,
) -> Result<PrivateKeyDer<'static>, StartError> {
    if let Some(encrypted) = encrypted_key(pem) {
        let Some(password) = password else {
            let message = format!("the private key {name} is encrypted, and there is no password for it");
            return Err(StartError::configuration(message));
        };
        let failed = |error: &dyn fmt::Display| {
            let message = format!("cannot decrypt the private key {name} (is the password right?): {error}");
            StartError::configuration(message)
        };
        let parsed = EncryptedPrivateKeyInfoRef::try_from(&encrypted[..]).map_err(|error| failed(&error))?;
        let key = parsed.decrypt(password).map_err(|error| failed(&error))?;
        return Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let message =
            format!("{name} contains no private key that can be read (PKCS#8, PKCS#1 or SEC 1 in PEM)");
        StartError::configuration(message).with_source(error)
    })
}

/// The content of an `ENCRYPTED PRIVATE KEY` (RFC 7468, section 11).
fn encrypted_key(pem: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = std::str::from_utf8(pem).ok()?;
    let start = text.find(BEGIN)?;
    let end = start + text[start..].find(END)? + END.len();
    let (_, document) = pkcs8::SecretDocument::from_pem(&text[start..end]).ok()?;
    Some(document.as_bytes().to_vec())
}

fn from_pkcs12(content: &[u8], password: &str, path: &Path) -> Result<ChainAndKey, StartError> {
    let store =
        p12_keystore::KeyStore::from_pkcs12(content, password, p12_keystore::Pkcs12ImportPolicy::Relaxed);
    let store = store.map_err(|error| {
        let message = format!("cannot read {} as PKCS#12 (is the password right?)", path.display());
        StartError::configuration(message).with_source(error)
    })?;
    let Some((_, pair)) = store.private_key_chain() else {
        let message = format!("{} contains no private key with a certificate", path.display());
        return Err(StartError::configuration(message));
    };
    let chain = pair.certs().iter().map(|certificate| certificate.as_der().to_vec().into()).collect();
    Ok((chain, PrivatePkcs8KeyDer::from(pair.key().as_der().to_vec()).into()))
}
