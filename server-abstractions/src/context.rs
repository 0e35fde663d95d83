use std::borrow::Cow;
use std::net::SocketAddr;

use http::uri::Scheme;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version, request};
use tokio_util::sync::CancellationToken;

use crate::{
    FeatureCollection, HttpConnectionFeature, HttpPathBaseFeature, HttpRequestIdentifierFeature,
    HttpRequestLifetimeFeature, HttpSchemeFeature, RequestFeatures, decode_path,
};

/// A view over one request, its features and its items; made where a handler wants it.
///
/// ```
/// use server_abstractions::HttpContext;
/// let request = http::Request::post("/orders/%2E%2E/new?draft").body(()).unwrap();
/// let context = HttpContext::of_request(&request);
/// assert_eq!(context.path(), "/new");
/// assert_eq!(context.query_string(), "?draft");
/// assert_eq!(context.remote_address(), None); // no server was involved
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpContext<'r> {
    method: &'r Method,
    uri: &'r Uri,
    version: Version,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl<'r> HttpContext<'r> {
    /// The view over a request.
    pub fn of_request<B>(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The view over a request's head.
    pub fn of_parts(parts: &'r request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            version: parts.version,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }

    /// The features of the request, its connection and its server.
    pub fn features(&self) -> &'r FeatureCollection {
        self.extensions.features()
    }

    /// What layers and handlers keep with the request.
    #[doc(alias = "Items")]
    pub fn items(&self) -> &'r Extensions {
        self.extensions
    }

    /// See [`HttpRequestFeature::protocol`](crate::HttpRequestFeature::protocol).
    pub fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_09 => "HTTP/0.9",
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_3 => "HTTP/3",
            _ => "HTTP/1.1",
        }
    }

    /// See [`HttpRequestFeature::scheme`](crate::HttpRequestFeature::scheme).
    pub fn scheme(&self) -> Scheme {
        self.features().get::<dyn HttpSchemeFeature>().map_or(Scheme::HTTP, |feature| feature.scheme())
    }

    /// The method.
    pub fn method(&self) -> &'r Method {
        self.method
    }

    /// The header fields.
    pub fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// See [`HttpRequestFeature::path_base`](crate::HttpRequestFeature::path_base).
    pub fn path_base(&self) -> String {
        let feature = self.features().get::<dyn HttpPathBaseFeature>();
        feature.map(|feature| feature.path_base().to_owned()).unwrap_or_default()
    }

    /// See [`HttpRequestFeature::path`](crate::HttpRequestFeature::path).
    pub fn path(&self) -> Cow<'r, str> {
        match self.uri.path() {
            "*" => Cow::Borrowed(""),
            _ if *self.method == Method::CONNECT && self.uri.scheme().is_none() => Cow::Borrowed(""),
            "" if self.uri.scheme().is_some() => Cow::Borrowed("/"),
            path => decode_path(path),
        }
    }

    /// See [`HttpRequestFeature::query_string`](crate::HttpRequestFeature::query_string).
    pub fn query_string(&self) -> &'r str {
        let Some(target) = self.uri.path_and_query().filter(|target| target.query().is_some()) else {
            return "";
        };
        // The text of the two begins with the path; `path()` shows an empty one as `/`.
        target.as_str().find('?').map_or("", |at| &target.as_str()[at..])
    }

    /// See [`HttpRequestFeature::raw_target`](crate::HttpRequestFeature::raw_target).
    pub fn raw_target(&self) -> String {
        if let Some(feature) = self.features().get::<dyn HttpPathBaseFeature>() {
            return feature.raw_target().to_owned();
        }
        match self.uri.path_and_query() {
            // In HTTP/2 the target is the `:path`; the `http` types build a whole URI from it.
            Some(target) if self.uri.scheme().is_none() || self.version == Version::HTTP_2 => {
                target.to_string()
            }
            _ => self.uri.to_string(),
        }
    }

    /// The id of the request for logs, if the server gives one.
    pub fn trace_identifier(&self) -> Option<String> {
        self.features().get::<dyn HttpRequestIdentifierFeature>().map(|feature| feature.trace_identifier())
    }

    /// The address of the peer: the client's own, or what a trusted layer says it is.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.features().get::<dyn HttpConnectionFeature>()?.remote_address()
    }

    /// Fires when the client has gone or the request was aborted; never, if the server does not tell.
    #[doc(alias = "RequestAborted")]
    pub fn request_aborted(&self) -> CancellationToken {
        let feature = self.features().get::<dyn HttpRequestLifetimeFeature>();
        feature.map(|feature| feature.aborted()).unwrap_or_default()
    }

    /// Ends the request without an answer: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
    pub fn abort(&self) {
        if let Some(feature) = self.features().get::<dyn HttpRequestLifetimeFeature>() {
            feature.abort();
        }
    }
}
