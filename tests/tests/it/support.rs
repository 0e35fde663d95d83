//! What the tests of every subject use: servers of one line, a client that shows the bytes, certificates, TLS.
//!
//! Nothing here knows what is right; it only sends and shows. Every wait has a bound: [`SOON`].

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response as HttpResponse};
use http_body_util::{BodyExt, LengthLimitError};
use server_abstractions::{
    Address, AddressTarget, App, Body, ConnectionObserver, FeatureCollection, HttpRequestLifetimeFeature,
    IntoService, RequestFeatures, Running, Server,
};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions, MemoryConnector, memory};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

mod authority;
mod body;
mod client;
mod http2;
mod tls;

pub(crate) use authority::{Authority, Issued};
pub(crate) use body::{channel, data, endless, frames, trailers};
pub(crate) use client::{Client, Response};
pub(crate) use http2::{
    END, GOAWAY, HEADERS, Http2, PREFACE, RST_STREAM, SETTINGS, collect, frame, header_block, read_to_end,
};
pub(crate) use tls::{Certificate, client_config, client_config_of, connect_tls, connect_tls_to};

/// More than anything takes here that does not hang.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Waits, but not for ever: after `limit` the test fails and names the line that waited.
#[track_caller]
pub(crate) fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: not done within {limit:?}"),
        }
    }
}

/// [`within`] the time that nothing here should need.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    within(SOON, future)
}

/// Starts a server.
pub(crate) async fn start<M>(options: KestrelOptions, app: impl IntoService<M>) -> Running {
    start_observed(options, [], app).await
}

/// Starts a server whose connections are observed.
pub(crate) async fn start_observed<M>(
    options: KestrelOptions,
    observers: impl IntoIterator<Item = Arc<dyn ConnectionObserver>>,
    app: impl IntoService<M>,
) -> Running {
    let server = observers.into_iter().fold(Kestrel::new(options), Kestrel::observer);
    soon(Box::new(server).start(App::new(app))).await.expect("the server starts")
}

/// Options with these endpoints and nothing else.
pub(crate) fn options(endpoints: impl IntoIterator<Item = Endpoint>) -> KestrelOptions {
    KestrelOptions { endpoints: endpoints.into_iter().collect(), ..KestrelOptions::default() }
}

/// An endpoint on a port of 127.0.0.1 that the system chooses.
pub(crate) fn loopback() -> Endpoint {
    Endpoint::tcp((Ipv4Addr::LOCALHOST, 0).into())
}

/// The socket address of an endpoint that runs.
pub(crate) fn socket_address(address: &Address) -> SocketAddr {
    match address.target() {
        AddressTarget::Ip(address) => *address,
        other => panic!("no IP address: {other:?}"),
    }
}

/// A server on a port of 127.0.0.1, and that port.
pub(crate) async fn start_on_tcp<M>(app: impl IntoService<M>) -> (Running, SocketAddr) {
    let running = start(options([loopback()]), app).await;
    let address = socket_address(&running.addresses()[0]);
    (running, address)
}

/// Peers may be as slow as they like.
pub(crate) fn without_rates(options: &mut KestrelOptions) {
    options.limits.min_request_body_data_rate = None;
    options.limits.min_response_data_rate = None;
}

/// A server in memory.
pub(crate) struct Memory {
    pub(crate) running: Running,
    pub(crate) connector: MemoryConnector,
}

impl Memory {
    pub(crate) async fn start<M>(app: impl IntoService<M>) -> Self {
        Self::start_with(|_| (), app).await
    }

    /// With the options changed; the first endpoint is the one in memory.
    pub(crate) async fn start_with<M>(
        change: impl FnOnce(&mut KestrelOptions),
        app: impl IntoService<M>,
    ) -> Self {
        Self::start_observed(change, [], app).await
    }

    /// With observers of the connections as well.
    pub(crate) async fn start_observed<M>(
        change: impl FnOnce(&mut KestrelOptions),
        observers: impl IntoIterator<Item = Arc<dyn ConnectionObserver>>,
        app: impl IntoService<M>,
    ) -> Self {
        let (listener, connector) = memory();
        let mut options = options([Endpoint::listener(listener)]);
        change(&mut options);
        Self { running: start_observed(options, observers, app).await, connector }
    }

    /// With the endpoint changed.
    pub(crate) async fn start_endpoint<M>(
        change: impl FnOnce(Endpoint) -> Endpoint,
        app: impl IntoService<M>,
    ) -> Self {
        let change = |options: &mut KestrelOptions| {
            let endpoint = options.endpoints.remove(0);
            options.endpoints.insert(0, change(endpoint));
        };
        Self::start_with(change, app).await
    }

    /// A connection that speaks bytes.
    pub(crate) async fn client(&self) -> Client {
        Client::new(soon(self.connector.connect()).await.expect("the server listens"))
    }

    /// A connection that speaks HTTP/2.
    pub(crate) async fn http2(&self) -> Http2 {
        Http2::new(soon(self.connector.connect()).await.expect("the server listens")).await
    }
}

/// An app that says hello.
pub(crate) async fn hello(_: Request<Body>) -> HttpResponse<Body> {
    HttpResponse::new(Body::from("Hello, World!"))
}

/// An app that sends back the body as it comes, trailers too.
pub(crate) async fn echo(request: Request<Body>) -> HttpResponse<Body> {
    HttpResponse::new(request.into_body())
}

/// An app that reads the body to its end and says its length, or what went wrong.
pub(crate) async fn count(request: Request<Body>) -> HttpResponse<Body> {
    match request.into_body().collect().await {
        Ok(body) => HttpResponse::new(Body::from(body.to_bytes().len().to_string())),
        Err(error) => status(if error.is::<LengthLimitError>() { 418 } else { 500 }),
    }
}

/// A response without a body.
pub(crate) fn status(status: u16) -> HttpResponse<Body> {
    HttpResponse::builder().status(status).body(Body::empty()).expect("a response")
}

/// Waits until something is so, letting everybody else run.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    soon(async move {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
}

/// Lets all other tasks run until they wait, in memory at least.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// An app that tells of each request and then waits for the test: what to answer, or to be dropped.
pub(crate) fn manual() -> (App, UnboundedReceiver<Call>) {
    let (send, calls) = unbounded_channel();
    let app = move |request: Request<Body>| {
        let (answer, answered) = oneshot::channel();
        let features = request.features().clone();
        let aborted = features.get::<dyn HttpRequestLifetimeFeature>().map(|feature| feature.aborted());
        let _ = send.send(Call { features, aborted: aborted.unwrap_or_default(), answer });
        async move { answered.await.unwrap_or_else(|_| status(500)) }
    };
    (App::new(app), calls)
}

/// A request that waits for its answer.
pub(crate) struct Call {
    pub(crate) features: FeatureCollection,
    pub(crate) aborted: CancellationToken,
    answer: oneshot::Sender<HttpResponse<Body>>,
}

impl Call {
    pub(crate) fn answer(self, response: HttpResponse<Body>) {
        assert!(self.answer.send(response).is_ok(), "nobody waits for the answer any more");
    }

    /// Waits until the handler has been dropped.
    pub(crate) async fn dropped(&mut self) {
        soon(self.dropped_whenever()).await;
    }

    /// Waits until the handler has been dropped, without a bound on the wait.
    pub(crate) async fn dropped_whenever(&mut self) {
        self.answer.closed().await;
    }
}
