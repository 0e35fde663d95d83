use tokio_util::sync::CancellationToken;

/// The life of one request.
#[doc(alias = "IHttpRequestLifetimeFeature")]
pub trait HttpRequestLifetimeFeature: Send + Sync {
    /// Fires when the request was given up before its response was complete: the client went away or reset the
    /// stream, or the request was aborted. It does not fire once the response is complete.
    ///
    /// The handler's own future needs no token: it is dropped. The token is for what the handler has spawned.
    #[doc(alias = "RequestAborted")]
    fn aborted(&self) -> CancellationToken;

    /// Ends the request without an answer: HTTP/1.1 closes the connection, HTTP/2 resets the stream with
    /// `INTERNAL_ERROR`.
    fn abort(&self);
}

/// The life of the connection.
#[doc(alias = "IConnectionLifetimeFeature")]
#[doc(alias = "IConnectionLifetimeNotificationFeature")]
pub trait ConnectionLifetimeFeature: Send + Sync {
    /// Fires when the server begins to stop; an announcement of the stop comes before it, and does not fire this. Whoever answers without an end (server-sent events, WebSockets) ends
    /// when it does; what has not ended at the server's deadline is aborted.
    #[doc(alias = "ConnectionClosedRequested")]
    fn stopping(&self) -> CancellationToken;

    /// Asks for a graceful close once the requests under way are answered.
    #[doc(alias = "RequestClose")]
    fn request_close(&self);

    /// Ends the connection now.
    fn abort(&self);
}

/// The id of a request, for logs.
#[doc(alias = "IHttpRequestIdentifierFeature")]
pub trait HttpRequestIdentifierFeature: Send + Sync {
    /// `{connection id}:{8 upper-case hexadecimal digits}`; the number counts the connection's requests from 1.
    fn trace_identifier(&self) -> String;
}

/// Resets the request's stream; HTTP/2 and above.
#[doc(alias = "IHttpResetFeature")]
pub trait HttpResetFeature: Send + Sync {
    /// Resets the stream with this error code (RFC 9113, section 7) and aborts the request.
    fn reset(&self, error_code: u32);
}

/// The HTTP/2 stream of the request.
#[doc(alias = "IHttp2StreamIdFeature")]
pub trait Http2StreamIdFeature: Send + Sync {
    /// The stream identifier (RFC 9113, section 5.1.1).
    fn stream_id(&self) -> u32;
}
