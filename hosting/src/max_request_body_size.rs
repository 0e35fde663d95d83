use std::task::{Context, Poll};

use http::Request;
use server_abstractions::{HttpMaxRequestBodySizeFeature, RequestFeatures};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that says how large the bodies of the requests behind it may be, in bytes, in place of what the server says;
/// `None` is as large as they like.
///
/// ```
/// use hosting::{ApplicationBuilder, Body, MaxRequestBodySize, Request, Response};
///
/// let upload = async |_: Request<Body>| Response::new(Body::from("thank you"));
/// let app = ApplicationBuilder::new().layer(MaxRequestBodySize(Some(100_000_000))).build(upload);
/// # let _ = app;
/// ```
///
/// A layer above it that has begun to read the body has fixed the size. axum's extractors stop at 2 MB by themselves:
/// `DefaultBodyLimit` changes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "RequestSizeLimitAttribute")]
pub struct MaxRequestBodySize(pub Option<u64>);

impl<S> Layer<S> for MaxRequestBodySize {
    type Service = WithMaxRequestBodySize<S>;

    fn layer(&self, inner: S) -> WithMaxRequestBodySize<S> {
        WithMaxRequestBodySize { size: *self, inner }
    }
}

/// The service of [`MaxRequestBodySize`].
#[derive(Clone, Copy, Debug)]
pub struct WithMaxRequestBodySize<S> {
    size: MaxRequestBodySize,
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithMaxRequestBodySize<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(feature) = request.features().get::<dyn HttpMaxRequestBodySizeFeature>()
            && feature.set_max_request_body_size(self.size.0).is_err()
        {
            tracing::warn!("the size of a body cannot be changed any more: its reading has begun");
        }
        self.inner.call(request)
    }
}
