//! What holds whatever stands in the fields.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Response};
use proptest::prelude::*;
use server_abstractions::{App, Body, HttpConnectionFeature, RequestFeatures, TlsConnectionFeature};
use server_proxy_integration::{
    CertificateForwardingLayer, CertificateForwardingOptions, CertificateSource, ForwardedFields,
    ForwardedHeadersLayer, ForwardedHeadersOptions, ForwardedSource, HostFilteringLayer,
    HostFilteringOptions, IisIntegration, IisIntegrationOptions, PathBaseLayer, ProxyIntegrationLayer,
};
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use super::{PeerAt, Seen, parse_peer};

const NAMES: [&str; 12] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "forwarded",
    "host",
    "x-client-cert",
    "client-cert",
    "client-cert-chain",
    "ms-aspnetcore-token",
    "ms-aspnetcore-clientcert",
    "ms-aspnetcore-event",
];

/// Any bytes that a field can have, often such that look right.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let any = proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..60);
    let piece = prop_oneof![
        Just("1.2.3.4"),
        Just("[::1]:80"),
        Just("::1"),
        Just(","),
        Just(", "),
        Just("\""),
        Just("\\"),
        Just(";"),
        Just("for="),
        Just("proto=https"),
        Just("host="),
        Just("unknown"),
        Just("_x"),
        Just(":"),
        Just("%2F"),
        Just("/p"),
        Just("%"),
        Just("https"),
        Just("a.b"),
        Just("é"),
        Just("t"),
        Just("-----BEGIN CERTIFICATE-----"),
        Just("-----END CERTIFICATE-----"),
        Just("%0A"),
        Just("MIIB"),
        Just("shutdown"),
    ];
    let likely = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![any, likely]
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    proptest::collection::vec((proptest::sample::select(&NAMES[..]), value()), 0..8)
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), Just("http://a/x".to_owned()), "/[a-z%./]{0,20}"]
}

