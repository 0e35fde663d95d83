use hosting::http::header::CONTENT_TYPE;
use hosting::{Body, HeaderValue, Response, StatusCode};

/// A final status; 1xx cannot end a request.
pub(crate) fn valid_status(code: u64) -> Option<StatusCode> {
    let status = StatusCode::from_u16(code.try_into().ok()?).ok()?;
    (!status.is_informational()).then_some(status)
}

#[inline]
pub(crate) fn with_type(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
