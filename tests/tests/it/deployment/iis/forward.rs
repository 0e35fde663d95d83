//! How the module passes on a request and its answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use server_abstractions::{
    Body, HttpConnectionFeature, HttpRequestFeature, HttpUpgradeFeature, RequestFeatures,
    TlsConnectionFeature, Upgrade,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The application as the module knows it.
pub(super) struct Backend {
    pub(super) port: u16,
    pub(super) token: String,
    pub(super) web_sockets: bool,
    pub(super) limit: Duration,
}

/// Sends a request on; without an answer it is 502.
pub(super) async fn forward(mut request: Request<Body>, to: Arc<Backend>) -> Response<Body> {
    let upgrade = to.upgrade(&request);
    to.edit(&mut request, upgrade.is_some());
    match timeout(to.limit, to.exchange(request)).await {
        Ok(Ok(answer)) => returned(answer, upgrade),
        _ => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

impl Backend {
    /// The connection to the client, if it asks for a WebSocket.
    fn upgrade(&self, request: &Request<Body>) -> Option<Upgrade> {
        let wanted = request.headers().get(UPGRADE)?.as_bytes();
        let is_web_socket = self.web_sockets && wanted.eq_ignore_ascii_case(b"websocket");
        let feature = request.features().get::<dyn HttpUpgradeFeature>()?;
        is_web_socket.then(|| feature.upgrade().expect("an upgrade"))
    }

    /// The fields that the module changes, in its order.
    fn edit(&self, request: &mut Request<Body>, is_web_socket: bool) {
        let features = request.features();
        let connection = features.get::<dyn HttpConnectionFeature>().expect("a connection");
        let client = connection.remote_address().expect("an address");
        let tls = features.get::<dyn TlsConnectionFeature>();
        let certificate = tls.and_then(|tls| tls.client_certificate().map(|own| STANDARD.encode(own.der())));
        let scheme = request.scheme();
        let headers = request.headers_mut();
        let own: Vec<_> =
            headers.keys().filter(|name| name.as_str().starts_with("ms-aspnetcore")).cloned().collect();
        for name in own {
            headers.remove(name);
        }
        set(headers, "ms-aspnetcore-token", &self.token);
        // With the port; an IPv6 address stands in brackets.
        append(headers, "x-forwarded-for", &client.to_string());
        append(headers, "x-forwarded-proto", scheme.as_str());
        if let Some(certificate) = certificate {
            set(headers, "ms-aspnetcore-clientcert", &certificate);
        }
        if is_web_socket {
            headers.remove("sec-websocket-extensions");
        } else {
            headers.remove(CONNECTION);
        }
    }

    async fn exchange(
        &self,
        request: Request<Body>,
    ) -> Result<Response<hyper::body::Incoming>, hyper::Error> {
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("the application listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

/// Puts a value behind those that are there.
fn append(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let before = headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
    let all: Vec<_> = before.chain([value.to_owned()]).collect();
    set(headers, name, &all.join(", "));
}

/// The answer for the client; a WebSocket that was accepted goes on between both.
fn returned(mut answer: Response<hyper::body::Incoming>, upgrade: Option<Upgrade>) -> Response<Body> {
    if let (Some(upgrade), StatusCode::SWITCHING_PROTOCOLS) = (upgrade, answer.status()) {
        let backend = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            let (Ok(mut client), Ok(backend)) = (upgrade.await, backend.await) else { return };
            let _ = tokio::io::copy_bidirectional(&mut client, &mut TokioIo::new(backend)).await;
        });
        return answer.map(|_| Body::empty());
    }
    for name in [TRANSFER_ENCODING, DATE, CONNECTION] {
        answer.headers_mut().remove(name);
    }
    answer.map(Body::new)
}
