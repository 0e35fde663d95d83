//! The connection as axum and tonic know it, innermost, so that it is the effective one.

use server_abstractions::App;

#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) fn add(app: App) -> App {
    use http::Request;
    use server_abstractions::{Body, HttpConnectionFeature, RequestFeatures};

    App::new(move |mut request: Request<Body>| {
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

#[cfg(not(any(feature = "axum", feature = "tonic")))]
pub(crate) fn add(app: App) -> App {
    app
}
