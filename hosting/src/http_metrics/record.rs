//! One request, from its head to the end of its answer.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode, Version};
use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::attributes::{Kind, server_error, status_attribute, text, version_attribute};
use super::{HttpMetricsTags, Instruments};
use crate::HttpRoute;

/// A request under way. Dropped before its end, it was given up.
#[derive(Debug)]
pub(super) struct Record {
    instruments: Arc<Instruments>,
    begun: Instant,
    kind: Kind,
    version: Version,
    status: Option<StatusCode>,
    route: Option<HttpRoute>,
    tags: Option<Box<HttpMetricsTags>>,
    is_over: bool,
}

impl Record {
    pub(super) fn begin(instruments: &Arc<Instruments>, kind: Kind, version: Version) -> Self {
        instruments.active.begin(kind);
        Self {
            instruments: Arc::clone(instruments),
            begun: Instant::now(),
            kind,
            version,
            status: None,
            route: None,
            tags: None,
            is_over: false,
        }
    }

    /// The head of the answer is there.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status());
        self.route = response.extensions().get::<HttpRoute>().cloned();
        self.tags = response.extensions().get::<HttpMetricsTags>().cloned().map(Box::new);
    }

    /// Whether nobody will read the body of the answer (RFC 9110, section 6.4.1).
    pub(super) fn has_no_body(&self) -> bool {
        let is_without = |status: StatusCode| {
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        };
        self.kind.is_head() || self.status.is_some_and(is_without)
    }

    /// Whether a body that is at hand is as good as sent: over HTTP/2 the peer's window may keep it.
    pub(super) fn is_http1(&self) -> bool {
        self.version <= Version::HTTP_11
    }

    /// The answer has ended, well or for this reason. The first end is the one.
    pub(super) fn end(&mut self, error: Option<&'static str>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.instruments.active.end(self.kind);
        let duration = self.begun.elapsed();
        match self.common_attributes().filter(|_| error.is_none()) {
            Some(attributes) => self.instruments.record(duration, attributes),
            None => self.record_rest(duration, error),
        }
    }

    /// Those of an answer without a route, that is no error and has the status that most answers have.
    fn common_attributes(&self) -> Option<&[KeyValue; 4]> {
        let status = self.status.filter(|status| !status.is_server_error())?;
        let is_plain = self.route.is_none() && self.tags.is_none();
        is_plain.then(|| self.instruments.common.of(self.kind, self.version, status)).flatten()
    }

    fn record_rest(&self, duration: Duration, error: Option<&'static str>) {
        let HttpMetricsTags { tags, is_disabled } = self.tags.as_deref().cloned().unwrap_or_default();
        if is_disabled {
            return;
        }
        let version = version_attribute(self.version);
        let mut attributes = Vec::with_capacity(6 + tags.len());
        attributes.extend([self.kind.scheme_attribute(), self.kind.method_attribute(), version]);
        attributes.extend(self.status.map(status_attribute));
        attributes.extend(self.route.as_ref().map(|route| KeyValue::new("http.route", route.shared())));
        let of_status = || Some(KeyValue::new("error.type", server_error(self.status?.as_u16())?));
        attributes.extend(error.map(|error| text("error.type", error)).or_else(of_status));
        for tag in tags {
            if !attributes.iter().any(|own| own.key == tag.key) {
                attributes.push(tag);
            }
        }
        self.instruments.record(duration, &attributes);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(Some("aborted"));
    }
}
