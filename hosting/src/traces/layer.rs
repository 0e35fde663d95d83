use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use server_abstractions::{Body, BoxError};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

use super::span::{self, RequestSpan};
use super::{Believed, TraceContext};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a [`RequestTraceLayer`] believes and shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTraceOptions {
    /// Whose `traceparent` is continued; that of others is ignored, and taken from the request. Default is everyone's, as in
    /// the original: it says nothing about who the client is. On the open Internet it lets anybody choose the trace that a
    /// request belongs to, and whether it is sampled.
    pub parents: Believed,
    /// Whether all values of the query are shown as `REDACTED`, as ASP.NET Core does. Default is true.
    pub redact_query: bool,
    /// The keys of the query whose values are shown as `REDACTED` if the others are not, compared as they are written. Default
    /// is those with which storage services sign addresses: `AWSAccessKeyId`, `Signature`, `sig`, `X-Amz-Credential`, `X-Amz-Security-Token`,
    /// `X-Amz-Signature`, `X-Goog-Credential` and `X-Goog-Signature`.
    pub redacted_query_keys: Vec<String>,
}

impl Default for RequestTraceOptions {
    fn default() -> Self {
        let keys = [
            "AWSAccessKeyId",
            "Signature",
            "sig",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Goog-Credential",
            "X-Goog-Signature",
        ];
        Self {
            parents: Believed::Everyone,
            redact_query: true,
            redacted_query_keys: keys.map(str::to_owned).into(),
        }
    }
}

/// A layer that has one span of `tracing` for each request, with the attributes of OpenTelemetry's conventions for servers.
///
/// The span has the target `hosting::traces`, the level info and the name `request`; it lasts until the response's body has
/// ended or is dropped, and everything that the application does for the request happens in it. Its fields:
///
/// | field | value |
/// |---|---|
/// | `trace_id`, `span_id`, `parent_id` | of the [`TraceContext`], in hexadecimal |
/// | `request_id` | the [`RequestId`](crate::RequestId), else what the server calls the request |
/// | `http.request.method`, `http.request.method_original` | the method; `_OTHER` and the real one if it is unknown |
/// | `url.scheme`, `url.path`, `url.query` | the target as it was sent, without the values of the query |
/// | `server.address`, `server.port` | the host that the client named |
/// | `client.address`, `client.port` | the client, as far as the layers further out know |
/// | `network.peer.address`, `network.peer.port` | the peer of the socket |
/// | `network.protocol.version`, `user_agent.original` | the version of HTTP and the field `User-Agent` |
/// | `http.response.status_code` | the status, once the application has answered |
/// | `http.route` | the [`HttpRoute`](crate::HttpRoute) of the response, if there is one |
/// | `error.type` | the status from 500 on; what the connection ended for, or `aborted`, if the response was not completed |
/// | `otel.name`, `otel.kind`, `otel.status_code` | what `tracing-opentelemetry` makes of it |
///
/// Texts that come from outside are cut at 1,024 bytes.
///
/// A trace that `traceparent` tells of goes on (W3C Trace Context); otherwise a new one begins. The application finds its
/// place in it as a [`TraceContext`] in the extensions of the request. If no subscriber wants the span there is none, and the
/// application finds what the request brought, as it is.
///
/// ```
/// use hosting::{ApplicationBuilder, Body, Request, RequestTraceLayer, Response, TraceContext};
///
/// let app = async |request: Request<Body>| {
///     let trace = request.extensions().get::<TraceContext>();
///     Response::new(Body::from(trace.map(|trace| format!("{:032x}", trace.trace_id())).unwrap_or_default()))
/// };
/// let app = ApplicationBuilder::new().layer(RequestTraceLayer::default()).build(app);
/// # let _ = app;
/// ```
#[derive(Clone, Default)]
#[doc(alias = "HostingApplicationDiagnostics")]
#[doc(alias = "TraceLayer")]
pub struct RequestTraceLayer {
    shared: Arc<Shared>,
}

#[derive(Clone, Default)]
struct Shared {
    options: RequestTraceOptions,
    tracer: Option<Tracer>,
    namer: Option<Namer>,
}

/// Is told the name of a span once its route is known.
pub(super) type Namer = Arc<dyn Fn(&Span, &str) + Send + Sync>;

type Tracer = Arc<dyn Fn(&Span, Option<&TraceContext>) -> Option<TraceContext> + Send + Sync>;

impl RequestTraceLayer {
    /// A layer with these options.
    #[must_use]
    pub fn new(options: RequestTraceOptions) -> Self {
        Self { shared: Arc::new(Shared { options, ..Shared::default() }) }
    }

