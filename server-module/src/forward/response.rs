//! What an answer becomes on its way to the client.

use hosting::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};
use hosting::http::response::Parts;
use hosting::{HeaderMap, HeaderValue, StatusCode};

use super::request::connection_options;
use crate::HandlerSettings;

pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Takes out what is about the connection to the process, or what the module's own server says.
pub(super) fn edit(parts: &mut Parts, is_plain: bool, settings: &HandlerSettings) {
    let headers = &mut parts.headers;
    headers.remove(DATE);
    if !is_plain {
        correct_length(parts.status, headers);
        remove_connection_fields(headers, settings);
    }
}

/// Chunks go before a length (RFC 9112, section 6.3), an answer without content has none (RFC 9110, section 8.6), and one that is
/// said several times is said once: whoever gets both must not have to choose.
fn correct_length(status: StatusCode, headers: &mut HeaderMap) {
    let Some(first) = headers.get(CONTENT_LENGTH) else { return };
    if status == StatusCode::NO_CONTENT || headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
        return;
    }
    if first.as_bytes().iter().all(u8::is_ascii_digit) && headers.get_all(CONTENT_LENGTH).iter().count() == 1
    {
        return;
    }
    match length(headers) {
        Some(length) => drop(headers.insert(CONTENT_LENGTH, length)),
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

/// The length that all say. Where it matters for the connection, they have been found to be the same.
fn length(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(CONTENT_LENGTH).iter();
    let mut values =
        values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let first = values.next()?;
    values.all(|value| value == first).then(|| HeaderValue::from_bytes(first).ok())?
}

fn remove_connection_fields(headers: &mut HeaderMap, settings: &HandlerSettings) {
    for name in connection_options(headers) {
        headers.remove(name);
    }
    let connection = headers.remove(CONNECTION);
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    if let Some(connection) = connection
        && settings.forward_response_connection_header
    {
        headers.insert(CONNECTION, connection);
    }
}
