//! A request from its beginning until its line is written.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::{Method, Request, Response, StatusCode, Uri, Version};
use server_abstractions::{
    ConnectionEndFeature, FeatureCollection, HttpConnectionFeature, HttpPathBaseFeature,
    HttpRequestIdentifierFeature, RequestFeatures, TlsHandshakeFeature,
};
use tokio::time::Instant;

use super::kept::Kept;
use super::line::{Beginning, Line, Ready};
use super::plan::{Plan, REDACTED};
use super::text::Clock;
use super::{AccessLog, AccessLogField, AccessLogUser};
use crate::TraceContext;

/// What is kept of a request. Its line is written by [`end`](Self::end), or when it is dropped.
#[derive(Debug)]
pub(super) struct Record {
    log: AccessLog,
    started: Instant,
    /// The parts of the line that are ready.
    ready: Ready,
    is_head: bool,
    is_connect: bool,
    is_http1: bool,
    features: FeatureCollection,
    connect_info: Option<SocketAddr>,
    /// The request as the innermost part of the application sees it.
    inner: Option<InnerFeatures>,
    trace: Option<[u8; 16]>,
    received: Option<Arc<Received>>,
    status: Option<StatusCode>,
    user: Option<AccessLogUser>,
    sent: u64,
    is_over: bool,
}

/// What has come of the request's body.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: AtomicU64,
    pub(super) has_failed: AtomicBool,
    pub(super) is_too_large: AtomicBool,
}

/// A place for what is known of the request further in.
#[derive(Clone, Debug, Default)]
pub(super) struct InnerFeatures(Arc<OnceLock<Inner>>);

#[derive(Debug)]
struct Inner {
    features: FeatureCollection,
    trace: Option<[u8; 16]>,
}

impl InnerFeatures {
    /// Notes what is known here; the first one is the application's own request.
    #[cfg(feature = "kestrel")]
    pub(super) fn note<B>(&self, request: &Request<B>) {
        let _ = self.0.set(Inner { features: request.features().clone(), trace: trace(request) });
    }
}

impl Record {
    pub(super) fn new<B>(log: &AccessLog, request: &Request<B>, inner: Option<InnerFeatures>) -> Self {
        // Nobody further out than a hosted log has changed the target.
        let base = if inner.is_none() { request.features().get::<dyn HttpPathBaseFeature>() } else { None };
        let (uri, version) = (request.uri(), request.version());
        let raw = base.as_ref().map(|base| base.raw_target());
        let target = Target::new(uri, version, raw, log.plan().redact_query);
        let of_request = log.plan().begin(&Beginning {
            method: Some(request.method().as_str().as_bytes()),
            target: Some(target.whole().as_bytes()),
            path: Some(target.path().as_bytes()),
            query: target.query().map(str::as_bytes),
            version: Some(self::version(version)),
            authority: uri.authority().map(|authority| authority.as_str()),
            headers: Some(request.headers()),
        });
        Self {
            started: Instant::now(),
            ready: Ready { of_request, of_response: Kept::default() },
            is_head: *request.method() == Method::HEAD,
            is_connect: *request.method() == Method::CONNECT,
            is_http1: version < Version::HTTP_2,
            features: request.features().clone(),
            connect_info: connect_info(request),
            inner,
            trace: if log.wanted().trace { trace(request) } else { None },
            received: None,
            status: None,
            user: None,
            sent: 0,
            is_over: false,
            log: log.clone(),
        }
    }

    pub(super) fn receives(&mut self) -> Arc<Received> {
        Arc::clone(self.received.get_or_insert_default())
    }

    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status());
        self.ready.of_response = self.log.plan().answer(Some(response.headers()));
        self.user = response.extensions().get::<AccessLogUser>().cloned();
    }

    /// Whether the answer has no body, whatever the application gives: HEAD, 101, 204, 304 and accepted tunnels.
    pub(super) fn has_no_body(&self) -> bool {
        let is_tunnel = self.is_connect && self.status.is_some_and(|status| status.is_success());
        let is_bare = self.status.is_some_and(|status| {
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        });
        // A tunnel of HTTP/2 is the body itself.
        self.is_head || is_bare || (is_tunnel && self.is_http1)
    }

    pub(super) fn is_http1(&self) -> bool {
        self.is_http1
    }

    pub(super) fn sends(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes the line, once.
    pub(super) fn end(&mut self, error: Option<&'static str>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let (status, error) = self.outcome(error);
        let inner = self.inner.as_ref().and_then(|inner| inner.0.get());
        let features = inner.map_or(&self.features, |inner| &inner.features);
        let connection = features.get::<dyn HttpConnectionFeature>();
        let client = connection.as_ref().and_then(|connection| connection.remote_address());
        let wanted = self.log.wanted();
        let request_id = wanted
            .request_id
            .then(|| features.get::<dyn HttpRequestIdentifierFeature>())
            .flatten()
            .map(|feature| feature.trace_identifier());
        let tls = wanted.tls.then(|| features.get::<dyn TlsHandshakeFeature>()).flatten();
        let line = Line {
            client: client.or(self.connect_info),
            server: connection.as_ref().and_then(|connection| connection.local_address()),
            user: self.user.as_ref().map(|user| user.0.as_str()),
            status: status.map(|status| status.as_u16()),
            sent: self.sent,
            received: self.received.as_ref().map_or(0, |received| received.bytes.load(Ordering::Relaxed)),
            duration: Some(self.started.elapsed()),
            request_id: request_id.as_deref(),
            connection_id: connection.as_ref().map(|connection| connection.connection_id()),
            trace: inner.and_then(|inner| inner.trace).or(self.trace),
            tls: tls.map(|tls| tls.protocol().as_str()),
            error,
        };
        if self.status.is_none() {
            self.ready.of_response = self.log.plan().answer(None);
        }
        write(&self.log, &line, &self.ready);
    }

    /// What the client was told, and what was wrong. When the request's body fails, the server puts its own status in the
    /// place of an error of the application.
    fn outcome(&self, error: Option<&'static str>) -> (Option<StatusCode>, Option<&'static str>) {
        let failed = self.received.as_ref().filter(|received| received.has_failed.load(Ordering::Relaxed));
        let Some(failed) = failed else { return (self.status, error) };
        let reason = if failed.is_too_large.load(Ordering::Relaxed) {
            Some("max_request_body_size_exceeded")
        } else {
            self.reason()
        };
        let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
        let told = reason.and_then(status_of).filter(|_| self.status.as_ref().is_some_and(is_error));
        (told.or(self.status), reason.or(error))
    }

    fn reason(&self) -> Option<&'static str> {
        self.features.get::<dyn ConnectionEndFeature>()?.error_type()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_over {
            let reason = self.reason().unwrap_or("aborted");
            self.end(Some(reason));
        }
    }
}

