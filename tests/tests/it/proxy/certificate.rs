//! Client certificates that a proxy passes on, in each of their forms.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use server_abstractions::{App, FeatureCollection, TlsConnectionFeature};
use server_proxy_integration::{
    CertificateForwardingLayer, CertificateForwardingOptions, CertificateSource, ForwardedFields,
    ForwardedHeadersLayer,
};
use tower_layer::Layer;

use super::forwarded_headers::everyone;
use super::{Probe, parse_peer};
use crate::support::Certificate;

/// What a load balancer of AWS encodes.
const AWS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'+').remove(b'=').remove(b'/');

fn options(source: CertificateSource) -> CertificateForwardingOptions {
    CertificateForwardingOptions { source, ..CertificateForwardingOptions::default() }
}

async fn probe(peer: &str, options: &CertificateForwardingOptions) -> Probe {
    let layer = CertificateForwardingLayer::new(options).unwrap();
    Probe::start(peer, |app| App::new(layer.layer(app))).await
}

/// A certificate and its chain.
type Certificates = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// What the feature shows; none if there is no feature.
fn certificates(features: &FeatureCollection) -> Option<Certificates> {
    let feature = features.get::<dyn TlsConnectionFeature>()?;
    Some((
        feature.client_certificate().map(|own| own.der().to_vec()),
        feature.client_certificate_chain().to_vec(),
    ))
}

fn base64_der() -> CertificateSource {
    CertificateSource::Base64Der { header: HeaderName::from_static("x-client-cert") }
}

fn url_encoded_pem() -> CertificateSource {
    CertificateSource::UrlEncodedPem { header: HeaderName::from_static("x-client-cert") }
}

#[tokio::test]
async fn der_in_base64_is_read() {
    let certificate = Certificate::new();
    let (der, base64) = (certificate.der.to_vec(), STANDARD.encode(&certificate.der));
    let mut default = probe("127.0.0.1", &CertificateForwardingOptions::default()).await;
    let unpadded = STANDARD_NO_PAD.encode(&der);
    for text in [base64.clone(), unpadded] {
        let seen = default.get(&[("X-Client-Cert", &text)]).await;
        assert_eq!(certificates(&seen.features), Some((Some(der.clone()), Vec::new())));
    }
    assert_eq!(certificates(&default.get(&[]).await.features), None);
    assert_eq!(certificates(&default.get(&[("X-Client-Cert", " ")]).await.features), None);
    for bad in ["%", "AAAA", "MAMCAQE=", &format!("{base64}AAAA"), &base64[..base64.len() - 8]] {
        let seen = default.get(&[("X-Client-Cert", bad)]).await;
        assert_eq!(certificates(&seen.features), Some((None, Vec::new())), "{bad}");
    }
    // Two are one too many.
    let seen = default.get(&[("X-Client-Cert", &base64), ("X-Client-Cert", &base64)]).await;
    assert_eq!(certificates(&seen.features), Some((None, Vec::new())));

    let azure = CertificateSource::Base64Der { header: HeaderName::from_static("x-arr-clientcert") };
    let mut azure = probe("127.0.0.1", &options(azure)).await;
    let seen = azure.get(&[("X-ARR-ClientCert", &base64)]).await;
    assert_eq!(certificates(&seen.features), Some((Some(der), Vec::new())));
}

#[tokio::test]
async fn url_encoded_pem_is_read_as_nginx_writes_it() {
    let (certificate, issuer) = (Certificate::new(), Certificate::new());
    let (der, chain) = (certificate.der.to_vec(), issuer.der.to_vec());
    let mut probe = probe("::1", &options(url_encoded_pem())).await;
    let encode = |pem: &str| utf8_percent_encode(pem, NON_ALPHANUMERIC).to_string();
    let seen = probe.get(&[("X-Client-Cert", &encode(&certificate.pem))]).await;
    assert_eq!(certificates(&seen.features), Some((Some(der.clone()), Vec::new())));
    let aws = utf8_percent_encode(&certificate.pem, AWS).to_string();
    assert_eq!(
        certificates(&probe.get(&[("X-Client-Cert", &aws)]).await.features),
        Some((Some(der.clone()), Vec::new()))
    );
    let both = encode(&format!("{}{}", certificate.pem, issuer.pem));
    assert_eq!(
        certificates(&probe.get(&[("X-Client-Cert", &both)]).await.features),
        Some((Some(der), vec![chain]))
    );
    for bad in [
        "x".to_owned(),
        encode(&certificate.key_pem),
        encode(&certificate.pem.replace("MII", "AAA")),
        "%".to_owned(),
    ] {
        let seen = probe.get(&[("X-Client-Cert", &bad)]).await;
        assert_eq!(certificates(&seen.features), Some((None, Vec::new())), "{bad}");
    }
}

