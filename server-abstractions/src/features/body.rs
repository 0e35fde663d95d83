use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// How many bytes the body of this request may have.
///
/// Reading more fails with [`http_body_util::LengthLimitError`]. An error that the app answers then (4xx or 5xx) becomes a
/// 413: an answer with another status loses its body and keeps its other fields.
#[doc(alias = "IHttpMaxRequestBodySizeFeature")]
pub trait HttpMaxRequestBodySizeFeature: Send + Sync {
    /// Whether it is too late to change the limit: reading has begun, or the connection was upgraded.
    fn is_read_only(&self) -> bool;

    /// The limit in bytes; `None` is unlimited.
    fn max_request_body_size(&self) -> Option<u64>;

    /// Sets the limit for this request.
    ///
    /// # Errors
    /// [`TooLate`] when the body is being read already.
    fn set_max_request_body_size(&self, limit: Option<u64>) -> Result<(), TooLate>;
}

/// A rate below which a peer is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinDataRate {
    /// Bytes per second.
    pub bytes_per_second: NonZeroU32,
    /// How long the peer may be slower before it counts; more than one second. A large response has more, see the
    /// server's limits.
    pub grace_period: Duration,
}

impl Default for MinDataRate {
    /// 240 bytes per second after 5 seconds.
    fn default() -> Self {
        Self {
            bytes_per_second: const { NonZeroU32::new(240).unwrap() },
            grace_period: Duration::from_secs(5),
        }
    }
}

/// The rate at which the client must send the body of this request.
#[doc(alias = "IHttpMinRequestBodyDataRateFeature")]
pub trait HttpMinRequestBodyDataRateFeature: Send + Sync {
    /// The rate; `None` is no minimum.
    fn min_data_rate(&self) -> Option<MinDataRate>;

    /// Sets the rate for this request, until it is answered. Over HTTP/2, where a whole connection is measured, `None` switches
    /// it off as long as this request is under way, and another rate than `None` leaves it as the server has it.
    fn set_min_data_rate(&self, rate: Option<MinDataRate>);
}

/// The rate at which the client must take the response.
#[doc(alias = "IHttpMinResponseDataRateFeature")]
pub trait HttpMinResponseDataRateFeature: Send + Sync {
    /// The rate; `None` is no minimum.
    fn min_data_rate(&self) -> Option<MinDataRate>;

    /// Sets the rate for this response. Over HTTP/2, where a whole connection is measured, `None` switches it off as
    /// long as this request is under way, and another rate than `None` leaves it as the server has it.
    fn set_min_data_rate(&self, rate: Option<MinDataRate>);
}

/// Whether the request can have a body at all.
#[doc(alias = "IHttpRequestBodyDetectionFeature")]
pub trait HttpRequestBodyDetectionFeature: Send + Sync {
    /// False if the framing says that there is none, and for upgrades and extended CONNECT.
    fn can_have_body(&self) -> bool;
}

/// The trailer fields of the request.
///
/// They are also the last frame of the body; this feature is for those who read the body through something that
/// drops them.
#[doc(alias = "IHttpRequestTrailersFeature")]
pub trait HttpRequestTrailersFeature: Send + Sync {
    /// Whether the body was read to its end, so that the trailers are known; at once for a request without a body.
    fn available(&self) -> bool;

    /// The trailers, empty if there were none; `None` as long as they are not [`available`](Self::available).
    fn trailers(&self) -> Option<HeaderMap>;
}

/// The trailer fields of the response.
///
/// A body may also end in a trailers frame of its own; these fields are then added to it.
#[doc(alias = "IHttpResponseTrailersFeature")]
pub trait HttpResponseTrailersFeature: Send + Sync {
    /// Adds a field to be sent after the body.
    ///
    /// # Errors
    /// [`TooLate`] when the body has ended already.
    fn append(&self, name: HeaderName, value: HeaderValue) -> Result<(), TooLate>;
}

/// What should be changed is decided already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLate;

impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too late: the body has been read or sent already")
    }
}

impl std::error::Error for TooLate {}
