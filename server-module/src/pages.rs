//! The answers of the module itself.

use hosting::header::{CONTENT_TYPE, HeaderValue};
use hosting::{Body, Response, StatusCode};

fn page(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    html(status, page)
}

fn html(status: StatusCode, page: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(page.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// No application is at that host and path.
pub(crate) fn not_found() -> Response<Body> {
    page(StatusCode::NOT_FOUND, "404 Not Found", "No application is served here.")
}

/// Somebody takes the module for a proxy to other hosts.
pub(crate) fn no_tunnel() -> Response<Body> {
    page(
        StatusCode::METHOD_NOT_ALLOWED,
        "405 Method Not Allowed",
        "CONNECT to other hosts is not served here.",
    )
}

/// The application does not answer as it must (502.3).
#[doc(alias = "502.3")]
pub(crate) fn bad_gateway() -> Response<Body> {
    page(StatusCode::BAD_GATEWAY, "502.3 Bad Gateway", "The application has not answered as it must.")
}

/// The application is about to end.
pub(crate) fn stopping() -> Response<Body> {
    page(StatusCode::SERVICE_UNAVAILABLE, "503 Service Unavailable", "The application is shutting down.")
}

/// What lies in `app_offline.htm`.
pub(crate) fn offline(page: bytes::Bytes) -> Response<Body> {
    html(StatusCode::SERVICE_UNAVAILABLE, page)
}

/// The application could not be started (502.5). What has happened is for developers only.
#[doc(alias = "502.5")]
pub(crate) fn start_failure(details: Option<&str>) -> Response<Body> {
    let details = details.map(|details| format!("</p><pre>{}</pre><p>", escape(details))).unwrap_or_default();
    page(
        StatusCode::BAD_GATEWAY,
        "502.5 Out-Of-Process Startup Failure",
        &format!(
            "The application could not be started. Common causes:</p><ul>\
             <li>its process could not be started</li>\
             <li>its process was started, and has ended</li>\
             <li>its process was started, and does not listen on the port that it was given</li>\
             </ul><p>The log of the module says more.{details}"
        ),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
