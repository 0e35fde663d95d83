//! What an answer becomes on its way to the client.

use hosting::HeaderMap;
use hosting::header::{CONNECTION, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};

use super::request::connection_options;
use crate::HandlerSettings;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Takes out what is about the connection to the process, or what the module's own server says.
pub(super) fn edit(headers: &mut HeaderMap, settings: &HandlerSettings) {
    headers.remove(DATE);
    // Most answers have nothing else that does not go on.
    if headers.keys().any(stays_here) {
        remove_connection_fields(headers, settings);
    }
}

fn stays_here(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name)
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
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