    /// Lets a tracer choose the ids. The function is called with each span before it is entered, and with what the request
    /// brought; what it returns is the context of the request. With `None` the ids are this layer's own.
    ///
    /// For `tracing-opentelemetry`: tell the span its parent (`OpenTelemetrySpanExt::set_parent`), then return the ids that
    /// the span has got (`OpenTelemetrySpanExt::context`).
    #[must_use]
    pub fn with_tracer<F>(mut self, tracer: F) -> Self
    where
        F: Fn(&Span, Option<&TraceContext>) -> Option<TraceContext> + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.shared).tracer = Some(Arc::new(tracer));
        self
    }

    /// Has somebody told the name of a span, such as `GET /orders/{id}`, once the route is known. It stands in the field
    /// `otel.name` as well, but `tracing-opentelemetry` takes a name from there only until a span is entered first:
    /// `span.context().span().update_name(name.to_owned())` does it.
    #[must_use]
    pub fn with_namer(mut self, namer: impl Fn(&Span, &str) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).namer = Some(Arc::new(namer));
        self
    }

    #[cfg(feature = "kestrel")]
    pub(super) fn with_options(mut self, options: RequestTraceOptions) -> Self {
        Arc::make_mut(&mut self.shared).options = options;
        self
    }

    /// What the layer believes and shows.
    #[cfg(feature = "kestrel")]
    pub(super) fn options(&self) -> &RequestTraceOptions {
        &self.shared.options
    }

    /// What the request brought, if it may be believed. What may not is taken away, so that nobody goes on with it.
    #[inline(never)]
    fn parent<B>(&self, request: &mut Request<B>) -> Option<TraceContext> {
        if !self.shared.options.parents.include(request) {
            request.headers_mut().remove(&TRACEPARENT);
            request.headers_mut().remove("tracestate");
            return None;
        }
        TraceContext::extract(request.headers())
    }

    fn begin<B>(&self, request: &mut Request<B>) -> Option<Box<RequestSpan>> {
        let has_parent = request.headers().contains_key(&TRACEPARENT);
        let parent = if has_parent { self.parent(request) } else { None };
        let span = span::begin(request, &self.shared.options);
        if !span.is_disabled() {
            return Some(self.go_on(request, span, parent.as_ref()));
        }
        if let Some(parent) = parent {
            request.extensions_mut().insert(parent);
        }
        None
    }

    /// Somebody wants the span: it gets its ids.
    #[inline(never)]
    fn go_on<B>(
        &self,
        request: &mut Request<B>,
        span: Span,
        parent: Option<&TraceContext>,
    ) -> Box<RequestSpan> {
        let span = Box::new(RequestSpan::new(span, request, self.shared.namer.clone()));
        let chosen = self.shared.tracer.as_ref().and_then(|tracer| tracer(&span.span, parent));
        let context =
            chosen.unwrap_or_else(|| parent.map_or_else(TraceContext::new_trace, TraceContext::child));
        span.record_context(&context);
        request.extensions_mut().insert(context);
        span
    }
}

impl fmt::Debug for RequestTraceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestTraceLayer").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequestTraceLayer {
    type Service = RequestTrace<S>;

    fn layer(&self, inner: S) -> RequestTrace<S> {
        RequestTrace { layer: self.clone(), inner }
    }
}

/// The service of [`RequestTraceLayer`].
#[derive(Clone, Debug)]
pub struct RequestTrace<S> {
    layer: RequestTraceLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for RequestTrace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = RequestTraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> RequestTraceFuture<S::Future> {
        let span = self.layer.begin(&mut request);
        let future = match &span {
            None => self.inner.call(request),
            Some(span) => span.span.in_scope(|| self.inner.call(request)),
        };
        RequestTraceFuture { future: Some(future), span }
    }
}

pin_project! {
    /// The future of [`RequestTrace`]. When it is dropped, the span tells that the request was given up.
    #[derive(Debug)]
    pub struct RequestTraceFuture<F> {
        #[pin]
        future: Option<F>,
        // In a box, so that a request without a span does not carry the room for it.
        span: Option<Box<RequestSpan>>,
    }

    impl<F> PinnedDrop for RequestTraceFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(span) = this.span {
                let _entered = span.span.enter();
                this.future.set(None);
            }
        }
    }
}

impl<F, R, E> Future for RequestTraceFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // It has ended, and must not be asked again.
            return Poll::Pending;
        };
        if this.span.is_none() {
            return future.poll(cx).map_ok(|response| response.map(Body::new));
        }
        let response = {
            let _entered = this.span.as_ref().map(|span| span.span.enter());
            let response = ready!(future.poll(cx));
            this.future.set(None);
            response
        };
        Poll::Ready(match (response, this.span.take()) {
            (Ok(response), Some(span)) => Ok(answer(*span, response.map(Body::new))),
            (Ok(response), None) => Ok(response.map(Body::new)),
            (Err(error), span) => {
                if let Some(mut span) = span {
                    span.end(Some("error"));
                }
                Err(error)
            }
        })
    }
}

/// Ends the span now if nothing can happen to the body any more, else has the body end it.
fn answer(mut span: RequestSpan, response: Response<Body>) -> Response<Body> {
    span.answered(&response);
    let body = response.body();
    // Over HTTP/2 the peer's window may keep bytes that are at hand from being sent.
    let is_over =
        span.has_no_body() || http_body::Body::is_end_stream(body) || span.is_http1() && body.is_at_hand();
    if is_over {
        span.end(None);
        return response;
    }
    let declared = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    response.map(|body| {
        let left = http_body::Body::size_hint(&body).exact().or(declared);
        Body::new(TracedBody { body: Some(body), span, left })
    })
}

/// Ends the span with the body, which is read in it.
struct TracedBody {
    body: Option<Body>,
    span: RequestSpan,
    /// The bytes that must still come, if that is known.
    left: Option<u64>,
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let entered = this.span.span.enter();
        let frame = ready!(Pin::new(body).poll_frame(cx));
        drop(entered);
        match &frame {
            // Nothing comes after trailers, and nobody asks.
            Some(Ok(frame)) if frame.is_trailers() => this.span.end(None),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.left = this.left.map(|left| left.saturating_sub(length));
            }
            Some(Err(_)) => this.span.end(Some("error_after_starting_response")),
            None => this.span.end(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for TracedBody {
    fn drop(&mut self) {
        // Whoever knows the length, or is told of the end, does not ask again.
        if self.left == Some(0) || http_body::Body::is_end_stream(self) {
            self.span.end(None);
        }
        let _entered = self.span.span.enter();
        drop(self.body.take());
    }
}
