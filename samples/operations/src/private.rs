//! What is for those who run the application alone.

use axum::http::Request;
use hosting::server_abstractions::{EndpointFeature, RequestFeatures};

/// The endpoint of `Kestrel:Endpoints` that nobody else can reach.
const ENDPOINT: &str = "Private";

/// Whether a request came through that endpoint. Without one of this name none did.
pub(crate) fn is_private<B>(request: &Request<B>) -> bool {
    let endpoint = request.features().get::<dyn EndpointFeature>();
    endpoint.is_some_and(|endpoint| endpoint.name() == Some(ENDPOINT))
}
