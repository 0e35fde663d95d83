//! The page itself: no data, one script, one style, and nothing from elsewhere.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use server_abstractions::Body;

use super::board::Board;
use crate::traces::random;

const PAGE: &str = include_str!("page/page.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// The page. Its script and its style are the only ones that a browser runs, by a number of this answer alone.
pub(super) fn page(board: &Board) -> Response<Body> {
    let nonce = format!("{:016x}{:016x}", random(), random());
    // The path is of letters, digits and -._~/ alone.
    let html = PAGE
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{path}}", &board.options.path)
        .replace("{{nonce}}", &nonce);
    let mut response = of(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), html);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A text for a person.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    of(status, HeaderValue::from_static("text/plain; charset=utf-8"), text)
}

/// An answer that nobody keeps, guesses at, frames or takes to another site.
pub(super) fn of(status: StatusCode, kind: HeaderValue, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
