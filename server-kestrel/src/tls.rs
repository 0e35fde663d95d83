use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::server::Acceptor;
use server_abstractions::{
    BoxConnectionService, BoxError, BoxFuture, Connection, FeatureCollection, HttpConnectionFeature,
    HttpSchemeFeature, Io, StartError, TlsConnectionFeature, TlsHandshakeFeature,
};
use tokio::sync::Semaphore;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};
use tower_layer::Layer;
use tower_service::Service;

use crate::HttpProtocols;
use crate::connection::{Accepted, given_up};
use crate::end_reason::EndReason;
use crate::observers::HandshakeWatch;

mod certificate;
mod client_certificates;
mod configured_at;
mod crypto;
mod handshake;
mod inspection;
mod options;
mod policy;
mod reloadable;
mod sessions;
mod store;

pub use certificate::{CertificateFile, ServerCertificate};
pub use client_certificates::{
    ClientCertificateMode, ClientCertificateRoots, ClientCertificateValidation, ClientCertificates,
};
pub use configured_at::ConfiguredAt;
pub use options::{CertificateSelector, ClientHello, HttpsOptions, OnClientHello, SniOptions, TlsVersions};
pub use sessions::{SessionOptions, TicketKeys};
pub use store::{FindCertificate, StoredCertificate};

pub(crate) use reloadable::look_again;

use handshake::Handshake;
use policy::Policies;

/// The connection layer that speaks TLS: what comes in is ciphertext, what goes on is plaintext, with the features
/// of the handshake.
///
/// [`Endpoint::https`](crate::Endpoint::https) adds it by itself; it is public for pipelines that need something
/// below it.
#[derive(Clone)]
#[doc(alias = "HttpsConnectionMiddleware")]
pub struct TlsLayer(Arc<Terms>);

/// How handshakes are made.
struct Terms {
    policies: Policies,
    on_client_hello: Option<OnClientHello>,
    timeout: Duration,
    permits: Option<Semaphore>,
}

impl TlsLayer {
    /// Reads the certificates and makes the layer. The protocols are what ALPN offers: `h2`, then `http/1.1`.
    ///
    /// # Errors
    /// When there is no certificate, a file cannot be read, key and certificate do not fit, clients' certificates
    /// cannot be verified, or the keys of session tickets cannot be used.
    pub fn new(options: &HttpsOptions, protocols: HttpProtocols) -> Result<Self, StartError> {
        if options.max_concurrent_handshakes == Some(0) {
            return Err(StartError::configuration("max_concurrent_handshakes is 0; it must be at least 1"));
        }
        options.sessions.check()?;
        if options.handshake_timeout.is_zero() {
            return Err(StartError::configuration("handshake_timeout is 0; it must be more than that"));
        }
        let provider = Arc::new(crypto::provider());
        let policies = match options.on_client_hello {
            Some(_) if options.sessions != SessionOptions::default() => {
                let message = "sessions are configured, and on_client_hello chooses the whole TLS configuration; configure them there";
                return Err(StartError::configuration(message));
            }
            // Nobody asks for them.
            Some(_) => Policies::refusing(&provider)?,
            None => Policies::new(options, protocols, &provider)?,
        };
        Ok(Self(Arc::new(Terms {
            policies,
            on_client_hello: options.on_client_hello.clone(),
            timeout: options.handshake_timeout,
            permits: options
                .max_concurrent_handshakes
                .map(|most| Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
        })))
    }
}

impl fmt::Debug for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLayer").field("handshake_timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TlsLayer
where
    S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Service = Tls;

    fn layer(&self, inner: S) -> Tls {
        Tls { terms: Arc::clone(&self.0), next: BoxConnectionService::new(inner) }
    }
}

/// The service of [`TlsLayer`].
#[derive(Clone)]
pub struct Tls {
    terms: Arc<Terms>,
    next: BoxConnectionService,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("handshake_timeout", &self.terms.timeout).finish_non_exhaustive()
    }
}

impl Service<Connection> for Tls {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: Connection) -> Self::Future {
        let Self { terms, next } = self.clone();
        Box::pin(async move {
            let accepted = connection.features.get::<Accepted>();
            // In a box of its own, which is gone afterwards: its state is large, and the connection may live long.
            let watch = HandshakeWatch::begin(accepted.as_ref(), &connection.features);
            let handshake = Box::pin(accept(terms, connection));
            let shaken = handshake.await;
            if let Some(watch) = watch {
                watch.over_with(&shaken);
            }
            match shaken {
                Ok(Some(connection)) => next.run(connection).await,
                Ok(None) => Ok(()),
                Err(error) => {
                    if let Some(accepted) = accepted {
                        accepted.ends_with(EndReason::TlsHandshakeFailed);
                    }
                    Err(error.into())
                }
            }
        })
    }
}

type TlsIo = TlsStream<Box<dyn Io>>;

/// Shakes hands. `None`: the server stops.
async fn accept(terms: Arc<Terms>, connection: Connection) -> io::Result<Option<Connection>> {
    let Connection { io, mut features } = connection;
    let handshake = tokio::time::timeout(terms.timeout, shake_hands(&terms, io, &features));
    let stream = tokio::select! {
        biased;
        stream = handshake => stream,
        () = given_up(&features) => return Ok(None),
    };
    let stream = stream
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))?
        .map_err(|error| io::Error::new(error.kind(), format!("the TLS handshake failed: {error}")))?;
    let handshake = Arc::new(Handshake::of(stream.get_ref().1)?);
    features.set::<dyn TlsConnectionFeature>(handshake.clone());
    features.set::<dyn HttpSchemeFeature>(handshake.clone());
    features.set::<dyn TlsHandshakeFeature>(handshake);
    Ok(Some(Connection { io: Box::new(stream), features }))
}

async fn shake_hands(terms: &Terms, io: Box<dyn Io>, features: &FeatureCollection) -> io::Result<TlsIo> {
    let _permit = match &terms.permits {
        // It is never closed.
        Some(permits) => permits.acquire().await.ok(),
        None => None,
    };
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    if let Some(choose) = &terms.on_client_hello {
        let config = (choose.0)(hello(&start, features)).await.map_err(io::Error::other)?;
        return start.into_stream(config).await;
    }
    let policy = terms.policies.find(start.client_hello().server_name());
    policy.refresh().await;
    let stream = start.into_stream(Arc::clone(&policy.config)).await?;
    policy.check_resumed(stream.get_ref().1)?;
    Ok(stream)
}

fn hello(start: &StartHandshake<Box<dyn Io>>, features: &FeatureCollection) -> ClientHello {
    let hello = start.client_hello();
    let peer = features.get::<dyn HttpConnectionFeature>();
    ClientHello {
        server_name: hello.server_name().map(str::to_owned),
        application_protocols: hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
        remote_address: peer.and_then(|peer| peer.remote_address()),
    }
}
