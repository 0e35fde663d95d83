use std::task::{Context, Poll};

use http::Request;
use server_abstractions::{
    HttpMinRequestBodyDataRateFeature, HttpMinResponseDataRateFeature, MinDataRate, RequestFeatures,
};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that says how slow a peer may be with the requests behind it, in place of what the server says.
///
/// For streams on which nothing happens for a long time, such as uploads by hand or calls of gRPC. (With the cargo
/// feature `tonic` those have no minimum without this layer.)
///
/// ```
/// use hosting::{ApplicationBuilder, Body, MinDataRates, Request, Response};
///
/// let slow = async |_: Request<Body>| Response::new(Body::from("take your time"));
/// let app = ApplicationBuilder::new().layer(MinDataRates::off()).build(slow);
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinDataRates {
    /// How slowly a request body may come in; `None` is as slowly as it likes, which is the default.
    pub request_body: Option<MinDataRate>,
    /// How slowly the response may be taken; `None` is as slowly as the peer likes, which is the default.
    pub response: Option<MinDataRate>,
}

impl MinDataRates {
    /// No minimum in either direction.
    pub fn off() -> Self {
        Self::default()
    }

    /// Sets the rates of a request. Without a server that knows of them, nothing happens.
    pub fn apply<B>(&self, request: &Request<B>) {
        let features = request.features();
        if let Some(feature) = features.get::<dyn HttpMinRequestBodyDataRateFeature>() {
            feature.set_min_data_rate(self.request_body);
        }
        if let Some(feature) = features.get::<dyn HttpMinResponseDataRateFeature>() {
            feature.set_min_data_rate(self.response);
        }
    }
}

impl<S> Layer<S> for MinDataRates {
    type Service = WithMinDataRates<S>;

    fn layer(&self, inner: S) -> WithMinDataRates<S> {
        WithMinDataRates { rates: *self, inner }
    }
}

/// The service of [`MinDataRates`].
#[derive(Clone, Copy, Debug)]
pub struct WithMinDataRates<S> {
    rates: MinDataRates,
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithMinDataRates<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.rates.apply(&request);
        self.inner.call(request)
    }
}
