//! The connection as axum and tonic know it, innermost, so that it is the effective one.

use server_abstractions::App;

#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) fn add(app: App) -> App {
    #[cfg(feature = "tonic")]
    use crate::MinDataRates;
    use http::Request;
    use server_abstractions::{Body, HttpConnectionFeature, RequestFeatures};

    App::new(move |mut request: Request<Body>| {
        #[cfg(feature = "tonic")]
        if is_grpc(&request) {
            MinDataRates::off().apply(&request);
        }
        if let Some(connection) = request.features().get::<dyn HttpConnectionFeature>() {
            let extensions = request.extensions_mut();
            #[cfg(feature = "axum")]
            if let Some(remote) = connection.remote_address() {
                extensions.insert(axum::extract::ConnectInfo(remote));
            }
            #[cfg(feature = "tonic")]
            extensions.insert(tonic::transport::server::TcpConnectInfo {
                local_addr: connection.local_address(),
                remote_addr: connection.remote_address(),
            });
        }
        app.handle(request)
    })
}

/// Calls of gRPC may be streams on which nothing happens for a long time.
#[cfg(feature = "tonic")]
fn is_grpc<B>(request: &http::Request<B>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(not(any(feature = "axum", feature = "tonic")))]
pub(crate) fn add(app: App) -> App {
    app
}
