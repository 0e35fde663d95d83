//! What a request becomes on its way to a process.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hosting::header::{CONNECTION, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use hosting::header::{Entry, HeaderName};
use hosting::http::{Uri, Version};
use hosting::server_abstractions::address_value;
use hosting::{Body, HeaderMap, HeaderValue, Request};

use super::response::{KEEP_ALIVE, PROXY_CONNECTION};
use super::upgrade::Wanted;
use super::{Client, TOKEN};

/// The beginning of the names that are the module's own.
const RESERVED: &str = "ms-aspnetcore";
const CERTIFICATE: HeaderName = HeaderName::from_static("ms-aspnetcore-clientcert");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Makes a request of HTTP/1.1 of it. The fields that are added to it, the token and what is known of the client, are returned as
/// they are sent: a map of them costs more than all the rest.
pub(super) fn edit(
    request: &mut Request<Body>,
    client: &Client,
    token: &HeaderValue,
    upgrade: Option<&Wanted>,
) -> Vec<u8> {
    into_origin_form(request);
    if request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    *request.version_mut() = Version::HTTP_11;
    if let Some(upgrade) = upgrade {
        upgrade.write_method(request);
    }
    let headers = request.headers_mut();
    // Most requests have nothing that does not go on, which one walk tells.
    let (mut has_host, mut has_more) = (false, false);
    for name in headers.keys() {
        has_host |= *name == HOST;
        has_more |= stays_here(name);
    }
    let mut added = Vec::with_capacity(256);
    let mut forwarded = (Vec::new(), Vec::new());
    if has_more {
        remove_connection_fields(headers);
        remove_reserved(headers);
        forwarded = (taken(headers, &FORWARDED_FOR), taken(headers, &FORWARDED_PROTO));
    }
    // HTTP/1.0 has requests without a host, HTTP/1.1 has none.
    if !has_host {
        headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
    add(&mut added, &TOKEN, &[], token.as_bytes());
    // The application believes the last entry, which would be the client's own if the module did not know it.
    if let Some(address) = client.address {
        add(&mut added, &FORWARDED_FOR, &forwarded.0, address_value(address).as_bytes());
    }
    add(&mut added, &FORWARDED_PROTO, &forwarded.1, if client.is_https { b"https" } else { b"http" });
    if let Some(certificate) = &client.certificate {
        add(&mut added, &CERTIFICATE, &[], BASE64_STANDARD.encode(certificate).as_bytes());
    }
    if let Some(upgrade) = upgrade {
        upgrade.write_fields(headers);
    }
    added
}

/// The target as a server behind gets it, and the host in its field (RFC 9112, sections 3.2.1 and 3.2.2).
fn into_origin_form(request: &mut Request<Body>) {
    let Some(authority) = request.uri().authority() else { return };
    let text = authority.as_str();
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
    // A target without a path has none here either.
    let target = request.uri().path_and_query().map(|target| match target.as_str() {
        text if text.starts_with('/') => Uri::from(target.clone()),
        text => Uri::try_from(format!("/{text}")).unwrap_or_default(),
    });
    *request.uri_mut() = target.unwrap_or_default();
}

/// Pieces of a cookie that HTTP/2 allows become one field (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let pieces: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Whether a field may be about this connection, or speak for the module, or is one that the module has more to say in.
pub(crate) fn stays_here(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE].contains(name)
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == HTTP2_SETTINGS
        || *name == FORWARDED_FOR
        || *name == FORWARDED_PROTO
        || name.as_str().starts_with(RESERVED)
}

/// Fields of one connection only (RFC 9110, section 7.6.1).
fn remove_connection_fields(headers: &mut HeaderMap) {
    let named = connection_options(headers);
    for name in named {
        // What the module says itself is said after this, and a host is needed.
        if name != HOST {
            headers.remove(name);
        }
    }
    for name in [CONNECTION, HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    // Trailers are what the whole way can have; codings are those of one connection.
    let takes_trailers = headers.get_all(TE).iter().any(has_trailers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
}

fn has_trailers(te: &HeaderValue) -> bool {
    let mut names = te.as_bytes().split(|byte| *byte == b',');
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The fields that `Connection` names.
pub(super) fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect()
}

/// Nobody else may speak for the module.
fn remove_reserved(headers: &mut HeaderMap) {
    let reserved = headers.keys().filter(|name| name.as_str().starts_with(RESERVED));
    for name in reserved.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Takes all values of a field.
fn taken(headers: &mut HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    match headers.entry(name) {
        Entry::Occupied(field) => field.remove_entry_mult().1.collect(),
        Entry::Vacant(_) => Vec::new(),
    }
}

/// Adds a field behind what other proxies have said: the last entry is the module's.
fn add(added: &mut Vec<u8>, name: &HeaderName, before: &[HeaderValue], value: &[u8]) {
    added.extend_from_slice(name.as_str().as_bytes());
    added.extend_from_slice(b": ");
    for entry in before {
        added.extend_from_slice(entry.as_bytes());
        added.extend_from_slice(b", ");
    }
    added.extend_from_slice(value);
    added.extend_from_slice(b"\r\n");
}
