//! The fields of a response that tell where it ends, which an app may set and must not get wrong.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use server_abstractions::Body;

use super::replace;
use crate::request::RequestState;

/// Puts right what the app has set, or answers 500 in its place if that cannot be (RFC 9110, section 8.6; RFC 9112,
/// sections 6.1 and 6.2). Returns the length of a body that does not tell its own.
#[cold]
pub(super) fn settle(response: &mut Response<Body>, state: &RequestState, is_switch: bool) -> Option<u64> {
    if is_switch {
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().remove(TRANSFER_ENCODING);
        return None;
    }
    let is_bodiless = response.status() == StatusCode::NO_CONTENT;
    let is_without_content = is_bodiless || state.is_head || response.status() == StatusCode::NOT_MODIFIED;
    drop_transfer_encoding(response.headers_mut(), state.context.is_http1 && !is_without_content);
    let declared = match declared(response.headers()) {
        Ok(None) => return None,
        Ok(Some(declared)) => declared,
        Err(reason) => return fail(response, state, reason),
    };
    if response.headers().contains_key(TRANSFER_ENCODING) {
        // The coding tells where the message ends, and both together are an attack.
        response.headers_mut().remove(CONTENT_LENGTH);
        return None;
    }
    let exact = response.body().size_hint().exact();
    match exact {
        _ if is_bodiless && declared > 0 => {
            fail(response, state, "the status has no content, and its Content-Length says otherwise")
        }
        _ if is_bodiless => {
            response.headers_mut().remove(CONTENT_LENGTH);
            None
        }
        // That of a response with content, which hyper leaves out as well.
        _ if response.status() == StatusCode::NOT_MODIFIED => {
            response.headers_mut().remove(CONTENT_LENGTH);
            None
        }
        // The same to HEAD, which it sends.
        _ if state.is_head => {
            *response.body_mut() = Body::empty();
            None
        }
        Some(exact) if exact != declared => fail(
            response,
            state,
            &format!("the body has {exact} bytes, and its Content-Length says {declared}"),
        ),
        Some(_) => None,
        None => Some(declared),
    }
}

/// hyper chooses the coding by itself where it is needed; an app that sets `chunked` says nothing new. Other codings
/// are the app's.
fn drop_transfer_encoding(headers: &mut HeaderMap, can_have_coding: bool) {
    let is_chunked = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !can_have_coding || headers.get_all(TRANSFER_ENCODING).iter().all(is_chunked) {
        headers.remove(TRANSFER_ENCODING);
    }
}

/// The one value of Content-Length.
fn declared(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("there is more than one Content-Length");
    }
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or("its Content-Length is no length")
}

fn fail(response: &mut Response<Body>, state: &RequestState, reason: &str) -> Option<u64> {
    state.context.broke_framing(reason);
    replace(response, StatusCode::INTERNAL_SERVER_ERROR);
    None
}
