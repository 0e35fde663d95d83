//! What the layers tell of fields that they do not believe, so that whoever has forgotten an option finds it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::{Request, Response};
use server_abstractions::{Address, EndpointFeature, RequestFeatures};
use server_proxy_integration::{
    CertificateForwardingLayer, CertificateForwardingOptions, ForwardedFields, ForwardedHeadersLayer,
    ForwardedHeadersOptions, HostFilteringLayer, HostFilteringOptions,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::layers::Captured;

/// The lines that a request with these fields leaves behind in the log.
async fn told<L>(layer: &L, fields: &[(&str, &str)], change: impl Fn(&mut Request<()>)) -> Vec<String>
where
    L: Layer<tower::util::BoxCloneService<Request<()>, Response<bytes::Bytes>, Infallible>>,
    L::Service: Service<Request<()>>,
{
    let inner = service_fn(async |_: Request<()>| Ok(Response::new(bytes::Bytes::new())));
    let captured = Captured::default();
    let guard = captured.start();
    let request =
        fields.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    let mut request = request.body(()).unwrap();
    change(&mut request);
    let service = layer.layer(tower::util::BoxCloneService::new(inner));
    assert!(service.oneshot(request).await.is_ok());
    drop(guard);
    captured.text().lines().map(str::to_owned).collect()
}

fn from(peer: &str) -> impl Fn(&mut Request<()>) + use<> {
    let peer: SocketAddr = peer.parse().unwrap();
    move |request| {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
}

fn forwarded() -> ForwardedHeadersOptions {
    ForwardedHeadersOptions { fields: ForwardedFields::ALL, ..ForwardedHeadersOptions::default() }
}

struct Unix(Address);

impl EndpointFeature for Unix {
    fn name(&self) -> Option<&str> {
        None
    }

    fn address(&self) -> &Address {
        &self.0
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_known_is_told_once_with_what_to_do() {
    let layer = ForwardedHeadersLayer::new(&forwarded()).unwrap();
    let fields = [("x-forwarded-for", "192.0.2.7")];
    assert_eq!(told(&layer, &[], from("198.51.100.1:9")).await, [""; 0]);
    assert_eq!(told(&layer, &fields, from("127.0.0.1:9")).await, [""; 0]);
    let lines = told(&layer, &fields, from("198.51.100.1:9")).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["INFO", "peer=198.51.100.1:9", "known_proxies", "known_networks", "ForwardedHeadersOptions"]
    {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    // A clone is the same layer.
    let lines = told(&layer.clone(), &fields, from("198.51.100.2:9")).await;
    assert!(lines.len() == 1 && lines[0].contains("DEBUG") && lines[0].contains("198.51.100.2"), "{lines:?}");
}

#[tokio::test]
async fn a_peer_without_an_address_is_told_what_it_lacks() {
    let fields = [("x-forwarded-for", "192.0.2.7")];
    let layer = ForwardedHeadersLayer::new(&forwarded()).unwrap();
    let lines = told(&layer, &fields, |_| {}).await;
    assert!(lines[0].contains("into_make_service_with_connect_info"), "{lines:?}");
    assert!(lines[0].contains("cargo feature axum"), "{lines:?}");
    let layer = ForwardedHeadersLayer::new(&forwarded()).unwrap();
    let lines = told(&layer, &fields, |request| {
        let address = "http://unix:/run/a.sock".parse().unwrap();
        request.features_mut().set::<dyn EndpointFeature>(Arc::new(Unix(address)));
    })
    .await;
    assert!(lines[0].contains("INFO") && lines[0].contains("set trust_unix_sockets"), "{lines:?}");
}

#[tokio::test]
async fn a_certificate_from_somebody_unknown_is_told_in_the_same_way() {
    let layer = CertificateForwardingLayer::new(&CertificateForwardingOptions::default()).unwrap();
    for level in ["INFO", "DEBUG"] {
        let lines = told(&layer, &[("x-client-cert", "AAAA")], from("198.51.100.1:9")).await;
        assert!(lines[0].contains(level) && lines[0].contains("198.51.100.1"), "{lines:?}");
    }
}

#[tokio::test]
async fn the_last_entries_of_a_list_are_told_at_debug_alone() {
    let options = ForwardedHeadersOptions { forward_limit: Some(2), ..forwarded() };
    let layer = ForwardedHeadersLayer::new(&options).unwrap();
    // A client that puts an entry in front of that of a known proxy is nothing unusual.
    let lines = told(&layer, &[("x-forwarded-for", "203.0.113.9, 192.0.2.7")], from("127.0.0.1:9")).await;
    assert!(lines.len() == 1 && lines[0].contains("DEBUG"), "{lines:?}");
}

#[tokio::test]
async fn values_that_are_passed_over_are_told_with_why() {
    let options = ForwardedHeadersOptions { allowed_hosts: vec!["shop.example".to_owned()], ..forwarded() };
    let layer = ForwardedHeadersLayer::new(&options).unwrap();
    for (name, value, why) in [
        ("x-forwarded-proto", "ht tp", "scheme is passed over"),
        ("x-forwarded-host", "evil.example", "it is not among allowed_hosts"),
        ("x-forwarded-host", "a b", "host is passed over: it is none"),
        ("x-forwarded-prefix", "below", "it is no path from / on"),
        ("x-forwarded-for", "somebody", "its address is none"),
    ] {
        let lines = told(&layer, &[(name, value)], from("127.0.0.1:9")).await;
        assert!(
            lines.len() == 1 && lines[0].contains("DEBUG") && lines[0].contains(why),
            "{name}: {lines:?}"
        );
        assert!(lines[0].contains(value), "{name}: {lines:?}");
    }
    // What is empty says nothing.
    assert_eq!(told(&layer, &[("x-forwarded-prefix", "")], from("127.0.0.1:9")).await, [""; 0]);
}

#[tokio::test]
async fn a_host_that_is_refused_is_told_with_the_key_and_the_option() {
    let layer = HostFilteringLayer::new(&HostFilteringOptions::from_list("shop.example")).unwrap();
    let lines = told(&layer, &[("host", "evil.example")], |_| {}).await;
    for part in ["INFO", "evil.example", "AllowedHosts", "allowed_hosts"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
}
