//! From the app's response to hyper's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SERVER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use server_abstractions::{Body, BoxError, BoxFuture};

use crate::end_reason::EndReason;
use crate::refusal::Refusal;
use crate::request::{Known, RequestState};
use crate::request_body::invite;

mod framing;

/// The future of one request: the app's, and the watch over it. Dropping it, or the body that comes of it, before
/// the end means that the client has gone: the request is aborted.
pub(crate) struct Respond {
    app: BoxFuture<'static, Response<Body>>,
    request: Option<UnderWay>,
}

/// A request that has not been answered to the end.
struct UnderWay {
    state: Arc<RequestState>,
    is_complete: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_complete {
            self.state.fire_aborted();
        }
        self.state.end();
        self.state.context.activity.request_ends();
    }
}

impl Respond {
    pub(crate) fn handle(state: Arc<RequestState>, app: BoxFuture<'static, Response<Body>>) -> Self {
        Self { app, request: Some(UnderWay { state, is_complete: false }) }
    }

    pub(crate) fn refuse(state: Arc<RequestState>, refusal: Refusal, known: Known<'_>) -> Self {
        state.context.refused(refusal, known);
        let is_http1 = state.context.is_http1;
        Self::handle(state, Box::pin(std::future::ready(refuse(refusal, is_http1))))
    }

    /// Resets the stream of a malformed request of HTTP/2.
    pub(crate) fn reset(state: Arc<RequestState>, reason: &'static str, known: Known<'_>) -> Self {
        state.context.reset(reason, known);
        state.abort_with(h2::Reason::PROTOCOL_ERROR);
        Self::handle(state, Box::pin(std::future::ready(Response::new(Body::empty()))))
    }
}

impl Future for Respond {
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(request) = &this.request else { return Poll::Ready(Err("polled after completion".into())) };
        let Poll::Ready(mut response) = this.app.as_mut().poll(cx) else {
            return match request.state.poll_abort(cx) {
                Some(reason) => Poll::Ready(Err(aborted(reason))),
                None => Poll::Pending,
            };
        };
        if let Some(reason) = request.state.poll_abort(cx) {
            return Poll::Ready(Err(aborted(reason)));
        }
        // Who is refused is not told to send on.
        let is_refusal = response.status().is_client_error() || response.status().is_server_error();
        if !is_refusal && let Some(body) = request.state.body_to_invite() {
            this.app = Box::pin(async move {
                invite(body).await;
                response
            });
            // hyper says 100 (Continue) before it looks for the answer again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = finish_head(&mut response, &request.state);
        let (head, body) = response.into_parts();
        let body = ResponseBody::new(body, length, this.request.take());
        Poll::Ready(Ok(Response::from_parts(head, body)))
    }
}

/// An error that makes HTTP/1.1 close the connection and HTTP/2 reset the stream with this code.
fn aborted(reason: h2::Reason) -> BoxError {
    h2::Error::from(reason).into()
}

