use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::LengthLimitError;
use pin_project_lite::pin_project;
use server_abstractions::{Body, BoxError};
use tower_layer::Layer;
use tower_service::Service;

use super::AccessLog;
use super::record::{InnerFeatures, Received, Record};

/// A layer that writes a line for each request to an [`AccessLog`].
///
/// The line is written when the response's body has ended or is dropped, so it tells what was really sent and how long
/// that took. It tells the client's address as it is where the layer stands: inside of a
/// `ForwardedHeadersLayer` that is what the proxy says, outside of it the proxy.
#[doc(alias = "UseW3CLogging")]
#[derive(Clone, Debug)]
pub struct AccessLogLayer {
    log: AccessLog,
    looks_inside: bool,
}

impl AccessLogLayer {
    /// A layer that writes to this log.
    pub fn new(log: &AccessLog) -> Self {
        Self { log: log.clone(), looks_inside: false }
    }

    /// The same, which takes the client's address from where the request is noted further in.
    #[cfg(feature = "kestrel")]
    pub(super) fn looking_inside(log: &AccessLog) -> Self {
        Self { log: log.clone(), looks_inside: true }
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = WithAccessLog<S>;

    fn layer(&self, inner: S) -> WithAccessLog<S> {
        WithAccessLog { layer: self.clone(), inner }
    }
}

/// The service of [`AccessLogLayer`].
#[derive(Clone, Debug)]
pub struct WithAccessLog<S> {
    layer: AccessLogLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for WithAccessLog<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = AccessLogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> AccessLogFuture<S::Future> {
        let inner = self.layer.looks_inside.then(InnerFeatures::default);
        let mut record = Record::new(&self.layer.log, &request, inner.clone());
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::new(ReceivedBody { body: Body::new(body), received: record.receives() })
        });
        if let Some(inner) = inner {
            request.extensions_mut().insert(inner);
        }
        AccessLogFuture { future: self.inner.call(request), record: Some(record) }
    }
}

pin_project! {
    /// The future of [`WithAccessLog`]. When it is dropped, the line tells that the request was given up.
    #[derive(Debug)]
    pub struct AccessLogFuture<F> {
        #[pin]
        future: F,
        record: Option<Record>,
    }
}

impl<F, R, E> Future for AccessLogFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let Some(record) = this.record.take() else { return Poll::Ready(Ok(response.map(Body::new))) };
        Poll::Ready(Ok(answer(record, response.map(Body::new))))
    }
}

/// Ends the record now if nothing can happen to the body any more, else has the body end it.
fn answer(mut record: Record, response: Response<Body>) -> Response<Body> {
    record.answered(&response);
    if record.has_no_body() || http_body::Body::is_end_stream(response.body()) {
        record.end(None);
        return response;
    }
    // Over HTTP/2 the peer's window may keep it from being sent.
    if record.is_http1() && response.body().is_at_hand() {
        record.sends(http_body::Body::size_hint(response.body()).lower());
        record.end(None);
        return response;
    }
    let declared = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    response.map(|body| {
        let expected = http_body::Body::size_hint(&body).exact().or(declared);
        Body::new(SentBody { body, record, expected })
    })
}

/// Counts what the application reads.
struct ReceivedBody {
    body: Body,
    received: Arc<Received>,
}

impl http_body::Body for ReceivedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.received.bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
            Some(Err(error)) => {
                self.received.is_too_large.store(error.is::<LengthLimitError>(), Ordering::Relaxed);
                self.received.has_failed.store(true, Ordering::Relaxed);
            }
            None => {}
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

/// Counts what is sent, and ends the record with the body.
struct SentBody {
    body: Body,
    record: Record,
    expected: Option<u64>,
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
            Some(Ok(frame)) => this.record.sends(frame.data_ref().map_or(0, Bytes::len) as u64),
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
        if self.expected == Some(self.record.sent()) || http_body::Body::is_end_stream(&self.body) {
            self.record.end(None);
        }
    }
}
