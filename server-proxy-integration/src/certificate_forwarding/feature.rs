//! The feature that shows a forwarded certificate.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request};
use server_abstractions::{ClientCertificate, RequestFeatures, TlsConnectionFeature};

use super::CertificateSource;
use super::decode::{Decoded, decode};

/// A certificate as it was sent, decoded when somebody asks for it.
pub(crate) struct ForwardedCertificate {
    source: CertificateSource,
    certificate: HeaderValue,
    chain: Vec<HeaderValue>,
    decoded: OnceLock<Decoded>,
}

impl ForwardedCertificate {
    /// Sets the feature of a request if its field is there and not empty.
    pub(super) fn take<B>(request: &mut Request<B>, source: &CertificateSource) {
        let headers = request.headers();
        let mut fields = headers.get_all(source.header()).iter();
        let Some(certificate) = fields.next().filter(|value| !value.as_bytes().trim_ascii().is_empty())
        else {
            return;
        };
        if fields.next().is_some() {
            tracing::warn!(field = %source.header(), "a request has several client certificates of its own; none is taken");
            // Not the one of the connection either, which is the proxy's.
            Self::set(request, source.clone(), HeaderValue::from_static(""), Vec::new());
            return;
        }
        let chain = source.chain_header().map(|name| headers.get_all(name).iter().cloned().collect());
        let (certificate, chain) = (certificate.clone(), chain.unwrap_or_default());
        Self::set(request, source.clone(), certificate, chain);
    }

    /// Sets the feature of a request to a certificate.
    pub(crate) fn set<B>(
        request: &mut Request<B>,
        source: CertificateSource,
        certificate: HeaderValue,
        chain: Vec<HeaderValue>,
    ) {
        let feature = Self { source, certificate, chain, decoded: OnceLock::new() };
        request.features_mut().set::<dyn TlsConnectionFeature>(Arc::new(feature));
    }

    fn decoded(&self) -> &Decoded {
        self.decoded.get_or_init(|| {
            let value = self.certificate.as_bytes();
            if value.is_empty() {
                return Decoded::default();
            }
            decode(&self.source, value, &self.chain).unwrap_or_else(|reason| {
                tracing::warn!(field = %self.source.header(), reason, "a forwarded client certificate cannot be read; there is none");
                Decoded::default()
            })
        })
    }
}

impl TlsConnectionFeature for ForwardedCertificate {
    fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.decoded().certificate.as_ref()
    }

    fn client_certificate_chain(&self) -> &[Vec<u8>] {
        &self.decoded().chain
    }
}