fn refuse(refusal: Refusal, is_http1: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = refusal.status();
    if is_http1 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(allow) = refusal.allow() {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// Makes the head one that can be sent; returns the length that the body must have, if only its end will tell whether
/// it has.
fn finish_head(response: &mut Response<Body>, state: &RequestState) -> Option<u64> {
    let context = &state.context;
    let is_upgrade = settle_status(response, state);
    // A walk over the few fields of a response is cheaper than look-ups.
    let (mut has_server, mut is_framed) = (!context.add_server_header, false);
    for name in response.headers().keys() {
        has_server |= *name == SERVER;
        is_framed |= *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
    }
    let length = if is_framed { framing::settle(response, state, is_upgrade) } else { None };
    // hyper knows no other version that could be answered with.
    *response.version_mut() = Version::HTTP_11;
    if !has_server {
        response.headers_mut().insert(SERVER, HeaderValue::from_static("Kestrel"));
    }
    if !is_upgrade {
        state.refuse_upgrade();
    }
    if !context.is_http1 {
        if state.is_head || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            drop_body(response, state.is_head);
        }
    } else if is_upgrade {
        context.accepted.settle_upgrade(true);
        context.activity.upgraded();
    } else if context.accepted.is_closing()
        || state.body_failure().is_some()
        || state.is_body_withheld()
        || state.is_body_unread() && !hold_whole(response, state)
    {
        // A close of ours the driver tells hyper, but it may come to it only after this head.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    length
}

/// Lets the I/O wrapper take the whole answer at once if it is short, as it must where a body was not read: hyper reads
/// what is left of the body while the answer still waits to be written, and would write what it then says to the next
/// request (400 or 100) in front of an answer that it still has. After a long answer the connection ends instead.
fn hold_whole(response: &Response<Body>, state: &RequestState) -> bool {
    let is_short = response.body().size_hint().upper().is_some_and(|size| size <= PIECE as u64);
    state.context.activity.hold_whole(is_short);
    is_short
}

/// Puts right what cannot be sent; returns whether the response accepts an upgrade.
fn settle_status(response: &mut Response<Body>, state: &RequestState) -> bool {
    let status = response.status();
    if let Some(failure) = state.body_failure()
        && (status.is_client_error() || status.is_server_error())
    {
        say(response, failure);
        return false;
    }
    if status == StatusCode::RESET_CONTENT {
        // It has no content (RFC 9110, section 15.3.6).
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let is_switch = if state.is_connect {
        status.is_success()
    } else {
        status == StatusCode::SWITCHING_PROTOCOLS && state.context.is_http1 && state.can_be_upgraded()
    };
    if is_switch && state.context.is_http1 && !state.reserve_upgrade() {
        replace(response, StatusCode::SERVICE_UNAVAILABLE);
        return false;
    }
    if status.is_informational() && !is_switch {
        tracing::error!(
            status = status.as_u16(),
            "the application ended a request with a status that ends none"
        );
        replace(response, StatusCode::INTERNAL_SERVER_ERROR);
    }
    is_switch
}

/// Gives an answer of the app the status of what went wrong; its other fields stay. An app that knows it has said the
/// rest as well.
fn say(response: &mut Response<Body>, failure: StatusCode) {
    if response.status() == failure {
        return;
    }
    *response.status_mut() = failure;
    *response.body_mut() = Body::empty();
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
}

fn replace(response: &mut Response<Body>, status: StatusCode) {
    *response = Response::new(Body::empty());
    *response.status_mut() = status;
}

/// HTTP/2 leaves it to us to send no body where there must be none (RFC 9110, sections 9.3.2 and 15).
fn drop_body(response: &mut Response<Body>, is_head: bool) {
    let length = std::mem::take(response.body_mut()).size_hint().exact();
    if let Some(length) = length.filter(|length| is_head && *length > 0)
        && !response.headers().contains_key(CONTENT_LENGTH)
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// What is handed over to hyper no longer counts as under way, so it must be little beside what a stop would wait for:
/// the largest piece over HTTP/2, which takes any number of them, and the last piece over HTTP/1.1, which takes one more
/// when little of the others is left.
const PIECE: usize = 16 * 1024;

/// The app's body on its way out.
pub(crate) struct ResponseBody {
    body: Body,
    /// The request, as long as something can still happen to it.
    request: Option<UnderWay>,
    /// What is left of data that was more than a piece.
    rest: Bytes,
    /// What is left of the length that the app has declared.
    left: Option<u64>,
    /// The bytes of the piece that hyper has, if it has not asked for the next one yet (HTTP/2).
    waiting: Option<usize>,
}

impl ResponseBody {
    fn new(body: Body, length: Option<u64>, request: Option<UnderWay>) -> Self {
        let request = match request {
            // All bytes are at hand, or hyper drops the body unread: the answer is complete, and nothing is left to
            // do for it but to be written.
            Some(mut request)
                if request.state.context.is_http1 && (body.is_at_hand() || request.state.is_head) =>
            {
                request.is_complete = true;
                None
            }
            Some(mut request) => {
                request.is_complete = request.state.is_head;
                Some(request)
            }
            None => None,
        };
        Self { body, request, rest: Bytes::new(), left: length, waiting: None }
    }

    /// Keeps count of the pieces that wait for the peer's window.
    #[inline]
    fn set_waiting(&mut self, waiting: Option<usize>) {
        let Some(request) = self.request.as_ref().filter(|request| !request.state.context.is_http1) else {
            return;
        };
        let activity = &request.state.context.activity;
        if let Some(length) = std::mem::replace(&mut self.waiting, waiting) {
            activity.piece_ends(length);
        }
        if let Some(length) = waiting {
            activity.piece_begins(length);
        }
    }

    #[inline]
    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if let Some(request) = &self.request
            && data.len() > PIECE
        {
            let is_http1 = request.state.context.is_http1;
            self.rest = data.split_off(if is_http1 { data.len() - PIECE } else { PIECE });
        }
        self.set_waiting(Some(data.len()));
        Frame::data(data)
    }

    /// The body is not as long as its head has said, so the peer must not take it for complete.
    #[cold]
    fn mismatch(&mut self, what: &str) -> BoxError {
        if let Some(request) = &self.request {
            if request.state.context.is_http1 {
                request.state.context.accepted.ends_with(EndReason::ResponseContentLengthMismatch);
            }
            request
                .state
                .context
                .broke_framing(&format!("the body has {what} bytes than its Content-Length says"));
        }
        aborted(h2::Reason::INTERNAL_ERROR)
    }

    /// The body has ended; trailers of the feature come last.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Option<Result<Frame<Bytes>, BoxError>> {
        if self.left.is_some_and(|left| left > 0) {
            return Some(Err(self.mismatch("fewer")));
        }
        let added = self.request.as_mut().and_then(|request| {
            request.is_complete = true;
            request.state.take_response_trailers()
        });
        let trailers = match (trailers, added) {
            (Some(mut own), Some(added)) => {
                own.extend(added);
                Some(own)
            }
            (own, added) => own.or(added),
        };
        trailers.map(|trailers| Ok(Frame::trailers(trailers)))
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        this.set_waiting(None);
        if let Some(reason) = this.request.as_ref().and_then(|request| request.state.poll_abort(cx)) {
            return Poll::Ready(Some(Err(aborted(reason))));
        }
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(this.piece(rest))));
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            None => return Poll::Ready(this.end(None)),
            Some(frame) => frame?,
        };
        match frame.into_data() {
            // Nothing can happen to it any more.
            Ok(data) if this.request.is_none() => Poll::Ready(Some(Ok(Frame::data(data)))),
            Ok(data) => {
                if let Some(left) = this.left {
                    match left.checked_sub(data.len() as u64) {
                        Some(left) => this.left = Some(left),
                        None => return Poll::Ready(Some(Err(this.mismatch("more")))),
                    }
                }
                Poll::Ready(Some(Ok(this.piece(data))))
            }
            Err(frame) => Poll::Ready(this.end(frame.into_trailers().ok())),
        }
    }

    fn is_end_stream(&self) -> bool {
        let has_trailers =
            || self.request.as_ref().is_some_and(|request| request.state.has_response_trailers());
        self.body.is_end_stream()
            && self.rest.is_empty()
            && self.left.is_none_or(|left| left == 0)
            && !has_trailers()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.set_waiting(None);
        // hyper asks for no further frame once the body says that it has ended.
        let is_end = self.request.is_some() && self.is_end_stream();
        if let Some(request) = &mut self.request {
            request.is_complete |= is_end;
        }
    }
}
