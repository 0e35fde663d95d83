//! Certificates of clients, with the lines that the README gives for each proxy.

use http::{HeaderName, Request};
use server_abstractions::{App, Body, RequestFeatures, Running, TlsConnectionFeature};
use server_proxy_integration::{CertificateForwardingLayer, CertificateForwardingOptions, CertificateSource};
use tower_layer::Layer;

use super::*;
use crate::support::{Authority, loopback, options, socket_address};

/// The lines of the README's block in a language, without comments, with the file of the clients' authorities.
fn block(language: &str, authorities: &str) -> Vec<String> {
    let readme = file("README.md", &[("/etc/ssl/clients.pem", authorities)]);
    let section = readme.split_once("\n## Certificates of clients\n").expect("a section").1;
    let block = section.split_once(&format!("```{language}\n")).expect("a block").1;
    let lines = block.lines().take_while(|line| *line != "```");
    lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Says whose certificate it is told of.
async fn application(source: CertificateSource) -> Running {
    let options_of_layer = CertificateForwardingOptions { source, ..CertificateForwardingOptions::default() };
    let layer = CertificateForwardingLayer::new(&options_of_layer).unwrap();
    let app = App::new(async |request: Request<Body>| {
        let tls = request.features().get::<dyn TlsConnectionFeature>();
        let certificate = tls.as_ref().and_then(|tls| tls.client_certificate());
        let subject = certificate.map_or("nobody".to_owned(), |own| own.subject().to_owned());
        http::Response::new(Body::from(subject))
    });
    crate::support::start(options([loopback()]), App::new(layer.layer(app))).await
}

/// The proxy of each test asks for certificates of this authority.
struct Clients {
    folder: Folder,
    authorities: String,
    arguments: Vec<String>,
}

impl Clients {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let authorities = folder.write("clients.pem", &authority.pem).display().to_string();
        let own = authority.issue("customer");
        let path = |name: &str, pem: &str| folder.write(name, pem).display().to_string();
        let arguments = ["--cert".to_owned(), path("own.pem", &own.pem), "--key".to_owned()];
        let arguments = arguments.into_iter().chain([path("own.key", &own.key_pem)]).collect();
        Self { folder, authorities, arguments }
    }

    /// The application hears of the certificate that the proxy has seen, and of no other.
    async fn are_told_of(&self, http: u16, https: u16) {
        let own = std::fs::read(self.folder.path().join("own.pem")).unwrap();
        let der: String =
            String::from_utf8(own).unwrap().lines().filter(|line| !line.starts_with('-')).collect();
        let spoofed = format!("X-Client-Cert: {der}");
        let with: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        let both = [&with[..], &["-H", &spoofed]].concat();
        for (scheme, port, arguments, expected) in [
            ("https", https, &with[..], "CN=customer"),
            ("https", https, &both, "CN=customer"),
            ("https", https, &[], "nobody"),
            ("https", https, &["-H", &spoofed], "nobody"),
            ("http", http, &["-H", &spoofed], "nobody"),
        ] {
            for path in ["/", "/below/"] {
                let answer = curl(scheme, port, path, arguments).await;
                assert!(answer.contains(expected), "{scheme} {path} {arguments:?}: {answer}");
            }
        }
    }
}

fn pem() -> CertificateSource {
    CertificateSource::UrlEncodedPem { header: HeaderName::from_static("x-client-cert") }
}

fn base64() -> CertificateSource {
    CertificateSource::Base64Der { header: HeaderName::from_static("x-client-cert") }
}

#[tokio::test]
async fn certificates_come_through_nginx() {
    let clients = Clients::new();
    let running = application(pem()).await;
    let [authorities, verify, field] = &block("nginx", &clients.authorities)[..] else {
        panic!("three lines")
    };
    let server = "server_name shop.example;";
    let node = "X-Forwarded-For   $remote_addr;";
    let nginx = nginx::Nginx::start(
        &socket_address(&running.addresses()[0]).to_string(),
        &[(server, &format!("{server}\n{authorities}\n{verify}")), (node, &format!("{node}\n{field}"))],
    );
    clients.are_told_of(nginx.http, nginx.https).await;
}

#[tokio::test]
async fn certificates_come_through_apache() {
    let clients = Clients::new();
    let running = application(pem()).await;
    let lines = block("apache", &clients.authorities);
    let (common, tls) = lines.split_first().expect("lines");
    let (name, engine) = ("    ServerName shop.example\n", "    SSLEngine on\n");
    let proxied = apache::start(
        &format!("http://{}/", socket_address(&running.addresses()[0])),
        "{ \"urls\": \"http://127.0.0.1:0\" }".to_owned(),
        &[(name, &format!("{name}{common}\n")), (engine, &format!("{engine}{}\n", tls.join("\n")))],
    )
    .await;
    clients.are_told_of(proxied.http, proxied.https).await;
}

#[tokio::test]
async fn certificates_come_through_haproxy() {
    let clients = Clients::new();
    let running = application(base64()).await;
    let lines = block("haproxy", &clients.authorities);
    let (bind, fields) = lines.split_first().expect("lines");
    let old = "bind :::443 v4v6 ssl crt /etc/ssl/shop.pem alpn h2,http/1.1";
    let mode = "option forwardfor  ";
    let (proxied, _) = haproxy::start(
        &socket_address(&running.addresses()[0]).to_string(),
        "{ \"urls\": \"http://127.0.0.1:0\" }",
        &[(old, bind), (mode, &format!("{}\n    {mode}", fields.join("\n    ")))],
    )
    .await;
    clients.are_told_of(proxied.http, proxied.https).await;
}
