use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use server_abstractions::StartError;

use super::configured_at::ConfiguredAt;
use super::reloadable::Reloadable;
use super::sessions::Identity;

mod believed;

pub(super) use believed::Believed;

use believed::Current;

/// Whether clients are asked for a certificate, and which ones are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether clients are asked. Default is not.
    pub mode: ClientCertificateMode,
    /// Who may have issued them. Default are the roots of the system.
    pub roots: ClientCertificateRoots,
    /// Files of revoked certificates (CRL, in PEM or DER), of the whole chain: with any, a certificate for whose issuer
    /// there is no list is not believed. A list whose next update is due is used nevertheless. Default is none: nothing
    /// is looked up.
    ///
    /// A file that changes, and so that of the [roots](ClientCertificateRoots::File), is read again, and new handshakes use
    /// it within five seconds; one that cannot be used is told by an event, and the last ones are used as before. No
    /// session of before goes on then, so that whoever has been revoked meanwhile has to show the certificate again.
    /// Connections that are there are not ended; [`max_connection_age`](crate::Limits::max_connection_age) bounds them.
    pub revocation_lists: Vec<PathBuf>,
    /// Where the roots were configured. Default is nowhere.
    pub roots_configured_at: ConfiguredAt,
    /// Where the lists were configured. Default is nowhere.
    pub revocation_lists_configured_at: ConfiguredAt,
    /// Judges in place of roots and lists. Default is none.
    pub validation: Option<ClientCertificateValidation>,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificateMode {
    /// They are not.
    #[default]
    #[doc(alias = "NoCertificate")]
    None,
    /// They are, and may have none; a certificate that is not believed ends the handshake.
    #[doc(alias = "AllowCertificate")]
    Allow,
    /// They are, and without one the handshake fails.
    #[doc(alias = "RequireCertificate")]
    Require,
}

/// Whom a server believes about its clients.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ClientCertificateRoots {
    /// Those whom the system trusts.
    #[default]
    System,
    /// The certificates of a PEM file. A file that changes is read again, as revocation lists are.
    File(PathBuf),
    /// These.
    Store(Arc<RootCertStore>),
}

impl fmt::Debug for ClientCertificateRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Store(_) => f.write_str("Store"),
        }
    }
}

impl PartialEq for ClientCertificateRoots {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::System, Self::System) => true,
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Store(one), Self::Store(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for ClientCertificateRoots {}

type Judge = dyn Fn(&[CertificateDer<'_>]) -> bool + Send + Sync;

/// A function that judges the certificates of clients: the client's own first, then those that it sent with it. That
/// the client has the private key is known by then; everything else, validity and issuer included, is the function's
/// to judge.
#[derive(Clone)]
pub struct ClientCertificateValidation(Arc<Judge>);

impl ClientCertificateValidation {
    /// Believes those for which the function returns true.
    pub fn new(judge: impl Fn(&[CertificateDer<'_>]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// Believes every certificate. For those who judge in the handler.
    #[doc(alias = "AllowAnyClientCertificate")]
    pub fn any() -> Self {
        Self::new(|_| true)
    }
}

impl fmt::Debug for ClientCertificateValidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificateValidation")
    }
}

impl PartialEq for ClientCertificateValidation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientCertificateValidation {}

type Verifier = (Arc<dyn ClientCertVerifier>, Option<Arc<Reloadable<Believed>>>);

impl ClientCertificates {
    /// Who verifies, if anybody does; and what that one believes, if it may change. What does not change is added to the
    /// identity of the policy.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        identity: &mut Identity,
    ) -> Result<Option<Verifier>, StartError> {
        identity.add("clients", format!("{:?}", self.mode).as_bytes());
        if self.mode == ClientCertificateMode::None {
            return Ok(None);
        }
        if let Some(validation) = &self.validation {
            identity.add_code()?;
            let judged = Judged {
                validation: validation.clone(),
                is_mandatory: self.mode == ClientCertificateMode::Require,
                algorithms: provider.signature_verification_algorithms,
            };
            return Ok(Some((Arc::new(judged), None)));
        }
        if matches!(self.roots, ClientCertificateRoots::File(_)) || !self.revocation_lists.is_empty() {
            let current = Current::new(self, provider)?;
            let believed = current.believed();
            return Ok(Some((Arc::new(current), Some(believed))));
        }
        let roots = self.root_store()?;
        identity.add_roots(&roots);
        Ok(Some((self.by_roots(roots, Vec::new(), provider)?, None)))
    }

    fn by_roots(
        &self,
        roots: Arc<RootCertStore>,
        lists: Vec<CertificateRevocationListDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, StartError> {
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).with_crls(lists);
        if self.mode == ClientCertificateMode::Allow {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| {
            let message = format!("clients' certificates cannot be verified by the roots {:?}", self.roots);
            self.roots_configured_at.blame(StartError::configuration(message).with_source(error))
        })
    }

    fn root_store(&self) -> Result<Arc<RootCertStore>, StartError> {
        self.read_roots().map_err(|error| self.roots_configured_at.blame(error))
    }

    fn lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, StartError> {
        self.read_lists().map_err(|error| self.revocation_lists_configured_at.blame(error))
    }

    fn read_roots(&self) -> Result<Arc<RootCertStore>, StartError> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            ClientCertificateRoots::Store(store) => return Ok(Arc::clone(store)),
            ClientCertificateRoots::System => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            ClientCertificateRoots::File(path) => {
                let failed = |error: &dyn fmt::Display| {
                    let message =
                        format!("cannot read the roots of clients' certificates {}: {error}", path.display());
                    StartError::configuration(message)
                };
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
                    store
                        .add(certificate.map_err(|error| failed(&error))?)
                        .map_err(|error| failed(&error))?;
                }
            }
        }
        if store.is_empty() {
            let message = format!("there are no roots to believe clients' certificates by: {:?}", self.roots);
            return Err(StartError::configuration(message));
        }
        Ok(Arc::new(store))
    }

    fn read_lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, StartError> {
        let mut lists = Vec::new();
        for path in &self.revocation_lists {
            let failed = |error: &dyn fmt::Display| {
                let message = format!("cannot read the revocation list {}: {error}", path.display());
                StartError::configuration(message)
            };
            let content = std::fs::read(path).map_err(|error| failed(&error))?;
            if content.first() == Some(&0x30) {
                lists.push(content.into());
                continue;
            }
            let before = lists.len();
            for list in CertificateRevocationListDer::pem_slice_iter(&content) {
                lists.push(list.map_err(|error| failed(&error))?);
            }
            if lists.len() == before {
                return Err(failed(&"there is none in it"));
            }
        }
        Ok(lists)
    }
}

/// Leaves it to a function.
#[derive(Debug)]
struct Judged {
    validation: ClientCertificateValidation,
    is_mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Judged {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let mut chain = vec![end_entity.clone()];
        chain.extend(intermediates.iter().cloned());
        if (self.validation.0)(&chain) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
