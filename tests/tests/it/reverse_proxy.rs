//! The sample `reverse-proxy` behind nginx, Apache and HAProxy, started with the files of the sample. Clients come from
//! 127.0.0.2, so that their address is not that of the proxy.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::program::{Folder, Launch, Program, free_port, workspace};
use crate::support::{Certificate, Client, client_config, connect_tls_to, soon, within};

mod apache;
mod certificates;
mod documented;
mod haproxy;
mod long_lived;
mod nginx;
pub(crate) mod process;
mod restart;
mod settings;
mod trailers;

use long_lived::passes_on_what_lives_long;
use process::Process;
use restart::outlives_a_restart;
use trailers::{Trailers, passes_trailers_on};

/// A proxy, the application behind it, and where clients find them.
struct Proxied {
    /// Nobody while it is restarted.
    program: Option<Program>,
    settings: String,
    http: u16,
    https: u16,
    certificate: Certificate,
    /// Whether the proxy ends its client's kept connection when the application ends the one that it has kept itself.
    closes_kept: bool,
    /// Whether the proxy refuses requests whose line and field name different hosts.
    refuses_two_hosts: bool,
    folder: Folder,
    _proxy: Process,
}

/// A file of the sample with other ports and paths; each text that is replaced must be there.
fn file(name: &str, replacements: &[(&str, &str)]) -> String {
    let path = workspace().join("samples/reverse-proxy").join(name);
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "{}: {from}", path.display());
        text = text.replace(from, to);
    }
    text
}

/// A certificate where the files of the sample have one: chain and key apart, and both in one.
fn write_certificate(folder: &Folder) -> Certificate {
    let certificate = Certificate::named("shop.example");
    folder.write("shop.key", &certificate.key_pem);
    folder.write("shop.pem", certificate.pem.clone() + &certificate.key_pem);
    certificate
}

/// The application's settings with its endpoint for the proxy at a Unix socket, which the proxy's user may write to.
fn on_unix_socket(settings: &str, socket: &Path) -> String {
    let endpoint = r#"{ "Url": "http://127.0.0.1:5000" }"#;
    assert!(settings.contains(endpoint), "{settings}");
    let options = r#""SocketOptions": { "UnixMode": "0666" }"#;
    settings.replace(endpoint, &format!(r#"{{ "Url": "http://unix:{}", {options} }}"#, socket.display()))
}

async fn application(settings: &str) -> Program {
    let certificate = Certificate::new();
    Launch::of("reverse-proxy")
        .file("appsettings.json", settings)
        .file("shop.pem", certificate.pem + &certificate.key_pem)
        .start()
        .await
}

impl Proxied {
    async fn curl(&self, scheme: &str, path: &str, arguments: &[&str]) -> String {
        let port = if scheme == "https" { self.https } else { self.http };
        curl(scheme, port, path, arguments).await
    }

    async fn tcp(&self) -> TcpStream {
        soon(TcpStream::connect(("127.0.0.1", self.http))).await.unwrap()
    }

    async fn tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        let stream = soon(TcpStream::connect(("127.0.0.1", self.https))).await.unwrap();
        let config = client_config(&self.certificate, &[protocol]);
        connect_tls_to("shop.example", stream, config).await.unwrap()
    }

    async fn who(&self, scheme: &str, path: &str, arguments: &[&str]) -> Value {
        let answer = self.curl(scheme, path, arguments).await;
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }
}

async fn curl(scheme: &str, port: u16, path: &str, arguments: &[&str]) -> String {
    let (code, text) = try_curl(scheme, port, path, arguments).await;
    assert_eq!(code, Some(0), "{path} {arguments:?}: {text}");
    text
}

/// The exit code, and what came.
async fn try_curl(scheme: &str, port: u16, path: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let resolve = format!("shop.example:{port}:127.0.0.1");
    let url = format!("{scheme}://shop.example:{port}{path}");
    let mut command = tokio::process::Command::new("curl");
    command
        .args(["-sSk", "--interface", "127.0.0.2", "--resolve", &resolve, &url])
        .args(arguments)
        .kill_on_drop(true);
    // The large bodies take their time while other tests run.
    let output = within(Duration::from_secs(50), command.output()).await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &stderr)
}

/// Everything that is the same behind each of them.
async fn works(proxied: &mut Proxied) {
    tells_of_the_client(proxied).await;
    keeps_to_its_host(proxied).await;
    passes_bodies_on(proxied).await;
    keeps_connections(proxied).await;
    passes_on_what_lives_long(proxied).await;
    outlives_a_restart(proxied).await;
}

