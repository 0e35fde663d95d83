//! The span of a request, from its beginning to its end.

use std::cell::LazyCell;
use std::fmt;

use http::{Method, Request, Response, StatusCode, Version};
use server_abstractions::{ConnectionEndFeature, FeatureCollection, RequestFeatures};
use tracing::Span;
use tracing::field::{Empty, display};

use super::facts::{Facts, beginning, name_of};
use super::layer::Namer;
use super::{RequestTraceOptions, TraceContext};
use crate::HttpRoute;

/// The target of the spans.
pub(super) const TARGET: &str = "hosting::traces";

/// A span without an end yet.
pub(super) struct RequestSpan {
    pub(super) span: Span,
    namer: Option<Namer>,
    method: Method,
    version: Version,
    features: FeatureCollection,
    status: Option<StatusCode>,
    is_over: bool,
}

/// The span itself; disabled if nobody listens, and then next to nothing has happened.
pub(super) fn begin<B>(request: &Request<B>, options: &RequestTraceOptions) -> Span {
    let facts = LazyCell::new(|| Facts::of(request, options));
    tracing::info_span!(
        target: TARGET,
        "request",
        "otel.kind" = "server",
        "otel.name" = facts.name(),
        "otel.status_code" = Empty,
        trace_id = Empty,
        span_id = Empty,
        parent_id = Empty,
        request_id = facts.request_id.as_deref(),
        "http.request.method" = facts.method,
        "http.request.method_original" = facts.original_method,
        "url.scheme" = facts.scheme.as_str(),
        "url.path" = &*facts.path,
        "url.query" = facts.query.as_deref(),
        "server.address" = facts.server.as_ref().map(|server| &*server.0),
        "server.port" = facts.server.as_ref().map(|server| server.1),
        "client.address" = facts.client.map(|client| display(client.ip().to_canonical())),
        "client.port" = facts.client.map(|client| client.port()),
        "network.peer.address" = facts.peer.map(|peer| display(peer.ip().to_canonical())),
        "network.peer.port" = facts.peer.map(|peer| peer.port()),
        "network.protocol.version" = facts.version,
        "user_agent.original" = facts.user_agent.as_deref(),
        "http.route" = Empty,
        "http.response.status_code" = Empty,
        "error.type" = Empty,
    )
}

impl RequestSpan {
    pub(super) fn new<B>(span: Span, request: &Request<B>, namer: Option<Namer>) -> Self {
        Self {
            span,
            namer,
            method: request.method().clone(),
            version: request.version(),
            features: request.features().clone(),
            status: None,
            is_over: false,
        }
    }

    pub(super) fn record_context(&self, context: &TraceContext) {
        self.span.record("trace_id", display(format_args!("{:032x}", context.trace_id())));
        self.span.record("span_id", display(format_args!("{:016x}", context.span_id())));
        if let Some(parent) = context.parent_span_id() {
            self.span.record("parent_id", display(format_args!("{parent:016x}")));
        }
    }

    /// The application has answered; its body may still come.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        let status = response.status();
        self.status = Some(status);
        if let Some(route) = response.extensions().get::<HttpRoute>().map(HttpRoute::as_str) {
            let route = beginning(route);
            self.span.record("http.route", route);
            let name = format!("{} {route}", beginning(name_of(&self.method)));
            self.span.record("otel.name", name.as_str());
            if let Some(namer) = &self.namer {
                namer(&self.span, &name);
            }
        }
        self.span.record("http.response.status_code", status.as_u16());
    }

    /// Whether the answer has no body, whatever the application gives: HEAD, 101, 204, 304 and accepted tunnels.
    pub(super) fn has_no_body(&self) -> bool {
        let Some(status) = self.status else { return false };
        let is_bare =
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        // A tunnel of HTTP/2 is the body itself.
        let is_tunnel = self.method == Method::CONNECT && status.is_success() && self.is_http1();
        self.method == Method::HEAD || is_bare || is_tunnel
    }

    pub(super) fn is_http1(&self) -> bool {
        self.version < Version::HTTP_2
    }

    /// The request is over: well, or for this reason.
    pub(super) fn end(&mut self, error: Option<&str>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        match (error, self.status.filter(StatusCode::is_server_error)) {
            (Some(error), _) => self.fail(error),
            (None, Some(status)) => self.fail(status.as_str()),
            (None, None) => {}
        }
    }

    fn fail(&self, error: &str) {
        self.span.record("error.type", error);
        self.span.record("otel.status_code", "ERROR");
    }
}

impl fmt::Debug for RequestSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSpan").field("span", &self.span).finish_non_exhaustive()
    }
}

/// Whoever drops it before its end has given the request up.
impl Drop for RequestSpan {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let end = self.features.get::<dyn ConnectionEndFeature>();
        let reason = end.and_then(|end| end.error_type()).unwrap_or("aborted");
        self.end(Some(reason));
    }
}
