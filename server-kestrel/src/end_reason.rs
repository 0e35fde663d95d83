//! Why connections and requests come to another end than a good one.

use std::fmt;

/// One table, so that no reason is without a name, and none is missing in [`EndReason::ALL`].
macro_rules! reasons {
    ($($(#[$about:meta])+ $reason:ident = $name:literal,)+) => {
        /// Why a connection was refused or ended before its time, or a request was refused.
        ///
        /// Metrics, access logs and events name a reason by [`as_str`](Self::as_str), as the attribute `error.type`; so do
        /// [`ConnectionEndFeature`](server_abstractions::ConnectionEndFeature) and
        /// [`ConnectionEvent`](server_abstractions::ConnectionEvent), which other servers may use with reasons of their own.
        /// [`named`](Self::named) leads back.
        ///
        /// ```
        /// use server_kestrel::EndReason;
        ///
        /// assert_eq!(EndReason::KeepAliveTimeout.as_str(), "keep_alive_timeout");
        /// assert_eq!(EndReason::named("keep_alive_timeout"), Some(EndReason::KeepAliveTimeout));
        /// assert_eq!(EndReason::named("a reason of another server"), None);
        /// ```
        #[doc(alias = "ConnectionEndReason")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EndReason {
            $($(#[$about])+ $reason,)+
        }

        impl EndReason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$reason,)+];

            /// The value of the attribute `error.type`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// The server has as many connections as
    /// [`max_concurrent_connections`](crate::Limits::max_concurrent_connections) says.
    MaxConcurrentConnectionsExceeded = "max_concurrent_connections_exceeded",
    /// The address has as many connections as
    /// [`max_connections_per_address`](crate::Limits::max_connections_per_address) says.
    MaxConnectionsPerAddressExceeded = "max_connections_per_address_exceeded",
    /// There are as many upgraded connections as
    /// [`max_concurrent_upgraded_connections`](crate::Limits::max_concurrent_upgraded_connections) says. The connection goes on
    /// without the upgrade.
    MaxConcurrentUpgradedConnectionsExceeded = "max_concurrent_upgraded_connections_exceeded",
    /// The header of the PROXY protocol is malformed, came too late, or came from somebody who is not trusted.
    ProxyProtocolError = "proxy_protocol_error",
    /// The TLS handshake has failed. A connection ends with this also if the handshake took too long.
    TlsHandshakeFailed = "tls_handshake_failed",
    /// The TLS handshake took longer than [`handshake_timeout`](crate::HttpsOptions::handshake_timeout): what the handshake
    /// ends with.
    TlsHandshakeTimeout = "timeout",
    /// The client speaks TLS on an endpoint without it.
    TlsNotSupported = "tls_not_supported",
    /// The version of HTTP is unknown, or is none of the endpoint's.
    InvalidHttpVersion = "invalid_http_version",
    /// The request line is malformed, too long, or does not fit its method.
    InvalidRequestLine = "invalid_request_line",
    /// A header field is malformed, missing, or contradicts another one.
    InvalidRequestHeaders = "invalid_request_headers",
    /// The framing of the body is malformed.
    InvalidRequestBody = "invalid_request_body",
    /// Header fields, or trailers, are larger than
    /// [`max_request_headers_total_size`](crate::Limits::max_request_headers_total_size).
    MaxRequestHeadersTotalSizeExceeded = "max_request_headers_total_size_exceeded",
    /// There are more header fields than [`max_request_header_count`](crate::Limits::max_request_header_count).
    MaxRequestHeaderCountExceeded = "max_request_header_count_exceeded",
    /// The body is larger than [`max_request_body_size`](crate::Limits::max_request_body_size).
    MaxRequestBodySizeExceeded = "max_request_body_size_exceeded",
    /// The client ended its side in the middle of a body.
    UnexpectedEndOfRequestContent = "unexpected_end_of_request_content",
    /// The head of a request took longer than [`request_headers_timeout`](crate::Limits::request_headers_timeout).
    RequestHeadersTimeout = "request_headers_timeout",
    /// The body came more slowly than [`min_request_body_data_rate`](crate::Limits::min_request_body_data_rate).
    MinRequestBodyDataRate = "min_request_body_data_rate",
    /// The answer was taken more slowly than [`min_response_data_rate`](crate::Limits::min_response_data_rate).
    MinResponseDataRate = "min_response_data_rate",
    /// There was no request for as long as [`keep_alive_timeout`](crate::Limits::keep_alive_timeout).
    KeepAliveTimeout = "keep_alive_timeout",
    /// The peer has gone without a goodbye.
    ConnectionReset = "connection_reset",
    /// Reading or writing has failed in another way.
    IoError = "io_error",
    /// The application ended the connection or the request.
    AbortedByApp = "aborted_by_app",
    /// The body of an answer was not as long as its head had said.
    ResponseContentLengthMismatch = "response_content_length_mismatch",
    /// The server stopped, and did not wait any longer.
    AppShutdownTimeout = "app_shutdown_timeout",
    /// Over HTTP/2: too many requests that are given up at once.
    StreamResetLimitExceeded = "stream_reset_limit_exceeded",
    /// Over HTTP/2: too many frames that ask for nothing.
    ControlFrameLimitExceeded = "control_frame_limit_exceeded",
    /// Over HTTP/2: more than the window for it allows.
    FlowControlWindowExceeded = "flow_control_window_exceeded",
    /// Over HTTP/2: a frame of a wrong length.
    InvalidFrameLength = "invalid_frame_length",
    /// Over HTTP/2: a header block that is too large to be passed over.
    ErrorReadingHeaders = "error_reading_headers",
    /// Over HTTP/2: a frame where there may be none, or that is malformed.
    UnexpectedFrame = "unexpected_frame",
    /// Anything else, such as an error that the peer of HTTP/2 has told.
    OtherError = "other_error",
}

impl EndReason {
    /// The reason of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }
}

/// [`as_str`](EndReason::as_str).
impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_reasons_have_the_same_name() {
        let names: BTreeSet<_> = EndReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), EndReason::ALL.len());
    }
}
