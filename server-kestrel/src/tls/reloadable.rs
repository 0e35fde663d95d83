//! A certificate in files that may change while it is used.

use std::fs::Metadata;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use server_abstractions::StartError;
use tokio::time::Instant;

use super::CertificateFile;

/// How often the files are looked at, at the most, and only while there are handshakes.
const INTERVAL: Duration = Duration::from_secs(2);

/// The certificate of new handshakes.
#[derive(Debug)]
pub(super) struct Reloadable {
    file: CertificateFile,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    /// When the files were looked at last, and what they looked like when they were read.
    seen: Mutex<(Instant, Look)>,
    is_looking: AtomicBool,
}

/// What tells one state of the files from the next, also after a rename and behind a symbolic link.
type Look = [Option<(Option<SystemTime>, u64, u64)>; 2];

impl Reloadable {
    pub(super) fn new(file: CertificateFile, provider: &Arc<CryptoProvider>) -> Result<Self, StartError> {
        let (look, certificate) = load(&file, provider);
        let current = ArcSwap::from_pointee(certificate?);
        let seen = Mutex::new((Instant::now(), look));
        Ok(Self { file, provider: Arc::clone(provider), current, seen, is_looking: AtomicBool::new(false) })
    }

    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        self.current.load_full()
    }

    /// Before a handshake: reads the files again if they have changed. Nobody waits for another one's look.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let is_due = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0.elapsed() >= INTERVAL
        };
        if !is_due || self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::clone(self);
        // A file system that does not answer keeps a thread, and the certificate as it is.
        let look = tokio::task::spawn_blocking(move || this.look());
        let _ = tokio::time::timeout(INTERVAL, look).await;
    }

    fn look(&self) {
        let now = look_at(&self.file);
        let is_changed = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0 = Instant::now();
            seen.1 != now
        };
        if is_changed {
            let (look, certificate) = load(&self.file, &self.provider);
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).1 = look;
            match certificate {
                Ok(certificate) => {
                    self.current.store(Arc::new(certificate));
                    tracing::info!(certificate = ?self.file, "a certificate has changed, and is used from now on");
                }
                Err(error) => tracing::error!(
                    certificate = ?self.file,
                    error = &error as &dyn std::error::Error,
                    "a certificate has changed and cannot be used; the last one is used as before"
                ),
            }
        }
        self.is_looking.store(false, Ordering::Release);
    }
}

/// How often files are read again that change while they are read.
const RETRIES: usize = 3;

/// Reads the files, and tells what they looked like before. Whoever replaces a certificate and its key as two files may be
/// at it: what does not fit together is read again as long as the files change.
fn load(file: &CertificateFile, provider: &CryptoProvider) -> (Look, Result<CertifiedKey, StartError>) {
    let mut look = look_at(file);
    let mut certificate = file.load(provider);
    for _ in 0..RETRIES {
        let now = look_at(file);
        if certificate.is_ok() || now == look {
            break;
        }
        look = now;
        certificate = file.load(provider);
    }
    (look, certificate)
}

fn look_at(file: &CertificateFile) -> Look {
    [Some(file.path.as_path()), file.key_path.as_deref()].map(|path| path.and_then(look_at_one))
}

fn look_at_one(path: &Path) -> Option<(Option<SystemTime>, u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok(), metadata.len(), number(&metadata)))
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}
