use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use server_abstractions::{Body, BoxError, BoxFuture};
use tower_layer::Layer;
use tower_service::Service;

use super::access::{Refused, judge};
use super::board::Board;
use super::page;
use super::requests::UnderWay;

/// The layer of a [`Diagnostics`](crate::Diagnostics) page: answers the requests of those who may see it, and counts all
/// others, which go on to the application.
#[derive(Clone, Debug)]
pub struct DiagnosticsLayer {
    pub(super) board: Arc<Board>,
}

impl<S> Layer<S> for DiagnosticsLayer {
    type Service = WithDiagnostics<S>;

    fn layer(&self, inner: S) -> WithDiagnostics<S> {
        WithDiagnostics { board: Arc::clone(&self.board), inner }
    }
}

/// The service of [`DiagnosticsLayer`].
#[derive(Clone, Debug)]
pub struct WithDiagnostics<S> {
    board: Arc<Board>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for WithDiagnostics<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = DiagnosticsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> DiagnosticsFuture<S::Future> {
        if let Some(rest) = request.uri().path().strip_prefix(&*self.board.options.path)
            && matches!(rest, "" | "/data")
        {
            let judged = judge(&request, &self.board.options);
            if let Err(Refused::Stranger(reason) | Refused::Local(reason)) = judged {
                self.board.refusals.add(&request, reason);
            }
            let answer = match judged {
                Ok(()) => Some(answer(&self.board, request.method(), rest == "/data")),
                Err(Refused::Local(reason)) => Some(ready(page::text(StatusCode::FORBIDDEN, reason))),
                Err(Refused::Stranger(_)) => None,
            };
            if let Some(answer) = answer {
                return DiagnosticsFuture { inner: Inner::Own { answer } };
            }
        }
        let under_way = UnderWay::begin(&self.board, &request);
        let future = self.inner.call(request);
        DiagnosticsFuture { inner: Inner::Theirs { future, under_way: Some(under_way) } }
    }
}

pin_project! {
    /// The future of [`WithDiagnostics`]. When it is dropped, the request is no longer under way.
    pub struct DiagnosticsFuture<F> {
        #[pin]
        inner: Inner<F>,
    }
}

pin_project! {
    #[project = InnerProjection]
    enum Inner<F> {
        Own { answer: BoxFuture<'static, Response<Body>> },
        Theirs {
            #[pin]
            future: F,
            under_way: Option<UnderWay>,
        },
    }
}

impl<F> std::fmt::Debug for DiagnosticsFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiagnosticsFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for DiagnosticsFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.project() {
            InnerProjection::Own { answer } => answer.as_mut().poll(cx).map(Ok),
            InnerProjection::Theirs { future, under_way } => {
                let response = ready!(future.poll(cx))?.map(Body::new);
                let Some(under_way) = under_way.take() else { return Poll::Ready(Ok(response)) };
                Poll::Ready(Ok(follow(under_way, response)))
            }
        }
    }
}

/// Has the request be under way until its body has ended.
fn follow(mut under_way: UnderWay, response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let body = response.body();
    if body.is_at_hand() || http_body::Body::is_end_stream(body) {
        under_way.answered(status);
        return response;
    }
    let declared = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    response.map(|body| {
        let left = http_body::Body::size_hint(&body).exact().or(declared);
        Body::new(FollowedBody { body, status, left, under_way: Some(under_way) })
    })
}

struct FollowedBody {
    body: Body,
    status: StatusCode,
    /// The bytes that must still come, if that is known.
    left: Option<u64>,
    under_way: Option<UnderWay>,
}

impl FollowedBody {
    fn end(&mut self, how: impl FnOnce(&mut UnderWay, StatusCode)) {
        if let Some(mut under_way) = self.under_way.take() {
            how(&mut under_way, self.status);
        }
    }
}

impl http_body::Body for FollowedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) if frame.is_trailers() => self.end(UnderWay::answered),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.left = self.left.map(|left| left.saturating_sub(length));
            }
            Some(Err(_)) => self.end(|under_way, _| under_way.failed()),
            None => self.end(UnderWay::answered),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

impl Drop for FollowedBody {
    fn drop(&mut self) {
        // Whoever knows the length, or is told of the end, does not ask again.
        if self.left == Some(0) || http_body::Body::is_end_stream(&self.body) {
            self.end(UnderWay::answered);
        }
    }
}

fn ready(response: Response<Body>) -> BoxFuture<'static, Response<Body>> {
    Box::pin(std::future::ready(response))
}

/// Answers a request for the page or its data.
fn answer(board: &Arc<Board>, method: &Method, wants_data: bool) -> BoxFuture<'static, Response<Body>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = page::text(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return ready(response);
    }
    let board = Arc::clone(board);
    Box::pin(async move {
        if !wants_data {
            return page::page(&board);
        }
        match board.data().await {
            Ok(json) => page::of(StatusCode::OK, HeaderValue::from_static("application/json"), json),
            Err(error) => {
                tracing::error!(%error, "what the page of diagnostics asks for cannot be written");
                page::text(StatusCode::INTERNAL_SERVER_ERROR, "the data cannot be written; see the log")
            }
        }
    })
}
