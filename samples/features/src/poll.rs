use std::time::Duration;

use hosting::server_abstractions::ConnectionLifetimeFeature;
use hosting::{Body, Request, RequestFeatures, Response, StatusCode};

use crate::answer::{empty, with_type};

/// A long poll, of an application that has no news: it answers when the client has waited long enough. When the server stops it
/// answers at once, so that the client asks again, and comes to an instance that goes on.
pub(crate) async fn wait(request: Request<Body>, milliseconds: u64) -> Response<Body> {
    let lifetime = request.features().get::<dyn ConnectionLifetimeFeature>();
    let stopping = lifetime.map(|lifetime| lifetime.stopping()).unwrap_or_default();
    drop(request);
    let news = tokio::time::sleep(Duration::from_millis(milliseconds));
    match stopping.run_until_cancelled(news).await {
        Some(()) => with_type("text/plain", Body::from("no news")),
        None => empty(StatusCode::NO_CONTENT),
    }
}
