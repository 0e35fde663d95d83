//! The sample `reverse-proxy` as its files for IIS, systemd and Kubernetes start it, and the sample `operations`, by itself and as
//! docs/production.md installs it.

use std::net::Ipv4Addr;

use hosting::{Configuration, HostOptions};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

use crate::program::workspace;
use crate::support::{Client, Response, soon};

mod iis;
mod kubernetes;
mod operations;
mod production;
mod systemd;

/// A file of the sample with other ports and paths; each text that is replaced must be there.
fn file(name: &str, replacements: &[(&str, &str)]) -> String {
    let path = workspace().join("samples/reverse-proxy").join(name);
    let mut text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (from, to) in replacements {
        assert!(text.contains(from), "{}: {from}", path.display());
        text = text.replace(from, to);
    }
    text
}

/// Connects from an address of loopback, so that a client is told from a proxy.
async fn connect_from(from: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(from), 0).into()).unwrap();
    soon(socket.connect((Ipv4Addr::LOCALHOST, port).into())).await.unwrap()
}

/// A request without a body to `shop.example`, with these lines of fields.
fn request(line: &str, fields: &[&str]) -> String {
    let fields = fields.iter().fold(String::new(), |all, field| format!("{all}{field}\r\n"));
    format!("{line} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n{fields}\r\n")
}

fn json(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

/// What the application thinks of a client.
async fn who(client: &mut Client, path: &str, fields: &[&str]) -> Value {
    json(&client.exchange(&request(&format!("GET {path}"), fields)).await)
}

/// Sends half of a request, until half of its answer has come: it is under way.
async fn begin(client: &mut Client) {
    client.send("POST /echo HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 6\r\n\r\none").await;
    client.take_until("one").await;
}

/// The other half.
async fn finish(client: &mut Client) {
    client.send("two").await;
    client.take_until("two").await;
}

/// How long a program with these settings may take to stop, in seconds.
fn shutdown_seconds(settings: &str) -> u64 {
    let settings = Configuration::builder().json_text("appsettings.json", settings).build().unwrap();
    let seconds = settings.get_parsed("shutdownTimeoutSeconds").unwrap();
    seconds.unwrap_or(HostOptions::default().shutdown_timeout.as_secs())
}

/// README.md of the sample says what these names are for.
fn are_told_of<'a>(names: impl IntoIterator<Item = &'a str>) {
    let readme = file("README.md", &[]);
    let mut count = 0;
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "README.md says nothing of `{name}`");
        count += 1;
    }
    assert!(count > 0);
}
