//! What a request is told by: the attributes of the semantic conventions, of which each has few values.

use http::{Method, Request, StatusCode, Version};
use opentelemetry::{KeyValue, Value};
use server_abstractions::{HttpSchemeFeature, RequestFeatures};

/// The methods of RFC 9110 and RFC 5789, and in the end what stands for all others.
pub(super) const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "_OTHER"];

pub(super) const SCHEMES: [&str; 2] = ["http", "https"];

/// The scheme and the method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    scheme: u8,
    method: u8,
}

impl Kind {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let is_https = match request.features().get::<dyn HttpSchemeFeature>() {
            Some(feature) => feature.scheme() == http::uri::Scheme::HTTPS,
            // Another server says it in the target, if it says it.
            None => request.uri().scheme() == Some(&http::uri::Scheme::HTTPS),
        };
        let method = match *request.method() {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            Method::HEAD => 4,
            Method::OPTIONS => 5,
            Method::PATCH => 6,
            Method::CONNECT => 7,
            Method::TRACE => 8,
            _ => 9,
        };
        Self { scheme: u8::from(is_https), method }
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of_scheme = |scheme| (0..METHODS.len() as u8).map(move |method| Self { scheme, method });
        (0..SCHEMES.len() as u8).flat_map(of_scheme)
    }

    pub(super) fn scheme(self) -> usize {
        usize::from(self.scheme)
    }

    pub(super) fn method(self) -> usize {
        usize::from(self.method)
    }

    pub(super) fn is_head(self) -> bool {
        METHODS[self.method()] == "HEAD"
    }

    pub(super) fn scheme_attribute(self) -> KeyValue {
        text("url.scheme", SCHEMES[self.scheme()])
    }

    pub(super) fn method_attribute(self) -> KeyValue {
        text("http.request.method", METHODS[self.method()])
    }
}

pub(super) fn text(key: &'static str, value: &'static str) -> KeyValue {
    KeyValue::new(key, Value::from(value))
}

/// The versions of HTTP.
pub(super) const VERSIONS: [&str; 5] = ["0.9", "1.0", "1.1", "2", "3"];

/// The place of a version among [`VERSIONS`].
pub(super) fn version_index(version: Version) -> usize {
    match version {
        Version::HTTP_09 => 0,
        Version::HTTP_10 => 1,
        Version::HTTP_11 => 2,
        Version::HTTP_2 => 3,
        _ => 4,
    }
}

pub(super) fn version_attribute(version: Version) -> KeyValue {
    text("network.protocol.version", VERSIONS[version_index(version)])
}

pub(super) fn status_attribute(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// A status of 5xx as the reason of an error, as the conventions want it.
pub(super) fn server_error(status: u16) -> Option<String> {
    (500..600).contains(&status).then(|| status.to_string())
}
