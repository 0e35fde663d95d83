use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use opentelemetry::metrics::Meter;
use pin_project_lite::pin_project;
use server_abstractions::{Body, BoxError};
use tower_layer::Layer;
use tower_service::Service;

use super::attributes::Kind;
use super::record::Record;
use super::{HttpMetricsOptions, Instruments};

/// A layer that records `http.server.request.duration` and `http.server.active_requests` by the semantic conventions of
/// OpenTelemetry. It works under any server of tower services.
///
/// ```
/// use hosting::{ApplicationBuilder, Body, HttpMetricsLayer, HttpMetricsOptions, Request, Response};
///
/// let meter = opentelemetry::global::meter("shop");
/// let metrics = HttpMetricsLayer::new(&meter, &HttpMetricsOptions::default());
/// let hello = async |_: Request<Body>| Response::new(Body::from("Hello"));
/// let app = ApplicationBuilder::new().layer(metrics).build(hello);
/// # drop(app);
/// ```
///
/// A request is over when the body of its answer has ended or is dropped.
///
/// | attribute | of | value |
/// |---|---|---|
/// | `url.scheme` | both | `http` or `https` |
/// | `http.request.method` | both | the method, or `_OTHER` if RFC 9110 and RFC 5789 do not know it |
/// | `network.protocol.version` | duration | `1.0`, `1.1`, `2` |
/// | `http.response.status_code` | duration | the status, if it came to that |
/// | `http.route` | duration | that of an [`HttpRoute`](crate::HttpRoute), if somebody says so |
/// | `error.type` | duration | a status of 5xx; `error_after_starting_response` if the body failed; `aborted` if the client or the server gave the request up; `_OTHER` if the service failed |
///
/// An application adds attributes by [`HttpMetricsTags`](super::HttpMetricsTags). Requests that the server refuses itself do
/// not come here.
#[doc(alias = "HostingMetrics")]
#[doc(alias = "Microsoft.AspNetCore.Hosting")]
#[derive(Clone, Debug)]
pub struct HttpMetricsLayer(Arc<Instruments>);

impl HttpMetricsLayer {
    /// Makes the instruments with this meter. One layer for a program is enough: two would count everything twice.
    pub fn new(meter: &Meter, options: &HttpMetricsOptions) -> Self {
        Self(Arc::new(Instruments::new(meter, options)))
    }
}

impl<S> Layer<S> for HttpMetricsLayer {
    type Service = WithHttpMetrics<S>;

    fn layer(&self, inner: S) -> WithHttpMetrics<S> {
        WithHttpMetrics { instruments: Arc::clone(&self.0), inner }
    }
}

/// The service of [`HttpMetricsLayer`].
#[derive(Clone, Debug)]
pub struct WithHttpMetrics<S> {
    instruments: Arc<Instruments>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for WithHttpMetrics<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = HttpMetricsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let record = Record::begin(&self.instruments, Kind::of(&request), request.version());
        HttpMetricsFuture { future: self.inner.call(request), record: Some(record) }
    }
}

pin_project! {
    /// The future of [`WithHttpMetrics`]. When it is dropped, the request counts as given up.
    #[derive(Debug)]
    pub struct HttpMetricsFuture<F> {
        #[pin]
        future: F,
        record: Option<Record>,
    }
}

impl<F, R, E> Future for HttpMetricsFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(cx));
        let record = this.record.take();
        Poll::Ready(match (answer, record) {
            (Ok(response), Some(record)) => Ok(answered(record, response.map(Body::new))),
            (Ok(response), None) => Ok(response.map(Body::new)),
            (Err(error), record) => {
                record.into_iter().for_each(|mut record| record.end(Some("_OTHER")));
                Err(error)
            }
        })
    }
}

/// Ends the record now if nothing can happen to the body any more, else has the body end it.
fn answered(mut record: Record, response: Response<Body>) -> Response<Body> {
    record.answered(&response);
    let body = response.body();
    let is_over = record.has_no_body() || http_body::Body::is_end_stream(body);
    if is_over || record.is_http1() && body.is_at_hand() {
        record.end(None);
        return response;
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    response.map(|body| {
        let expected = http_body::Body::size_hint(&body).exact().or(length);
        Body::new(SentBody { body, record, expected, sent: 0 })
    })
}

/// Ends the record with the body.
struct SentBody {
    body: Body,
    record: Record,
    expected: Option<u64>,
    sent: u64,
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            // Nothing comes after trailers, and nobody asks.
            Some(Ok(frame)) if frame.is_trailers() => this.record.end(None),
            Some(Ok(frame)) => this.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => this.record.end(Some("error_after_starting_response")),
            None => this.record.end(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        // Whoever knows the length, or is told of the end, does not ask again.
        if self.expected == Some(self.sent) || http_body::Body::is_end_stream(&self.body) {
            self.record.end(None);
        }
    }
}
