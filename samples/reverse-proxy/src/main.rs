//! An application behind a reverse proxy: `cargo run -p reverse-proxy`. README.md has the files of each proxy.
//!
//! It answers as the sample `features` does, and besides:
//!
//! | path | answers |
//! |---|---|
//! | `/whoami` | who the client is, and where it thinks it is, as the proxy tells |
//! | `/healthz/live`, `/healthz/ready` | 200; the second one 503 from the moment when a stop is announced |

mod forwarded;

use hosting::server_abstractions::{HttpConnectionFeature, ProxyProtocolFeature, TlsConnectionFeature};
use hosting::{
    Body, Error, HealthChecks, HttpRequestFeature, Request, RequestFeatures, Response, WebApplication,
};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let builder = WebApplication::builder();
    let forwarded = forwarded::layer(builder.configuration_monitor())?;
    builder
        // It needs nothing but itself; an application with a database has a check for it.
        .health_checks(HealthChecks::new())
        .pipeline(move |pipeline| pipeline.layer(forwarded).map("/whoami", who))
        .build(features::handle)?
        .run()
        .await
}

async fn who(request: Request<Body>) -> Response<Body> {
    let features = request.features();
    let connection = features.get::<dyn HttpConnectionFeature>();
    let proxy = features.get::<dyn ProxyProtocolFeature>();
    let tls = features.get::<dyn TlsConnectionFeature>();
    let certificate = tls.as_ref().and_then(|tls| tls.client_certificate());
    let path_base = request.path_base();
    // Over HTTP/2 the authority of the target stands in the place of the field.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let facts = json!({
        "remote": connection.and_then(|connection| connection.remote_address()).map(|address| address.ip().to_string()),
        "scheme": request.scheme().as_str(),
        "host": host.or(authority),
        // The last part is this answer's own place.
        "path_base": path_base.strip_suffix("/whoami").unwrap_or(&path_base),
        "client_certificate": certificate.map(|certificate| certificate.subject()),
        "protocol": request.protocol(),
        "proxy_protocol": proxy.as_ref().map(|proxy| proxy.version()),
        "authority": proxy.as_ref().and_then(|proxy| proxy.authority()),
        "forwarded_for": request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok()),
    });
    let mut response = Response::new(Body::from(facts.to_string()));
    response.headers_mut().insert("content-type", hosting::HeaderValue::from_static("application/json"));
    response
}
