//! Roots and revocation lists in files that may change while they are used.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use server_abstractions::StartError;

use super::{ClientCertificateRoots, ClientCertificates};
use crate::tls::crypto::digest;
use crate::tls::reloadable::{Look, Reloadable, Source, Stamp};

/// What clients' certificates are judged by now.
#[derive(Debug)]
pub(in crate::tls) struct Believed {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Of roots and lists.
    pub(in crate::tls) digest: [u8; 32],
}

/// The files, and what is made of them.
struct Files {
    clients: ClientCertificates,
    provider: Arc<CryptoProvider>,
    hints: Arc<Hints>,
}

impl Files {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let roots = match &self.clients.roots {
            ClientCertificateRoots::File(path) => Some(path.as_path()),
            _ => None,
        };
        roots.into_iter().chain(self.clients.revocation_lists.iter().map(|path| path.as_path()))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, path) in self.paths().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, path.display())?;
        }
        Ok(())
    }
}

impl Source<Believed> for Files {
    fn what(&self) -> &'static str {
        "what clients' certificates are judged by"
    }

    fn look(&self) -> Look {
        self.paths().map(Stamp::of).collect()
    }

    fn load(&self) -> Result<Believed, StartError> {
        let (roots, lists) = (self.clients.root_store()?, self.clients.lists()?);
        let digest = digest_of(&roots, &lists);
        let verifier = self.clients.by_roots(roots, lists, &self.provider)?;
        self.hints.tell(verifier.root_hint_subjects());
        Ok(Believed { verifier, digest })
    }

    fn is_same(&self, one: &Believed, other: &Believed) -> bool {
        one.digest == other.digest
    }
}

/// The same for the same roots and lists, in whatever order the roots were read.
fn digest_of(roots: &RootCertStore, lists: &[CertificateRevocationListDer<'_>]) -> [u8; 32] {
    let mut anchors: Vec<[&[u8]; 3]> = roots
        .roots
        .iter()
        .map(|root| {
            let constraints = root.name_constraints.as_ref();
            [&root.subject[..], &root.subject_public_key_info, constraints.map_or(&[][..], |der| der)]
        })
        .collect();
    anchors.sort_unstable();
    let mut context = digest::Context::new(&digest::SHA256);
    for part in anchors.iter().flatten().copied().chain(lists.iter().map(|list| &list[..])) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The names of the roots, which clients are told so that they can choose a certificate. rustls borrows them from the
/// verifier, so those that were told before stay.
struct Hints {
    told: Box<[OnceLock<Vec<DistinguishedName>>]>,
    current: AtomicUsize,
}

/// How often the names of the roots may change. After that clients are told none, which means any (RFC 8446, section
/// 4.2.4).
const MAX_CHANGES: usize = 64;

impl Hints {
    fn new() -> Self {
        let told = std::iter::repeat_with(OnceLock::new).take(MAX_CHANGES).collect();
        Self { told, current: AtomicUsize::new(0) }
    }

    fn now(&self) -> &[DistinguishedName] {
        let current = self.told.get(self.current.load(Ordering::Acquire));
        current.and_then(OnceLock::get).map_or(&[], Vec::as_slice)
    }

    /// One at a time: files are read by one who holds the right to.
    fn tell(&self, names: &[DistinguishedName]) {
        let bytes = |name: &DistinguishedName| name.as_ref().to_vec();
        if self.now().iter().map(bytes).eq(names.iter().map(bytes)) {
            return;
        }
        let current = self.current.load(Ordering::Acquire);
        let next = if self.now().is_empty() && current == 0 { 0 } else { current.saturating_add(1) };
        if let Some(place) = self.told.get(next) {
            let _ = place.set(names.to_vec());
        }
        self.current.store(next.min(MAX_CHANGES), Ordering::Release);
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hints")
    }
}

/// Verifies by what is believed now.
#[derive(Debug)]
pub(super) struct Current {
    believed: Arc<Reloadable<Believed>>,
    hints: Arc<Hints>,
}

impl Current {
    /// Reads the files; there is at least one.
    pub(super) fn new(
        clients: &ClientCertificates,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, StartError> {
        let hints = Arc::new(Hints::new());
        let files =
            Files { clients: clients.clone(), provider: Arc::clone(provider), hints: Arc::clone(&hints) };
        Ok(Self { believed: Reloadable::new(files)?, hints })
    }

    pub(super) fn believed(&self) -> Arc<Reloadable<Believed>> {
        Arc::clone(&self.believed)
    }

    fn now(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.believed.current().verifier)
    }
}

impl ClientCertVerifier for Current {
    fn client_auth_mandatory(&self) -> bool {
        self.now().client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.hints.now()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.now().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now().supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_the_roots_of_now_and_after_many_changes_none() {
        let hints = Hints::new();
        let name = |number: usize| vec![DistinguishedName::in_sequence(&number.to_be_bytes())];
        let bytes =
            |names: &[DistinguishedName]| names.iter().map(|name| name.as_ref().to_vec()).collect::<Vec<_>>();
        assert!(hints.now().is_empty());
        for number in 0..MAX_CHANGES {
            // The same names again are no change.
            hints.tell(&name(number));
            hints.tell(&name(number));
            assert_eq!(bytes(hints.now()), bytes(&name(number)));
        }
        hints.tell(&name(MAX_CHANGES));
        assert!(hints.now().is_empty());
        hints.tell(&name(0));
        assert!(hints.now().is_empty());
    }
}
