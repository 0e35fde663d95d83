//! Answers that would go on for ever, and end at once when the application stops.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hosting::server_abstractions::{ConnectionLifetimeFeature, RequestFeatures};
use http_body_util::Channel;
use tokio::time::{interval, sleep};

/// Fires when the connection is to end, as at a stop of the application.
pub(crate) fn stopping<B>(request: &axum::http::Request<B>) -> hosting::CancellationToken {
    let lifetime = request.features().get::<dyn ConnectionLifetimeFeature>();
    lifetime.map(|lifetime| lifetime.stopping()).unwrap_or_default()
}

/// Server-sent events: the seconds since the client came.
pub(crate) async fn events(request: Request) -> Response {
    let stopping = stopping(&request);
    let (mut events, body) = Channel::<Bytes, Infallible>::new(8);
    tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(1));
        for second in 0_u64.. {
            if stopping.run_until_cancelled(ticks.tick()).await.is_none() {
                // The browser connects again, to whoever serves by then.
                let _ = events.send_data("event: stopping\ndata:\n\n".into()).await;
                return;
            }
            if events.send_data(format!("data: {second}\n\n").into()).await.is_err() {
                return;
            }
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")], Body::new(body))
        .into_response()
}

/// Long polling: an answer when there is something to say, which never happens here, or after 30 seconds.
pub(crate) async fn poll(request: Request) -> Response {
    match stopping(&request).run_until_cancelled(sleep(Duration::from_secs(30))).await {
        Some(()) => StatusCode::NO_CONTENT.into_response(),
        // Nothing is lost: the client asks again.
        None => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response(),
    }
}
