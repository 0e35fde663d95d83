//! Every feature of a request and every kind of response: `cargo run -p features`, then open the page. The sample
//! `reverse-proxy` has the same answers behind a proxy.
//!
//! | path | answers |
//! |---|---|
//! | `/` | a page with the facts of the connection |
//! | `/plaintext`, `/json` | a small text, a small document |
//! | `/echo` | the request's body, streamed, with its trailers |
//! | `/count` | the length of the request's body |
//! | `/trailers` | the trailers of the request, and as a trailer the length of its body |
//! | `/bytes/{n}` | n bytes, streamed without a declared length |
//! | `/file/{n}` | a file of n bytes, with its length |
//! | `/delay/{ms}` | after a while |
//! | `/panic`, `/abort` | 500, nothing |
//! | `/connection`, `/headers` | the features and the header fields of the request |
//! | `/status/{code}` | an empty answer with a status |
//! | `/ws` | a WebSocket that echoes |
//! | `/sse` | ticks, until the server stops |
//! | `/poll/{ms}` | after a while, or at once with 204 when the server stops |

mod answer;
mod bodies;
mod connection;
mod page;
mod poll;
mod websocket;

use std::time::Duration;

use hosting::server_abstractions::{HttpRequestFeature, HttpRequestLifetimeFeature};
use hosting::{Body, Request, RequestFeatures, Response, StatusCode};

use answer::{empty, valid_status, with_type};

/// Answers a request by its path.
///
/// # Panics
/// At `/panic`, on purpose.
pub async fn handle(request: Request<Body>) -> Response<Body> {
    let path = request.path().into_owned();
    let (route, argument) = match path.trim_start_matches('/').split_once('/') {
        Some((route, argument)) => (route, argument.parse::<u64>().ok()),
        None => (path.trim_start_matches('/'), None),
    };
    match (route, argument) {
        ("", None) => page::html(&request),
        ("plaintext", None) => plaintext(),
        ("json", None) => with_type("application/json", Body::from(r#"{"message":"Hello, World!"}"#)),
        ("echo", None) => bodies::echo(request),
        ("count", None) => bodies::count(request).await,
        ("trailers", None) => bodies::trailers(request).await,
        ("bytes", Some(length)) => bodies::streamed(length),
        ("file", Some(length)) => bodies::file(length).await,
        ("delay", Some(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            with_type("text/plain", Body::from(format!("after {milliseconds} ms")))
        }
        ("panic", None) => panic!("the sample panics on request"),
        ("abort", None) => {
            if let Some(lifetime) = request.features().get::<dyn HttpRequestLifetimeFeature>() {
                lifetime.abort();
            }
            empty(StatusCode::OK)
        }
        ("connection", None) => connection::json(&request),
        ("headers", None) => connection::headers_json(&request),
        ("status", Some(code)) => empty(valid_status(code).unwrap_or(StatusCode::BAD_REQUEST)),
        ("ws", None) => websocket::echo(&request),
        ("sse", None) => bodies::ticks(&request),
        ("poll", Some(milliseconds)) => poll::wait(request, milliseconds).await,
        _ => empty(StatusCode::NOT_FOUND),
    }
}

/// The small text.
#[inline]
pub fn plaintext() -> Response<Body> {
    with_type("text/plain", Body::from("Hello, World!"))
}