async fn tells_of_the_client(proxied: &Proxied) {
    let spoofed = [
        "x-forwarded-for: 203.0.113.9",
        "x-forwarded-proto: gopher",
        "x-forwarded-host: evil.example",
        "x-forwarded-prefix: /evil",
        "forwarded: for=203.0.113.9;proto=gopher",
    ];
    let spoofed: Vec<_> = spoofed.iter().flat_map(|field| ["-H", field]).collect();
    for (scheme, port) in [("http", proxied.http), ("https", proxied.https)] {
        let host = Value::from(format!("shop.example:{port}"));
        for (path, base) in [("/whoami", ""), ("/below/whoami", "/below")] {
            let plain = proxied.who(scheme, path, &[]).await;
            let seen = ["remote", "scheme", "host", "path_base", "protocol"].map(|fact| &plain[fact]);
            let expected = ["127.0.0.2".into(), scheme.into(), host.clone(), base.into(), "HTTP/1.1".into()];
            assert_eq!(seen, expected.each_ref(), "{path}");
            // What a client says about itself changes nothing.
            assert_eq!(proxied.who(scheme, path, &spoofed).await, plain, "{path}");
            // Nor does what it calls a matter of its own connection.
            let named =
                "Connection: close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix";
            assert_eq!(proxied.who(scheme, path, &["--http1.1", "-H", named]).await, plain, "{path}");
        }
    }
    for (scheme, port) in [("http", proxied.http), ("https", proxied.https)] {
        // Over IPv6.
        let resolve = format!("shop.example:{port}:[::1]");
        let who = proxied.who(scheme, "/whoami", &["--interface", "::1", "--resolve", &resolve]).await;
        assert_eq!((&who["remote"], &who["scheme"]), (&"::1".into(), &scheme.into()), "{who}");
        // The prefix without its slash.
        let answer = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"];
        let answer = proxied.curl(scheme, "/below", &answer).await;
        assert_eq!(answer, format!("301 {scheme}://shop.example:{port}/below/"));
    }
    // HTTP/2 with the client, HTTP/1.1 with the application.
    let edge =
        proxied.curl("https", "/whoami", &["--http2", "-o", "/dev/null", "-w", "%{http_version}"]).await;
    assert_eq!(edge, "2");
}

/// A request line may name the host as well as the field does, and the two may differ: the proxy has chosen the application
/// by the one, so the application must not hear of the other.
async fn keeps_to_its_host(proxied: &Proxied) {
    for scheme in ["http", "https"] {
        for path in ["/whoami", "/below/whoami"] {
            for host in ["Host: evil.example", "Host: evil.example:81"] {
                let target = format!("{scheme}://shop.example{path}");
                let arguments = ["--http1.1", "--request-target", target.as_str(), "-H", host];
                let answer = proxied.curl(scheme, path, &arguments).await;
                if proxied.refuses_two_hosts {
                    assert!(answer.contains("400 Bad request"), "{path} {host}: {answer}");
                    continue;
                }
                let who: Value = serde_json::from_str(&answer).unwrap();
                // A port is no name, and may be the field's.
                let name = who["host"].as_str().unwrap().trim_end_matches(":81");
                assert_eq!(name, "shop.example", "{path} {host}: {who}");
            }
        }
    }
}

/// 100 MB each way, with a length and in chunks; and what is sent only when the application asks for it.
async fn passes_bodies_on(proxied: &Proxied) {
    const LENGTH: &str = "100000000";
    let upload = proxied.folder.zeros("upload", 100_000_000).display().to_string();
    let length = ["-X", "POST", "-T", upload.as_str()];
    assert_eq!(proxied.curl("http", "/count", &length).await, LENGTH);
    let chunked = ["-X", "POST", "-T", upload.as_str(), "-H", "Transfer-Encoding: chunked"];
    assert_eq!(proxied.curl("https", "/count", &chunked).await, LENGTH);
    let size = ["-o", "/dev/null", "-w", "%{size_download}"];
    assert_eq!(proxied.curl("https", "/bytes/100000000", &size).await, LENGTH);
    let waits = ["-H", "Expect: 100-continue", "--expect100-timeout", "60", "-d", "abc"];
    assert_eq!(proxied.curl("http", "/echo", &waits).await, "abc");
}

/// 100 MB in both directions at the same time.
async fn passes_on_both_ways_at_once(proxied: &Proxied) {
    let upload = proxied.folder.zeros("upload", 100_000_000).display().to_string();
    let both = ["-X", "POST", "-T", upload.as_str(), "-o", "/dev/null", "-w", "%{size_download}"];
    assert_eq!(proxied.curl("http", "/echo", &both).await, "100000000");
}

/// Requests of many clients, one after the other, go over few connections: the next client may come before the proxy has
/// put away the connection of the last one. (The proxies of the tests have one process, and Apache keeps the connections
/// of each of its virtual hosts apart.)
async fn keeps_connections(proxied: &Proxied) {
    for scheme in ["http", "https"] {
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let facts = proxied.who(scheme, "/connection", &[]).await;
            ids.insert(facts["connection_id"].as_str().unwrap().to_owned());
        }
        assert!(ids.len() <= 5, "{scheme}: {ids:?}");
    }
}

/// The paths of the sample's certificate in a folder of the test.
fn certificate_paths(folder: &Path) -> (String, String) {
    let mut paths = (String::new(), String::new());
    let _ = write!(paths.0, "{}", folder.join("shop.pem").display());
    let _ = write!(paths.1, "{}", folder.join("shop.key").display());
    paths
}
