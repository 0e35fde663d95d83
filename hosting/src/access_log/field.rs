/// What a line tells of a request, by the names of `W3CLoggingFields` where it has one.
///
/// What is not known is `-`, in JSON `null`.
#[doc(alias = "W3CLoggingFields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessLogField {
    /// `date`: the day when the request was over, in UTC. In JSON this and [`Time`](Self::Time) are one, `time`.
    Date,
    /// `time`: the time of that day.
    Time,
    /// `c-ip`: the client, as the layers for proxies have found it.
    ClientIpAddress,
    /// `c-port`: its port.
    ClientPort,
    /// `cs-username`: who the client is, if the application says so by [`AccessLogUser`](super::AccessLogUser).
    UserName,
    /// `s-computername`: the name of the machine.
    ServerName,
    /// `s-ip`: the address that the client has come to.
    ServerIpAddress,
    /// `s-port`: its port.
    ServerPort,
    /// `cs-method`: the method.
    Method,
    /// `cs-uri-stem`: the path as it was sent, before a path base was taken from it.
    UriStem,
    /// `cs-uri-query`: the query without its `?`.
    UriQuery,
    /// `sc-status`: the status, unless the request was over before there was one.
    ProtocolStatus,
    /// `sc-bytes`: the bytes of the response's body that were handed over to be sent.
    ResponseBytes,
    /// `cs-bytes`: the bytes of the request's body that were read.
    RequestBytes,
    /// `time-taken`: the milliseconds until the response's body had ended, with three digits after the point; of an
    /// upgrade until it was accepted.
    TimeTaken,
    /// `cs-version`: the version of HTTP.
    ProtocolVersion,
    /// `cs-host`: what the client calls the server, with its port.
    Host,
    /// `cs(User-Agent)`.
    UserAgent,
    /// `cs(Cookie)`. It is `[redacted]` until `Cookie` is taken off
    /// [`redacted_headers`](super::AccessLogOptions::redacted_headers).
    Cookie,
    /// `cs(Referer)`.
    Referer,
    /// `x-request-id`: the id of the request
    /// ([`HttpRequestIdentifierFeature`](server_abstractions::HttpRequestIdentifierFeature)).
    TraceIdentifier,
    /// `x-connection-id`: the id of the connection.
    ConnectionId,
    /// `x-tls-version`: the version of TLS, such as `TLSv1.3`.
    TlsVersion,
    /// `x-error-type`: why there is no good end: `aborted` if the client has gone or the request was given up,
    /// `error_after_starting_response` if the application's body failed, or what the server says of the connection
    /// ([`ConnectionEndFeature`](server_abstractions::ConnectionEndFeature)).
    ErrorType,
    /// `x-trace-id`: the trace that the request belongs to ([`TraceContext`](crate::TraceContext)). In JSON the default
    /// fields tell it as well, if there is one.
    TraceId,
}

impl AccessLogField {
    /// All but the user's name, the cookies, the trace and what tells connections apart.
    pub const DEFAULT: [Self; 20] = [
        Self::Date,
        Self::Time,
        Self::ClientIpAddress,
        Self::ServerName,
        Self::ServerIpAddress,
        Self::ServerPort,
        Self::Method,
        Self::UriStem,
        Self::UriQuery,
        Self::ProtocolStatus,
        Self::ResponseBytes,
        Self::RequestBytes,
        Self::TimeTaken,
        Self::ProtocolVersion,
        Self::Host,
        Self::UserAgent,
        Self::Referer,
        Self::TraceIdentifier,
        Self::TlsVersion,
        Self::ErrorType,
    ];

    /// Every field, with its names in the configuration, in W3C's format and in JSON.
    pub(super) const ALL: [(Self, &'static str, &'static str, &'static str); 25] = [
        (Self::Date, "Date", "date", "time"),
        (Self::Time, "Time", "time", "time"),
        (Self::ClientIpAddress, "ClientIpAddress", "c-ip", "client_ip"),
        (Self::ClientPort, "ClientPort", "c-port", "client_port"),
        (Self::UserName, "UserName", "cs-username", "user_name"),
        (Self::ServerName, "ServerName", "s-computername", "server_name"),
        (Self::ServerIpAddress, "ServerIpAddress", "s-ip", "server_ip"),
        (Self::ServerPort, "ServerPort", "s-port", "server_port"),
        (Self::Method, "Method", "cs-method", "method"),
        (Self::UriStem, "UriStem", "cs-uri-stem", "path"),
        (Self::UriQuery, "UriQuery", "cs-uri-query", "query"),
        (Self::ProtocolStatus, "ProtocolStatus", "sc-status", "status"),
        (Self::ResponseBytes, "ResponseBytes", "sc-bytes", "response_bytes"),
        (Self::RequestBytes, "RequestBytes", "cs-bytes", "request_bytes"),
        (Self::TimeTaken, "TimeTaken", "time-taken", "time_taken_ms"),
        (Self::ProtocolVersion, "ProtocolVersion", "cs-version", "protocol"),
        (Self::Host, "Host", "cs-host", "host"),
        (Self::UserAgent, "UserAgent", "cs(User-Agent)", "user_agent"),
        (Self::Cookie, "Cookie", "cs(Cookie)", "cookie"),
        (Self::Referer, "Referer", "cs(Referer)", "referer"),
        (Self::TraceIdentifier, "TraceIdentifier", "x-request-id", "request_id"),
        (Self::ConnectionId, "ConnectionId", "x-connection-id", "connection_id"),
        (Self::TlsVersion, "TlsVersion", "x-tls-version", "tls_version"),
        (Self::ErrorType, "ErrorType", "x-error-type", "error_type"),
        (Self::TraceId, "TraceId", "x-trace-id", "trace_id"),
    ];

    fn row(self) -> (Self, &'static str, &'static str, &'static str) {
        // The table has the variants in their order, which a test holds.
        Self::ALL[self as usize]
    }

    pub(super) fn w3c_name(self) -> &'static str {
        self.row().2
    }

    pub(super) fn json_name(self) -> &'static str {
        self.row().3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_field_at_its_place() {
        for (index, row) in AccessLogField::ALL.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            assert_eq!(format!("{:?}", row.0), row.1);
        }
        assert_eq!(AccessLogField::TraceId as usize + 1, AccessLogField::ALL.len());
    }
}
