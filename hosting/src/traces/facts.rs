//! What a request says about itself, in the words of OpenTelemetry's conventions for spans of servers.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::header::{HOST, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Version};
use server_abstractions::{
    HttpPathBaseFeature, HttpRequestIdentifierFeature, HttpSchemeFeature, RequestFeatures,
};

use super::RequestTraceOptions;
use crate::peer;
use crate::request_id::RequestId;

/// The method of those that are not known.
const OTHER: &str = "_OTHER";

/// What stands in the place of a value that is nobody's business.
const REDACTED: &str = "REDACTED";

/// As many bytes of a text from outside are told.
const LONGEST: usize = 1024;

/// The attributes that are known at the beginning.
pub(super) struct Facts<'r> {
    pub(super) method: &'r str,
    pub(super) original_method: Option<&'r str>,
    pub(super) path: Cow<'r, str>,
    pub(super) query: Option<Cow<'r, str>>,
    pub(super) scheme: Scheme,
    pub(super) server: Option<(Cow<'r, str>, u16)>,
    pub(super) client: Option<SocketAddr>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) version: &'static str,
    pub(super) user_agent: Option<Cow<'r, str>>,
    pub(super) request_id: Option<String>,
}

impl<'r> Facts<'r> {
    pub(super) fn of<B>(request: &'r Request<B>, options: &RequestTraceOptions) -> Self {
        let (method, original_method) = match request.method().as_str() {
            known if is_known(request.method()) => (known, None),
            other => (OTHER, Some(beginning(other))),
        };
        let scheme = scheme(request);
        let user_agent = request.headers().get(USER_AGENT);
        Self {
            method,
            original_method,
            path: cut(path(request)),
            query: request.uri().query().map(|query| cut(redact(query, options))),
            server: server(request, &scheme).map(|(host, port)| (cut(host), port)),
            scheme,
            client: peer::client(request),
            peer: peer::of_the_socket(request).address(),
            version: version(request.version()),
            user_agent: user_agent.map(|value| cut(String::from_utf8_lossy(value.as_bytes()))),
            request_id: request_id(request).map(|id| cut(id.into()).into_owned()),
        }
    }

    /// The name of the span as long as no route is known.
    pub(super) fn name(&self) -> &'r str {
        if self.method == OTHER { "HTTP" } else { self.method }
    }
}

/// As much of a text as is told.
pub(super) fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(beginning(text)),
        Cow::Owned(mut text) => {
            text.truncate(text.floor_char_boundary(LONGEST));
            Cow::Owned(text)
        }
    }
}

/// The method as the name of a span has it.
pub(super) fn name_of(method: &Method) -> &str {
    if is_known(method) { method.as_str() } else { "HTTP" }
}

/// Those of RFC 9110, PATCH of RFC 5789, and QUERY.
fn is_known(method: &Method) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => true,
        Method::CONNECT | Method::OPTIONS | Method::TRACE | Method::PATCH => true,
        _ => method.as_str() == "QUERY",
    }
}

/// As it was sent: a path base may have been taken from the URI.
fn path<B>(request: &Request<B>) -> Cow<'_, str> {
    let base = request.features().get::<dyn HttpPathBaseFeature>();
    if let Some(raw) = base.as_ref().map(|base| base.raw_target()).filter(|raw| raw.starts_with('/')) {
        return Cow::Owned(raw.split('?').next().unwrap_or_default().to_owned());
    }
    Cow::Borrowed(request.uri().path())
}

fn scheme<B>(request: &Request<B>) -> Scheme {
    match request.features().get::<dyn HttpSchemeFeature>() {
        Some(feature) => feature.scheme(),
        None => request.uri().scheme().cloned().unwrap_or(Scheme::HTTP),
    }
}

