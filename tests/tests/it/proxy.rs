//! The layers for applications behind a proxy: whom they believe, and what a request is like behind them.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Request, Response as HttpResponse, Uri};
use server_abstractions::{
    App, Body, Connection, FeatureCollection, HttpConnectionFeature, HttpRequestFeature, Next,
    RequestFeatures, from_fn,
};
use server_proxy_integration::{ForwardedHeadersLayer, ForwardedHeadersOptions};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower_layer::Layer;

use crate::support::{Client, Memory, Response, collect};

mod certificate;
mod forwarded;
mod forwarded_headers;
mod forwarded_hosts;
mod host_filtering;
mod hosted;
mod iis;
mod path_base;
mod properties;
mod servers;
mod told;
mod trust;

/// What an application sees of a request.
pub(crate) struct Seen {
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) scheme: String,
    pub(crate) path_base: String,
    pub(crate) path: String,
    pub(crate) raw_target: String,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) features: FeatureCollection,
}

impl Seen {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            remote: request.context().remote_address(),
            scheme: request.scheme().as_str().to_owned(),
            path_base: request.path_base(),
            path: request.path().into_owned(),
            raw_target: request.raw_target(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            features: request.features().clone(),
        }
    }

    /// The lines of a field, joined; none if there is none.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> =
            self.headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }
}

struct PeerAt(Option<SocketAddr>);

impl HttpConnectionFeature for PeerAt {
    fn connection_id(&self) -> &str {
        "PEER"
    }

    fn local_address(&self) -> Option<SocketAddr> {
        None
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        self.0
    }
}

/// A server in memory, whose connections come from a peer of choice, with an application that shows what it sees.
pub(crate) struct Probe {
    server: Memory,
    seen: UnboundedReceiver<Seen>,
}

impl Probe {
    /// `surround` puts the layers around the application. The peer is an address, or empty if it has none.
    pub(crate) async fn start(peer: &str, surround: impl FnOnce(App) -> App) -> Self {
        let peer = (!peer.is_empty()).then(|| parse_peer(peer));
        let (send, seen) = unbounded_channel();
        let show = move |request: Request<Body>| {
            let _ = send.send(Seen::of(&request));
            async { HttpResponse::new(Body::from("seen")) }
        };
        let layer = from_fn(move |mut connection: Connection, next: Next| {
            connection.features.set::<dyn HttpConnectionFeature>(Arc::new(PeerAt(peer)));
            async move { next.run(connection).await }
        });
        let app = surround(App::new(show));
        Self { server: Memory::start_endpoint(|endpoint| endpoint.layer(layer), app).await, seen }
    }

    pub(crate) async fn forwarded(peer: &str, options: &ForwardedHeadersOptions) -> Self {
        let layer = ForwardedHeadersLayer::new(options).unwrap();
        Self::start(peer, |app| App::new(layer.layer(app))).await
    }

    pub(crate) async fn client(&self) -> Client {
        self.server.client().await
    }

    /// Sends a request with these fields, the Host among them, and shows the answer.
    pub(crate) async fn send(&self, line: &str, fields: &[(&str, &str)]) -> Response {
        let fields =
            fields.iter().fold(String::new(), |all, (name, value)| format!("{all}{name}: {value}\r\n"));
        self.client().await.exchange(&format!("{line} HTTP/1.1\r\n{fields}\r\n")).await
    }

    /// Gets `/` from host `a` with these fields too, and shows what the application has seen.
    pub(crate) async fn get(&mut self, fields: &[(&str, &str)]) -> Seen {
        let fields: Vec<_> = [("Host", "a")].iter().chain(fields).copied().collect();
        assert_eq!(self.send("GET /", &fields).await.status, 200, "{fields:?}");
        self.take().expect("the application has seen the request")
    }

    /// The same over HTTP/2.
    pub(crate) async fn get_http2(&mut self, fields: &[(&str, &str)]) -> Seen {
        let client = self.server.http2().await;
        let request = fields
            .iter()
            .fold(Request::get("http://a/"), |request, (name, value)| request.header(*name, *value));
        let (answer, _) = client.send(request.body(()).unwrap(), true).await;
        assert_eq!(collect(answer).await.unwrap().status, 200);
        self.take().expect("the application has seen the request")
    }

    /// What the application has seen and nobody has asked for yet.
    pub(crate) fn take(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }
}

/// An address, with or without a port.
pub(crate) fn parse_peer(peer: &str) -> SocketAddr {
    peer.parse().unwrap_or_else(|_| SocketAddr::new(peer.parse().unwrap(), 99))
}
