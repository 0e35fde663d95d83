//! What an answer becomes on its way to the client.

use hosting::HeaderMap;
use hosting::header::HeaderName;
use hosting::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};

use crate::HandlerSettings;

/// Takes out what is about the connection to the process, or what the module's own server says.
pub(super) fn edit(headers: &mut HeaderMap, settings: &HandlerSettings) {
    headers.remove(DATE);
    if let Some(connection) = headers.remove(CONNECTION) {
        let named = connection.to_str().unwrap_or_default().split(',');
        let named: Vec<_> =
            named.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect();
        for name in named {
            headers.remove(name);
        }
        if settings.forward_response_connection_header {
            headers.insert(CONNECTION, connection);
        }
    }
    for name in [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")] {
        headers.remove(name);
    }
    headers.remove(UPGRADE);
    headers.remove(TRANSFER_ENCODING);
}