fn request(peer: &str, target: &str, fields: &[(&'static str, Vec<u8>)]) -> Option<Request<Body>> {
    let mut request = Request::get(target).body(Body::empty()).ok()?;
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    request.features_mut().set::<dyn HttpConnectionFeature>(Arc::new(PeerAt(Some(parse_peer(peer)))));
    Some(request)
}

fn options() -> impl Strategy<Value = ForwardedHeadersOptions> {
    let source = prop_oneof![
        Just(ForwardedSource::XForwarded),
        Just(ForwardedSource::Forwarded),
        Just(ForwardedSource::Either)
    ];
    (source, any::<bool>(), any::<bool>(), proptest::option::of(0..5_u32)).prop_map(
        |(source, symmetry, remove, limit)| {
            let without_prefix = ForwardedFields::FOR | ForwardedFields::PROTO | ForwardedFields::HOST;
            let fields =
                if source == ForwardedSource::Forwarded { without_prefix } else { ForwardedFields::ALL };
            ForwardedHeadersOptions {
                fields,
                source,
                require_header_symmetry: symmetry,
                remove_untrusted: remove,
                forward_limit: limit,
                known_networks: vec!["10.0.0.0/8".parse().unwrap(), "1.2.3.0/24".parse().unwrap()],
                ..ForwardedHeadersOptions::default()
            }
        },
    )
}

/// What the innermost service sees behind the layers that pass requests on.
fn behind(options: &ForwardedHeadersOptions, request: Request<Body>) -> Seen {
    let certificate = |source| {
        let known_networks = options.known_networks.clone();
        let options = CertificateForwardingOptions {
            source,
            known_networks,
            ..CertificateForwardingOptions::default()
        };
        CertificateForwardingLayer::new(&options).unwrap()
    };
    let header = HeaderName::from_static("x-client-cert");
    let service = ServiceBuilder::new()
        .layer(ForwardedHeadersLayer::new(options).unwrap())
        .layer(certificate(CertificateSource::UrlEncodedPem { header: header.clone() }))
        .layer(certificate(CertificateSource::Base64Der { header }))
        .layer(certificate(CertificateSource::ClientCert))
        .service(service_fn(async |request: Request<Body>| Ok::<_, Infallible>(Seen::of(&request))));
    block_on(service.oneshot(request))
}

fn block_on<T>(future: impl Future<Output = Result<T, Infallible>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future).unwrap_or_else(|never| match never {})
}

/// The status, and what the innermost service sees if it is reached, behind four layers: one around the other, or as one.
fn behind_four(
    options: &ForwardedHeadersOptions,
    as_one: bool,
    request: Request<Body>,
) -> (u16, Option<Seen>) {
    let hosts = HostFilteringLayer::new(&HostFilteringOptions::from_list("a.b;*.c")).unwrap();
    let forwarded = ForwardedHeadersLayer::new(options).unwrap();
    let certificates = CertificateForwardingLayer::new(&CertificateForwardingOptions {
        known_networks: options.known_networks.clone(),
        ..CertificateForwardingOptions::default()
    })
    .unwrap();
    let path_base = PathBaseLayer::new("/p").unwrap();
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Body>| {
        sender.send(Seen::of(&request)).unwrap();
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let app = if as_one {
        // In another order than the right one.
        let layer = ProxyIntegrationLayer::new().path_base(path_base).certificate_forwarding(certificates);
        App::new(layer.forwarded_headers(forwarded).host_filtering(hosts).layer(service))
    } else {
        let layers = ServiceBuilder::new().layer(hosts).layer(forwarded).layer(certificates).layer(path_base);
        App::new(layers.service(service))
    };
    let status = block_on(app.oneshot(request)).status().as_u16();
    (status, seen.try_recv().ok())
}

proptest! {
    #[test]
    fn layers_as_one_do_what_they_do_one_around_the_other(
        options in options(),
        target in target(),
        fields in fields(),
        is_known in any::<bool>(),
    ) {
        let peer = if is_known { "10.0.0.1" } else { "99.9.9.9" };
        let requests = (request(peer, &target, &fields), request(peer, &target, &fields));
        let (Some(one), Some(other)) = requests else { return Ok(()) };
        let (status, seen) = behind_four(&options, true, one);
        let (expected_status, expected) = behind_four(&options, false, other);
        prop_assert_eq!(status, expected_status);
        prop_assert_eq!(seen.is_some(), expected.is_some());
        if let (Some(seen), Some(expected)) = (seen, expected) {
            let certificate = |seen: &Seen| {
                let tls = seen.features.get::<dyn TlsConnectionFeature>()?;
                tls.client_certificate().map(|certificate| certificate.der().to_vec())
            };
            prop_assert_eq!(certificate(&seen), certificate(&expected));
            prop_assert_eq!(seen.remote, expected.remote);
            prop_assert_eq!(seen.scheme, expected.scheme);
            prop_assert_eq!(seen.uri, expected.uri);
            prop_assert_eq!(seen.path_base, expected.path_base);
            prop_assert_eq!(seen.headers, expected.headers);
        }
    }

    #[test]
    fn an_unknown_peer_changes_nothing(options in options(), target in target(), fields in fields()) {
        let (Some(sent), Some(same)) = (request("99.9.9.9", &target, &fields), request("99.9.9.9", &target, &fields)) else {
            return Ok(());
        };
        let (before, after) = (Seen::of(&same), behind(&options, sent));
        prop_assert_eq!(after.remote, before.remote);
        prop_assert_eq!(after.scheme, before.scheme);
        prop_assert_eq!(after.headers.get("host"), before.headers.get("host"));
        prop_assert_eq!(after.uri, before.uri);
        prop_assert_eq!(after.path_base, before.path_base);
        prop_assert!(after.features.get::<dyn TlsConnectionFeature>().is_none());
    }

    #[test]
    fn no_bytes_of_a_known_peer_make_a_layer_panic(options in options(), target in target(), fields in fields()) {
        let Some(sent) = request("10.0.0.1", &target, &fields) else { return Ok(()) };
        let seen = behind(&options, sent);
        if let Some(feature) = seen.features.get::<dyn TlsConnectionFeature>() {
            let _ = (feature.client_certificate(), feature.client_certificate_chain());
        }
        if options.remove_untrusted {
            prop_assert!(seen.headers.keys().all(|name| !name.as_str().contains("forwarded")));
        }
    }

    #[test]
    fn what_stands_left_of_a_known_proxys_entry_does_not_hide_it(options in options(), junk in value(), is_new in any::<bool>()) {
        // Whatever a client sends, the proxy's own entry is the last one.
        let (name, entry, source) = if is_new {
            ("forwarded", "for=203.0.113.9;proto=https;host=b", ForwardedSource::Forwarded)
        } else {
            ("x-forwarded-for", "203.0.113.9", ForwardedSource::XForwarded)
        };
        let without_prefix = ForwardedFields::FOR | ForwardedFields::PROTO | ForwardedFields::HOST;
        let fields = if is_new { without_prefix } else { ForwardedFields::FOR };
        let options = ForwardedHeadersOptions { source, fields, forward_limit: None, require_header_symmetry: false, ..options };
        let value = [&junk[..], b", ", entry.as_bytes()].concat();
        let Some(sent) = request("10.0.0.1", "/", &[(name, value)]) else { return Ok(()) };
        prop_assert_eq!(behind(&options, sent).remote, Some("203.0.113.9:0".parse::<SocketAddr>().unwrap()));
    }

    #[test]
    fn layers_that_answer_do_not_panic_and_keep_strangers_out(target in target(), fields in fields()) {
        let Some(sent) = request("99.9.9.9", &target, &fields) else { return Ok(()) };
        let tokens = sent.headers().get_all("ms-aspnetcore-token").iter().collect::<Vec<_>>();
        let is_paired = tokens == ["t"];
        let settings = IisIntegrationOptions {
            port: 1.try_into().unwrap(),
            socket: None,
            path_base: "/a".to_owned(),
            token: "t".to_owned(),
            web_sockets: false,
            forward_client_certificate: true,
        };
        let shutdown = CancellationToken::new();
        let service = ServiceBuilder::new()
            .layer(IisIntegration::new(settings).unwrap().layer(shutdown.clone()).unwrap())
            .layer(HostFilteringLayer::new(&HostFilteringOptions::from_list("a.b")).unwrap())
            .layer(PathBaseLayer::new("/p").unwrap())
            .service(service_fn(async |request: Request<Body>| {
                if let Some(feature) = request.features().get::<dyn TlsConnectionFeature>() {
                    let _ = feature.client_certificate();
                }
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }));
        let status = block_on(service.oneshot(sent)).status();
        prop_assert!(is_paired || status == 400);
        prop_assert!(!shutdown.is_cancelled(), "a GET stops nothing");
    }
}