/// What the server answers to a body that fails so.
fn status_of(reason: &str) -> Option<StatusCode> {
    Some(match reason {
        "max_request_body_size_exceeded" => StatusCode::PAYLOAD_TOO_LARGE,
        "min_request_body_data_rate" => StatusCode::REQUEST_TIMEOUT,
        "invalid_request_body" => StatusCode::BAD_REQUEST,
        "max_request_headers_total_size_exceeded" => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => return None,
    })
}

/// The target as it was sent.
struct Target<'a> {
    uri: &'a Uri,
    /// If it is not the path and query of the URI.
    whole: Option<Cow<'a, str>>,
    redacts: bool,
}

impl<'a> Target<'a> {
    fn new(uri: &'a Uri, version: Version, raw: Option<&'a str>, redacts: bool) -> Self {
        let is_origin =
            uri.path_and_query().is_some() && (uri.scheme().is_none() || version == Version::HTTP_2);
        let mut whole = raw.map(Cow::Borrowed).or_else(|| (!is_origin).then(|| Cow::Owned(uri.to_string())));
        if redacts && uri.query().is_some() {
            let plain = || uri.path_and_query().map_or("", |target| target.as_str());
            let text = whole.as_deref().unwrap_or_else(plain);
            whole = Some(match text.find('?') {
                Some(at) => Cow::Owned([&text[..=at], REDACTED].concat()),
                None => Cow::Owned(text.to_owned()),
            });
        }
        Self { uri, whole, redacts }
    }

    fn whole(&self) -> &str {
        let plain = || self.uri.path_and_query().map_or("", |target| target.as_str());
        self.whole.as_deref().unwrap_or_else(plain)
    }

    /// Of the raw target, if that has one: a path base was taken from the path of the URI.
    fn path(&self) -> &str {
        match self.whole.as_deref().filter(|whole| whole.starts_with('/')) {
            Some(whole) => whole.split('?').next().unwrap_or_default(),
            None => match self.uri.path() {
                "" => self.whole(),
                path => path,
            },
        }
    }

    fn query(&self) -> Option<&str> {
        let query = self.uri.query()?;
        Some(if self.redacts && !query.is_empty() { REDACTED } else { query })
    }
}

thread_local! {
    /// Where lines are made, and the second as text.
    static SCRATCH: RefCell<(Vec<u8>, Clock)> = RefCell::default();
}

/// Makes a line and adds it to the queue.
pub(super) fn write(log: &AccessLog, line: &Line<'_>, ready: &Ready) {
    let written = SCRATCH.try_with(|scratch| {
        let Ok(mut scratch) = scratch.try_borrow_mut() else { return false };
        let (text, clock) = &mut *scratch;
        clock.set(SystemTime::now());
        text.clear();
        log.plan().write(text, clock, line, ready);
        log.push(text);
        text.shrink_to(16 * 1024);
        true
    });
    // A thread that ends, or an event of the log that makes a request itself.
    if !written.unwrap_or_default() {
        let (mut text, mut clock) = (Vec::new(), Clock::default());
        clock.set(SystemTime::now());
        log.plan().write(&mut text, &clock, line, ready);
        log.push(&text);
    }
}

/// The trace that the request belongs to, as far as the layers before this one know.
fn trace<B>(request: &Request<B>) -> Option<[u8; 16]> {
    request.extensions().get::<TraceContext>().map(|trace| trace.trace_id().to_be_bytes())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

#[cfg(feature = "axum")]
fn connect_info<B>(request: &Request<B>) -> Option<SocketAddr> {
    request.extensions().get::<axum::extract::ConnectInfo<SocketAddr>>().map(|info| info.0)
}

#[cfg(not(feature = "axum"))]
fn connect_info<B>(_: &Request<B>) -> Option<SocketAddr> {
    None
}

/// Which look-ups the plan needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedFeatures {
    request_id: bool,
    tls: bool,
    trace: bool,
}

impl WantedFeatures {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            request_id: plan.tells(AccessLogField::TraceIdentifier),
            tls: plan.tells(AccessLogField::TlsVersion),
            trace: plan.tells(AccessLogField::TraceId),
        }
    }
}
