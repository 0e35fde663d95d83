use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, request, response};
use std::borrow::Cow;

use crate::HttpContext;

/// The request as the original's `HttpContext.Request` shows it.
///
/// It is implemented on [`Request`] and [`request::Parts`] and not kept in the collection: the `http` types are the
/// feature. Scheme, path base and raw target come from the collection.
///
/// ```
/// use server_abstractions::HttpRequestFeature;
/// let request = http::Request::get("/caf%C3%A9?size=2").body(()).unwrap();
/// assert_eq!(request.path(), "/café");
/// assert_eq!(request.query_string(), "?size=2");
/// ```
#[doc(alias = "IHttpRequestFeature")]
pub trait HttpRequestFeature {
    /// The request as a view; everything else follows from it.
    fn context(&self) -> HttpContext<'_>;

    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    fn protocol(&self) -> &'static str {
        self.context().protocol()
    }

    /// `https` if the connection is TLS or a trusted layer says so, else `http`; never what the client wrote.
    fn scheme(&self) -> Scheme {
        self.context().scheme()
    }

    /// The method.
    fn method(&self) -> &Method {
        self.context().method()
    }

    /// The part of the path that a `map` or a path base took away, decoded; empty if none did.
    fn path_base(&self) -> String {
        self.context().path_base()
    }

    /// The path after the path base, decoded and free of dot segments, see [`decode_path`](crate::decode_path);
    /// empty for `*` and for the authority form of CONNECT.
    fn path(&self) -> Cow<'_, str> {
        self.context().path()
    }

    /// The query as sent, with its `?`; empty if there is none.
    fn query_string(&self) -> &str {
        self.context().query_string()
    }

    /// The request target as it arrived, before any path base was taken from it.
    fn raw_target(&self) -> String {
        self.context().raw_target()
    }

    /// The header fields.
    fn headers(&self) -> &HeaderMap {
        self.context().headers()
    }
}

impl<B> HttpRequestFeature for Request<B> {
    fn context(&self) -> HttpContext<'_> {
        HttpContext::of_request(self)
    }
}

impl HttpRequestFeature for request::Parts {
    fn context(&self) -> HttpContext<'_> {
        HttpContext::of_parts(self)
    }
}

/// The response, on [`Response`] and [`response::Parts`].
#[doc(alias = "IHttpResponseFeature")]
pub trait HttpResponseFeature {
    /// The status.
    fn status(&self) -> StatusCode;
    /// Sets the status.
    fn set_status(&mut self, status: StatusCode);
    /// The header fields.
    fn headers(&self) -> &HeaderMap;
    /// The header fields, to change them.
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

/// The path base of a request whose [`Uri`](http::Uri) lost its beginning to a `map` or a path-base layer.
#[doc(alias = "PathBase")]
pub trait HttpPathBaseFeature: Send + Sync {
    /// The decoded path base, without a slash at its end.
    fn path_base(&self) -> &str;
    /// The request target as it arrived.
    fn raw_target(&self) -> &str;
}

/// The usual [`HttpPathBaseFeature`]: two strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathBase {
    /// The decoded path base, without a slash at its end.
    pub path_base: String,
    /// The request target as it arrived.
    pub raw_target: String,
}

impl HttpPathBaseFeature for PathBase {
    fn path_base(&self) -> &str {
        &self.path_base
    }

    fn raw_target(&self) -> &str {
        &self.raw_target
    }
}

impl<B> HttpResponseFeature for Response<B> {
    fn status(&self) -> StatusCode {
        Self::status(self)
    }

    fn set_status(&mut self, status: StatusCode) {
        *self.status_mut() = status;
    }

    fn headers(&self) -> &HeaderMap {
        Self::headers(self)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        Self::headers_mut(self)
    }
}

impl HttpResponseFeature for response::Parts {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}
