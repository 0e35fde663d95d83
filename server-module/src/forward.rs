//! Forwards a request to a process and brings its answer back.

mod body;
mod request;
mod response;
mod upgrade;
mod watched;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use hosting::header::HeaderName;
use hosting::http::uri::Scheme;
use hosting::server_abstractions::{HttpConnectionFeature, TlsConnectionFeature};
use hosting::{Body, HttpRequestFeature, Method, Request, RequestFeatures, Response, StatusCode};

use crate::ApplicationOptions;
use crate::backend::{Answer, Backend, Fault, InFlight, Progress, SendError, Sending, Upstream};
use crate::pages;

pub(crate) use request::stays_here;
pub(crate) use response::{KEEP_ALIVE, PROXY_CONNECTION};

/// The name of the field with the pairing token.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("ms-aspnetcore-token");
/// The name of the field that asks the process to stop.
pub(crate) const EVENT: HeaderName = HeaderName::from_static("ms-aspnetcore-event");

/// A request in the process that it was given to.
pub(crate) struct Exchange {
    pub(crate) backend: Arc<Backend>,
    pub(crate) in_flight: InFlight,
}

/// What is answered when no process takes a connection.
pub(crate) fn no_connection(options: &ApplicationOptions, error: &std::io::Error) -> Response<Body> {
    tracing::warn!(application = options.name, %error, "the application takes no connection; the answer is 502");
    pages::bad_gateway()
}

/// Who has sent a request, as the connection says.
struct Client {
    address: Option<SocketAddr>,
    is_https: bool,
    /// The client's certificate in DER.
    certificate: Option<Vec<u8>>,
}

impl Client {
    fn of(request: &Request<Body>) -> Self {
        let features = request.features();
        let connection = features.get::<dyn HttpConnectionFeature>();
        let is_https = request.scheme() == Scheme::HTTPS;
        let certificate = || {
            let tls = features.get::<dyn TlsConnectionFeature>()?;
            tls.client_certificate().map(|certificate| certificate.der().to_vec())
        };
        Self {
            address: connection.and_then(|connection| connection.remote_address()),
            is_https,
            certificate: is_https.then(certificate).flatten(),
        }
    }
}

impl Exchange {
    /// Forwards a request by a connection.
    pub(crate) async fn run(
        self,
        options: &ApplicationOptions,
        upstream: Box<Upstream>,
        request: &mut Request<Body>,
    ) -> Response<Body> {
        let upgrade = upgrade::Wanted::of(request);
        if *request.method() == Method::CONNECT && upgrade.is_none() {
            return pages::no_tunnel();
        }
        let (request, progress) = self.encode(request, upgrade.as_ref());
        match self.send(upstream, request, progress).await {
            Ok((answer, upstream)) => self.answer(options, answer, upstream, upgrade),
            Err(failure) => {
                tracing::warn!(
                    application = options.name, pid = self.backend.pid(), reason = %failure,
                    "a request could not be forwarded; the answer is 502"
                );
                pages::bad_gateway()
            }
        }
    }

    fn encode(
        &self,
        request: &mut Request<Body>,
        upgrade: Option<&upgrade::Wanted>,
    ) -> (Box<Sending>, Option<Progress>) {
        let client = Client::of(request);
        let added = request::edit(request, &client, self.backend.token(), upgrade);
        let (body, progress) = Progress::watch(std::mem::take(request.body_mut()));
        (Sending::new(request, body, &added), progress)
    }

    async fn send(
        &self,
        mut upstream: Box<Upstream>,
        request: Box<Sending>,
        progress: Option<Progress>,
    ) -> Result<(Answer, Box<Upstream>), Failure> {
        match upstream.send(request, progress.clone()).await {
            Ok(answer) => Ok((answer, upstream)),
            // The process has ended the connection while it waited, and has seen nothing of the request.
            Err(SendError::NotSent(request)) => Box::pin(self.send_anew(request, progress)).await,
            Err(error) => Err(Failure::Exchange(error)),
        }
    }

    async fn send_anew(
        &self,
        request: Box<Sending>,
        progress: Option<Progress>,
    ) -> Result<(Answer, Box<Upstream>), Failure> {
        let mut upstream = self.backend.pool().connect().await.map_err(Failure::Connect)?;
        let answer = upstream.send(request, progress).await.map_err(Failure::Exchange)?;
        Ok((answer, upstream))
    }

    fn answer(
        self,
        options: &ApplicationOptions,
        answer: Answer,
        upstream: Box<Upstream>,
        upgrade: Option<upgrade::Wanted>,
    ) -> Response<Body> {
        let mut parts = answer.parts;
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return match upgrade {
                Some(upgrade) => upgrade.relay(parts, upstream, self.in_flight),
                None => pages::bad_gateway(),
            };
        }
        if upgrade.is_some_and(|upgrade| upgrade.is_refused_by(parts.status)) {
            return pages::bad_gateway();
        }
        response::edit(&mut parts, answer.is_plain, &options.settings.handler_settings);
        let body = body::Relayed::new(upstream, self).at_hand_if_over();
        Response::from_parts(parts, body)
    }
}

/// Why a request could not be forwarded.
enum Failure {
    Connect(std::io::Error),
    Exchange(SendError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "the process takes no connection: {error}"),
            Self::Exchange(SendError::Failed(fault)) => fault.fmt(f),
            Self::Exchange(SendError::TooLate) => {
                f.write_str("nothing has come within the time (requestTimeout)")
            }
            Self::Exchange(SendError::NotSent(_)) => Fault::Ended.fmt(f),
        }
    }
}
