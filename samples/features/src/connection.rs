use hosting::server_abstractions::{
    ConnectionItemsFeature, ConnectionLifetimeFeature, EndpointFeature, FeatureCollection,
    HttpConnectionFeature, HttpExtendedConnectFeature, HttpMaxRequestBodySizeFeature,
    HttpRequestBodyDetectionFeature, HttpRequestFeature, HttpRequestIdentifierFeature,
    HttpRequestLifetimeFeature, HttpRequestTrailersFeature, HttpResetFeature, HttpResponseTrailersFeature,
    HttpSchemeFeature, HttpUpgradeFeature, ServerAddressesFeature, TlsConnectionFeature, TlsHandshakeFeature,
};
use hosting::{Body, HeaderMap, Request, RequestFeatures, Response};
use serde_json::{Value, json};

use crate::answer::with_type;

/// The facts of the connection and the features of the request.
pub(crate) fn facts(request: &Request<Body>) -> Value {
    let features = request.features();
    let connection = features.get::<dyn HttpConnectionFeature>();
    let address = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    json!({
        "protocol": request.protocol(),
        "scheme": request.scheme().as_str(),
        "method": request.method().as_str(),
        "path_base": request.path_base(),
        "path": request.path(),
        "query": request.query_string(),
        "raw_target": request.raw_target(),
        "connection_id": connection.as_ref().map(|connection| connection.connection_id()),
        "local": connection.as_ref().and_then(|connection| address(connection.local_address())),
        "remote": connection.as_ref().and_then(|connection| address(connection.remote_address())),
        "trace_id": features.get::<dyn HttpRequestIdentifierFeature>().map(|id| id.trace_identifier()),
        "endpoint": features.get::<dyn EndpointFeature>().map(|endpoint| endpoint.address().to_string()),
        "tls": tls(features),
        "max_request_body_size": features
            .get::<dyn HttpMaxRequestBodySizeFeature>()
            .and_then(|limit| limit.max_request_body_size()),
        "features": present(features),
    })
}

fn tls(features: &FeatureCollection) -> Option<Value> {
    let handshake = features.get::<dyn TlsHandshakeFeature>()?;
    let connection = features.get::<dyn TlsConnectionFeature>();
    let client = connection.as_ref().and_then(|connection| connection.client_certificate());
    Some(json!({
        "version": handshake.protocol().as_str(),
        "cipher": handshake.cipher_suite(),
        "sni": handshake.server_name(),
        "alpn": handshake.application_protocol().map(String::from_utf8_lossy),
        "client_certificate": client.map(|client| json!({
            "subject": client.subject(),
            "issuer": client.issuer(),
            "serial_number": client.serial_number(),
            "thumbprint": client.thumbprint(),
        })),
    }))
}

/// The names of the features that the request has.
fn present(features: &FeatureCollection) -> Vec<&'static str> {
    fn has<T: ?Sized + Send + Sync + 'static>(features: &FeatureCollection) -> bool {
        features.get::<T>().is_some()
    }
    [
        ("ConnectionItems", has::<dyn ConnectionItemsFeature>(features)),
        ("ConnectionLifetime", has::<dyn ConnectionLifetimeFeature>(features)),
        ("Endpoint", has::<dyn EndpointFeature>(features)),
        ("HttpConnection", has::<dyn HttpConnectionFeature>(features)),
        ("HttpExtendedConnect", has::<dyn HttpExtendedConnectFeature>(features)),
        ("HttpMaxRequestBodySize", has::<dyn HttpMaxRequestBodySizeFeature>(features)),
        ("HttpRequestBodyDetection", has::<dyn HttpRequestBodyDetectionFeature>(features)),
        ("HttpRequestIdentifier", has::<dyn HttpRequestIdentifierFeature>(features)),
        ("HttpRequestLifetime", has::<dyn HttpRequestLifetimeFeature>(features)),
        ("HttpRequestTrailers", has::<dyn HttpRequestTrailersFeature>(features)),
        ("HttpReset", has::<dyn HttpResetFeature>(features)),
        ("HttpResponseTrailers", has::<dyn HttpResponseTrailersFeature>(features)),
        ("HttpScheme", has::<dyn HttpSchemeFeature>(features)),
        ("HttpUpgrade", has::<dyn HttpUpgradeFeature>(features)),
        ("ServerAddresses", has::<dyn ServerAddressesFeature>(features)),
        ("TlsConnection", has::<dyn TlsConnectionFeature>(features)),
        ("TlsHandshake", has::<dyn TlsHandshakeFeature>(features)),
    ]
    .into_iter()
    .filter_map(|(name, is_present)| is_present.then_some(name))
    .collect()
}

pub(crate) fn json(request: &Request<Body>) -> Response<Body> {
    with_type("application/json", Body::from(facts(request).to_string()))
}

pub(crate) fn headers_json(request: &Request<Body>) -> Response<Body> {
    with_type("application/json", Body::from(fields_json(request.headers()).to_string()))
}

/// Each field with its values in the order in which they came.
pub(crate) fn fields_json(fields: &HeaderMap) -> Value {
    let fields = fields.keys().map(|name| {
        let values = fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        (name.to_string(), values.collect::<Vec<_>>().into())
    });
    fields.collect::<serde_json::Map<String, Value>>().into()
}
