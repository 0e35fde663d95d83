//! Kestrel with a tower service, and with `--layers` the four layers of `server-proxy-integration` that look at every
//! request around it. Takes `--urls` as the hosted programs do.

use std::convert::Infallible;

use benches::Error;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};
use server_proxy_integration::{
    CertificateForwardingLayer, CertificateForwardingOptions, ForwardedFields, ForwardedHeadersLayer,
    ForwardedHeadersOptions, HostFilteringLayer, HostFilteringOptions, PathBaseLayer, ProxyIntegrationLayer,
};
use tower::{Layer, service_fn};

async fn plaintext(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn app(is_layered: bool) -> Result<App, Error> {
    let service = service_fn(plaintext);
    if !is_layered {
        return Ok(App::new(service));
    }
    let fields = ForwardedFields::FOR | ForwardedFields::PROTO | ForwardedFields::HOST;
    let forwarded = ForwardedHeadersOptions { fields, ..ForwardedHeadersOptions::default() };
    let hosts = HostFilteringOptions::from_list("localhost;shop.example");
    let layer = ProxyIntegrationLayer::new()
        .host_filtering(HostFilteringLayer::new(&hosts)?)
        .forwarded_headers(ForwardedHeadersLayer::new(&forwarded)?)
        .certificate_forwarding(CertificateForwardingLayer::new(&CertificateForwardingOptions::default())?)
        .path_base(PathBaseLayer::new("/shop")?);
    Ok(App::new(layer.layer(service)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = app(std::env::args().any(|argument| argument == "--layers"))?;
    let endpoints = vec![Endpoint::url(&benches::url()?)?];
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut running = Box::new(kestrel).start(app).await?;
    running.finished().await?;
    Ok(())
}