/// The host that the client named, and the port that it stands for.
fn server<'r, B>(request: &'r Request<B>, scheme: &Scheme) -> Option<(Cow<'r, str>, u16)> {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let (host, port) = match request.uri().authority() {
        Some(authority) => (Cow::Borrowed(authority.host()), authority.port_u16()),
        None => {
            let field = request.headers().get(HOST)?;
            let authority = Authority::try_from(field.as_bytes()).ok()?;
            (Cow::Owned(authority.host().to_owned()), authority.port_u16())
        }
    };
    // An address of IPv6 stands without brackets.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned);
    Some((bare.map_or(host, Cow::Owned), port.unwrap_or(default)))
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

fn request_id<B>(request: &Request<B>) -> Option<String> {
    if let Some(id) = request.extensions().get::<RequestId>() {
        return Some(id.as_str().to_owned());
    }
    let identifier = request.features().get::<dyn HttpRequestIdentifierFeature>()?;
    Some(identifier.trace_identifier())
}

/// The query without the values that are nobody's business.
fn redact<'q>(query: &'q str, options: &RequestTraceOptions) -> Cow<'q, str> {
    let is_secret = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_of_a_key = || options.redacted_query_keys.iter().any(|secret| secret == key);
        !value.is_empty() && (options.redact_query || is_of_a_key())
    };
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let mut redacted = String::with_capacity(query.len());
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            redacted.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) if is_secret(pair) => {
                redacted.push_str(key);
                redacted.push('=');
                redacted.push_str(REDACTED);
            }
            _ => redacted.push_str(pair),
        }
    }
    Cow::Owned(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_known_keys_are_left_out() {
        let keys = |keys: &[&str]| RequestTraceOptions {
            redact_query: false,
            redacted_query_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            ..RequestTraceOptions::default()
        };
        let options = keys(&["sig", "Signature"]);
        for (query, shown) in [
            ("", ""),
            ("q=OpenTelemetry&sig=secret", "q=OpenTelemetry&sig=REDACTED"),
            ("sig=a=b&&sig=c&x", "sig=REDACTED&&sig=REDACTED&x"),
            ("Sig=1&signature=2&xsig=3&sig=&sig", "Sig=1&signature=2&xsig=3&sig=&sig"),
            ("Signature=1", "Signature=REDACTED"),
        ] {
            assert_eq!(redact(query, &options), shown);
        }
        assert_eq!(redact("sig=1", &keys(&[])), "sig=1");
    }

    #[test]
    fn all_values_are_left_out_by_default() {
        for (query, shown) in [
            ("", ""),
            ("a=1&b=2=3&c=&d", "a=REDACTED&b=REDACTED&c=&d"),
            ("sig=1&&%61=x", "sig=REDACTED&&%61=REDACTED"),
        ] {
            assert_eq!(redact(query, &RequestTraceOptions::default()), shown);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(beginning("short"), "short");
        let long = format!("{}äb", "a".repeat(1023));
        assert_eq!((beginning(&long).len(), cut(long.clone().into()).len()), (1023, 1023));
    }

    #[test]
    fn the_server_is_what_the_client_named() {
        let server = |uri: &str, host: Option<&str>| {
            let request = Request::get(uri);
            let request = host.into_iter().fold(request, |request, host| request.header(HOST, host));
            let request = request.body(()).unwrap();
            server(&request, &scheme(&request)).map(|(host, port)| format!("{host} {port}"))
        };
        assert_eq!(server("/", Some("shop.example")).as_deref(), Some("shop.example 80"));
        assert_eq!(server("/", Some("[::1]:8080")).as_deref(), Some("::1 8080"));
        assert_eq!(server("https://a.example/", Some("b")).as_deref(), Some("a.example 443"));
        assert_eq!(server("/", None), None);
        assert_eq!(server("/", Some("a b")), None);
    }

    #[test]
    fn unknown_methods_have_a_name_of_their_own() {
        let request = Request::builder().method("BREW").uri("/pot").body(()).unwrap();
        let facts = Facts::of(&request, &RequestTraceOptions::default());
        assert_eq!((facts.method, facts.original_method, facts.name()), ("_OTHER", Some("BREW"), "HTTP"));
        let request = Request::builder().method("QUERY").uri("/pot").body(()).unwrap();
        assert_eq!(Facts::of(&request, &RequestTraceOptions::default()).name(), "QUERY");
    }
}
