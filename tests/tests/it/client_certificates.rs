//! What a handler learns about the certificate of a client.

use std::net::IpAddr;

use std::time::{Duration, UNIX_EPOCH};

use http::{Request, Response};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType, SerialNumber};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use server_abstractions::{
    Body, ClientCertificate, RequestFeatures, SubjectAlternativeName, TlsConnectionFeature,
};
use server_kestrel::{ClientCertificateMode, ClientCertificateValidation, ClientCertificates, HttpsOptions};

use crate::program::{Folder, output_of};
use crate::support::{Certificate, Client, Memory, client_config_of, connect_tls};

fn own() -> (CertificateDer<'static>, KeyPair) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Shop, O=Admins");
    name.push(DnType::CommonName, DnValue::Utf8String(" t\u{ef}ll+7 \n".to_owned()));
    parameters.distinguished_name = name;
    parameters.serial_number = Some(SerialNumber::from_slice(&[0x8F, 0, 1]));
    parameters.subject_alt_names = vec![
        SanType::DnsName(Ia5String::try_from("till.example").unwrap()),
        SanType::Rfc822Name(Ia5String::try_from("till@shop.example").unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
        SanType::URI(Ia5String::try_from("spiffe://shop.example/till").unwrap()),
    ];
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2120, 1, 1);
    let key = KeyPair::generate().unwrap();
    (parameters.self_signed(&key).unwrap().der().clone(), key)
}

#[tokio::test]
async fn a_certificate_says_what_openssl_reads() {
    let (der, _) = own();
    let folder = Folder::new();
    let file = folder.write("own.der", &der).display().to_string();
    let show = async |what: &[&str]| {
        let arguments = ["x509", "-inform", "der", "-in", file.as_str(), "-noout"];
        output_of("openssl", arguments.iter().copied().chain(what.iter().copied())).await
    };
    let value = |text: String| text.trim().split_once('=').unwrap().1.replace(':', "");
    let certificate = ClientCertificate::from_der(der.to_vec()).unwrap();
    assert_eq!(certificate.der(), &der[..]);
    assert_eq!(certificate.thumbprint(), value(show(&["-fingerprint", "-sha1"]).await));
    assert_eq!(certificate.sha256_thumbprint(), value(show(&["-fingerprint", "-sha256"]).await));
    assert_eq!(certificate.serial_number(), value(show(&["-serial"]).await));
    assert_eq!(certificate.serial_number(), "8F0001");
    let openssl = show(&["-subject", "-nameopt", "esc_2253,esc_ctrl,utf8,sep_comma_plus_space"]).await;
    assert_eq!(
        certificate.subject().replace("\\=", "="),
        openssl.trim_end().strip_prefix("subject=").unwrap()
    );
    assert_eq!(certificate.subject(), "O=Shop\\, O\\=Admins, CN=\\ t\u{ef}ll\\+7 \\0A");
    assert_eq!(certificate.issuer(), certificate.subject());
    assert_eq!(certificate.common_name(), Some(" t\u{ef}ll+7 \n"));
    let address = |text: &str| SubjectAlternativeName::Ip(text.parse::<IpAddr>().unwrap());
    let expected = [
        SubjectAlternativeName::Dns("till.example".to_owned()),
        SubjectAlternativeName::Email("till@shop.example".to_owned()),
        address("192.0.2.7"),
        address("2001:db8::7"),
        SubjectAlternativeName::Uri("spiffe://shop.example/till".to_owned()),
    ];
    assert_eq!(certificate.subject_alternative_names(), expected);
    let day = |days: u64| UNIX_EPOCH + Duration::from_secs(days * 86_400);
    assert_eq!((certificate.not_before(), certificate.not_after()), (day(18_262), day(54_786)));
}

#[test]
fn what_is_no_certificate_is_an_error() {
    let (der, _) = own();
    let with_more = [&der[..], b"\0"].concat();
    for bytes in [&b""[..], b"certificate", &der[..der.len() - 1], &with_more] {
        let error = ClientCertificate::from_der(bytes).unwrap_err().to_string();
        assert!(error.starts_with("the certificate cannot be parsed: "), "{error}");
    }
}

async fn subject(request: Request<Body>) -> Response<Body> {
    let feature = request.features().get::<dyn TlsConnectionFeature>().unwrap();
    let text = feature.client_certificate().map_or("none", ClientCertificate::subject).to_owned();
    Response::new(Body::from(text))
}

#[tokio::test]
async fn a_resumed_session_has_the_certificate_of_its_first_connection() {
    let server = Certificate::new();
    let (der, key) = own();
    let https = HttpsOptions {
        client_certificates: ClientCertificates {
            mode: ClientCertificateMode::Require,
            validation: Some(ClientCertificateValidation::any()),
            ..ClientCertificates::default()
        },
        ..server.https()
    };
    let memory = Memory::start_endpoint(|endpoint| endpoint.https(https), subject).await;
    for version in [&TLS12, &TLS13] {
        let own = Certificate {
            pem: String::new(),
            key_pem: String::new(),
            der: der.clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        };
        let config = client_config_of(&server, &[], &[version], Some(own));
        for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
            // All of them remember sessions in one place.
            let tls = connect_tls(memory.connector.connect().await.unwrap(), config.clone()).await.unwrap();
            let seen = tls.get_ref().1.handshake_kind();
            let mut client = Client::new(tls);
            assert!(client.get("/").await.text().starts_with("O=Shop\\, "));
            assert_eq!(seen, Some(kind), "{version:?}");
        }
    }
}
