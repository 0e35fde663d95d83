//! Where a session may go on.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::SecureRandom;
use server_abstractions::StartError;

use crate::tls::client_certificates::Believed;
use crate::tls::crypto::digest;
use crate::tls::policy::Certificates;
use crate::tls::reloadable::Reloadable;

/// Adds up what makes a policy different from others; the same in every process with the same configuration.
pub(in crate::tls) struct Identity {
    digest: digest::Context,
    random: &'static dyn SecureRandom,
}

impl Identity {
    pub(in crate::tls) fn new(random: &'static dyn SecureRandom) -> Self {
        let mut identity = Self { digest: digest::Context::new(&digest::SHA256), random };
        identity.add("server-kestrel sessions", b"1");
        identity
    }

    /// Adds a field: with its lengths, so that no two lists of fields are the same bytes.
    pub(in crate::tls) fn add(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.digest.update(&(part.len() as u64).to_be_bytes());
            self.digest.update(part);
        }
    }

    /// Adds roots, in whatever order they were read.
    pub(in crate::tls) fn add_roots(&mut self, roots: &RootCertStore) {
        let mut anchors: Vec<[&[u8]; 3]> = roots
            .roots
            .iter()
            .map(|root| {
                let constraints = root.name_constraints.as_ref();
                [&root.subject[..], &root.subject_public_key_info, constraints.map_or(&[][..], |der| der)]
            })
            .collect();
        anchors.sort_unstable();
        for field in anchors.iter().flatten() {
            self.add("root", field);
        }
    }

    /// Adds what nobody can compare: the policy is then like no other one, of other processes neither.
    pub(in crate::tls) fn add_code(&mut self) -> Result<(), StartError> {
        let mut unique = [0; 32];
        self.random
            .fill(&mut unique)
            .map_err(|_| StartError::new("the system has no random numbers for TLS sessions"))?;
        self.add("code", &unique);
        Ok(())
    }

    /// The certificate, and what clients' are judged by if it lies in files, are looked up each time, since they may change.
    pub(in crate::tls) fn bind(
        self,
        certificates: Certificates,
        believed: Option<Arc<Reloadable<Believed>>>,
    ) -> Binding {
        let mut policy = [0; 32];
        policy.copy_from_slice(self.digest.finish().as_ref());
        Binding { policy, certificates, believed }
    }
}

/// A policy and its certificate: where a session began, and where alone it may go on.
pub(in crate::tls) struct Binding {
    policy: [u8; 32],
    certificates: Certificates,
    believed: Option<Arc<Reloadable<Believed>>>,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding")
    }
}

impl Binding {
    /// What it is now.
    pub(super) fn now(&self) -> [u8; 32] {
        let mut digest = digest::Context::new(&digest::SHA256);
        digest.update(&self.policy);
        if let Some(own) = self.certificates.known().as_ref().and_then(|known| known.cert.first()) {
            digest.update(own);
        }
        if let Some(believed) = &self.believed {
            digest.update(&believed.current().digest);
        }
        let mut now = [0; 32];
        now.copy_from_slice(digest.finish().as_ref());
        now
    }
}