#[tokio::test]
async fn the_fields_of_rfc_9440_are_read() {
    let all = [Certificate::new(), Certificate::new(), Certificate::new()];
    let der = all.each_ref().map(|certificate| certificate.der.to_vec());
    let items = der.each_ref().map(|der| format!(":{}:", STANDARD.encode(der)));
    let mut probe = probe("127.0.0.1", &options(CertificateSource::ClientCert)).await;
    let seen = probe.get(&[("Client-Cert", &items[0])]).await;
    assert_eq!(certificates(&seen.features), Some((Some(der[0].clone()), Vec::new())));
    let chain =
        [("Client-Cert", &*items[0]), ("Client-Cert-Chain", &*items[1]), ("Client-Cert-Chain", &*items[2])];
    let expected = Some((Some(der[0].clone()), der[1..].to_vec()));
    assert_eq!(certificates(&probe.get(&chain).await.features), expected);
    let list = format!("{};a=1 , {}", items[1], items[2]);
    let fields = [("Client-Cert", &*items[0]), ("Client-Cert-Chain", &*list)];
    assert_eq!(certificates(&probe.get(&fields).await.features), expected);
    // A chain without a certificate is none.
    assert_eq!(certificates(&probe.get(&chain[1..]).await.features), None);
    for bad in [
        format!("{}, {}", items[0], items[1]),
        items[0].trim_matches(':').to_owned(),
        ":".to_owned(),
        "::".to_owned(),
        format!("{}x", items[0]),
    ] {
        let seen = probe.get(&[("Client-Cert", &bad)]).await;
        assert_eq!(certificates(&seen.features), Some((None, Vec::new())), "{bad}");
    }
}

#[tokio::test]
async fn from_an_unknown_peer_the_field_is_removed() {
    let certificate = STANDARD.encode(&Certificate::new().der);
    for (source, names) in [
        (base64_der(), &["x-client-cert"][..]),
        (url_encoded_pem(), &["x-client-cert"]),
        (CertificateSource::ClientCert, &["client-cert", "client-cert-chain"]),
    ] {
        for peer in ["10.0.0.1", ""] {
            let mut probe = probe(peer, &options(source.clone())).await;
            let fields: Vec<_> = names.iter().map(|name| (*name, &*certificate)).collect();
            let seen = probe.get(&fields).await;
            assert_eq!(certificates(&seen.features), None, "{source:?} {peer}");
            assert_eq!(names.iter().filter_map(|name| seen.header(name)).count(), 0);
        }
    }
    // Nobody is known without a proxy of ones own choice.
    let nobody = CertificateForwardingOptions {
        known_proxies: Vec::new(),
        known_networks: Vec::new(),
        ..options(base64_der())
    };
    let seen = probe("127.0.0.1", &nobody).await.get(&[("X-Client-Cert", &certificate)]).await;
    assert_eq!(certificates(&seen.features), None);
}

#[tokio::test]
async fn the_peer_of_the_socket_counts_and_not_the_client() {
    let certificate = STANDARD.encode(&Certificate::new().der);
    let (client, proxy) = ("1.1.1.1", "10.0.0.1");
    let forwarded = ForwardedHeadersLayer::new(&everyone(ForwardedFields::FOR)).unwrap();
    for (known, is_believed) in [(proxy, true), (client, false)] {
        let options = CertificateForwardingOptions {
            known_proxies: vec![known.parse().unwrap()],
            ..options(base64_der())
        };
        let layer = CertificateForwardingLayer::new(&options).unwrap();
        for layers_before in 0..3 {
            let mut probe = Probe::start(proxy, |app| {
                let app = App::new(layer.layer(app));
                (0..layers_before).fold(app, |app, _| App::new(forwarded.layer(app)))
            })
            .await;
            let seen =
                probe.get(&[("X-Client-Cert", &certificate), ("X-Forwarded-For", "1.1.1.1, 1.1.1.1")]).await;
            assert_eq!(certificates(&seen.features).is_some(), is_believed, "{known} {layers_before}");
            let remote = if layers_before == 0 { parse_peer(proxy) } else { parse_peer("1.1.1.1:0") };
            assert_eq!(seen.remote.unwrap(), remote);
        }
    }
}

#[tokio::test]
async fn a_layer_of_somebody_else_does_not_make_a_peer_known() {
    use server_abstractions::{HttpConnectionFeature, RequestFeatures};
    let certificate = STANDARD.encode(&Certificate::new().der);
    let layer = CertificateForwardingLayer::new(&options(base64_der())).unwrap();
    let mut probe = Probe::start("10.0.0.1", |app| {
        let inner = App::new(layer.layer(app));
        App::new(move |mut request: http::Request<server_abstractions::Body>| {
            let loopback = super::PeerAt(Some(parse_peer("127.0.0.1")));
            request.features_mut().set::<dyn HttpConnectionFeature>(std::sync::Arc::new(loopback));
            inner.handle(request)
        })
    })
    .await;
    let seen = probe.get(&[("X-Client-Cert", &certificate)]).await;
    assert_eq!((seen.remote.unwrap(), certificates(&seen.features)), (parse_peer("127.0.0.1"), None));
}

#[test]
fn a_field_that_stands_for_something_else_is_refused() {
    let source = CertificateSource::Base64Der { header: http::header::AUTHORIZATION };
    let error = CertificateForwardingLayer::new(&options(source)).unwrap_err().to_string();
    assert!(error.contains("authorization"), "{error}");
}
