//! Ids of requests, for who asks about one.

#[cfg(feature = "kestrel")]
pub(crate) mod section;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use server_abstractions::{HttpRequestIdentifierFeature, RequestFeatures};
use tower_layer::Layer;
use tower_service::Service;

use crate::traces::random;
use crate::{Believed, TraceContext};

/// The id of a request: in its extensions, behind a [`RequestIdLayer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// As many bytes as an id from outside may have.
const MOST_BYTES: usize = 128;

impl RequestId {
    /// The id: at most 128 visible characters of ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// An id that came from outside, if it is one.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let is_id = (1..=MOST_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        is_id.then(|| Self(value.clone()))
    }

    fn of_text(text: &str) -> Option<Self> {
        Self::parse(&HeaderValue::from_str(text).ok()?)
    }

    fn new() -> Self {
        let text = format!("{:016x}{:016x}", random(), random());
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0")))
    }
}

impl HttpRequestIdentifierFeature for RequestId {
    fn trace_identifier(&self) -> String {
        self.as_str().to_owned()
    }
}

/// What a [`RequestIdLayer`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIdOptions {
    /// The field of requests and responses. Default is `x-request-id`.
    pub header: HeaderName,
    /// Whose ids are taken. Those of others are replaced, and so are those that are malformed: more than 128 bytes, or
    /// anything but visible ASCII, or more than one. Default is nobody's.
    pub incoming: Believed,
}

impl Default for RequestIdOptions {
    fn default() -> Self {
        Self { header: HeaderName::from_static("x-request-id"), incoming: Believed::Nobody }
    }
}

/// A layer that tells the id of each request in the response, so that whoever complains can say which request it was.
///
/// The id is the one that the request brought, if that may be believed; else what the server calls the request
/// ([`HttpRequestIdentifierFeature`]), else the id of its trace, else a random one. The application finds it as a
/// [`RequestId`] in the extensions and in the field of the request, and logs find it by the feature. A field that the
/// application set itself in the response stays.
///
/// ```
/// use hosting::{ApplicationBuilder, Body, Request, RequestIdLayer, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let hello = async |_: Request<Body>| Response::new(Body::from("Hello"));
/// let app = ApplicationBuilder::new().layer(RequestIdLayer::default()).build(hello);
/// let request = Request::get("/").header("x-request-id", "forged").body(Body::empty()).unwrap();
/// assert_ne!(app.handle(request).await.headers()["x-request-id"], "forged");
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "SetRequestIdLayer")]
pub struct RequestIdLayer {
    options: Arc<RequestIdOptions>,
}

impl RequestIdLayer {
    /// A layer with these options.
    #[must_use]
    pub fn new(options: RequestIdOptions) -> Self {
        Self { options: Arc::new(options) }
    }

    fn id<B>(&self, request: &Request<B>) -> RequestId {
        self.incoming(request)
            .or_else(|| {
                let identifier = request.features().get::<dyn HttpRequestIdentifierFeature>()?;
                RequestId::of_text(&identifier.trace_identifier())
            })
            .or_else(|| {
                let trace = request.extensions().get::<TraceContext>()?;
                RequestId::of_text(&format!("{:032x}", trace.trace_id()))
            })
            .unwrap_or_else(RequestId::new)
    }

    fn incoming<B>(&self, request: &Request<B>) -> Option<RequestId> {
        let mut fields = request.headers().get_all(&self.options.header).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return None };
        self.options.incoming.include(request).then(|| RequestId::parse(field)).flatten()
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = WithRequestId<S>;

    fn layer(&self, inner: S) -> WithRequestId<S> {
        WithRequestId { layer: self.clone(), inner }
    }
}

/// The service of [`RequestIdLayer`].
#[derive(Clone, Debug)]
pub struct WithRequestId<S> {
    layer: RequestIdLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for WithRequestId<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RequestIdFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> RequestIdFuture<S::Future> {
        let options = &self.layer.options;
        let id = self.layer.id(&request);
        request.headers_mut().insert(options.header.clone(), id.0.clone());
        request.features_mut().set::<dyn HttpRequestIdentifierFeature>(Arc::new(id.clone()));
        request.extensions_mut().insert(id.clone());
        let header = options.header.clone();
        RequestIdFuture { future: self.inner.call(request), field: Some((header, id.0)) }
    }
}

pin_project! {
    /// The future of [`WithRequestId`].
    #[derive(Debug)]
    pub struct RequestIdFuture<F> {
        #[pin]
        future: F,
        field: Option<(HeaderName, HeaderValue)>,
    }
}

impl<F, R, E> Future for RequestIdFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut result = ready!(this.future.poll(cx));
        if let (Ok(response), Some((name, value))) = (&mut result, this.field.take()) {
            response.headers_mut().entry(name).or_insert(value);
        }
        Poll::Ready(result)
    }
}
