//! Sockets that a parent process hands over, by systemd's protocol (`LISTEN_FDS`): the server is a process of its
//! own, `src/bin/inherited-listener.rs`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Client, soon};

/// The shell moves its standard input and output to the descriptors of the protocol and becomes the server.
const HAND_OVER: &str = r#"LISTEN_PID=${PID:-$$} exec "$0" "$@" 3<&0 4<&1 0</dev/null 1>/dev/null"#;

struct Server {
    child: Child,
    /// What it has said until it listened, or until it ended.
    said: String,
}

/// Starts the server with one or two sockets.
async fn start(sockets: Vec<TcpListener>, names: &str, pid: Option<&str>, endpoints: &[&str]) -> Server {
    let count = sockets.len();
    let mut sockets = sockets.into_iter().map(|socket| Stdio::from(OwnedFd::from(socket)));
    let mut command = Command::new("sh");
    command.arg("-c").arg(HAND_OVER).arg(env!("CARGO_BIN_EXE_inherited-listener")).args(endpoints);
    command.env("LISTEN_FDS", count.to_string()).env("LISTEN_FDNAMES", names);
    if let Some(pid) = pid {
        command.env("PID", pid);
    }
    command
        .stdin(sockets.next().unwrap_or_else(Stdio::null))
        .stdout(sockets.next().unwrap_or_else(Stdio::null));
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    soon(async {
        let mut byte = [0];
        while !said.ends_with("\n\n") && output.read(&mut byte).await.is_ok_and(|count| count > 0) {
            said.push(char::from(byte[0]));
        }
    })
    .await;
    Server { child, said }
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The name of the endpoint that answers there.
async fn name_at(address: SocketAddr) -> String {
    Client::tcp(address).await.get("/").await.text().to_owned()
}

#[tokio::test]
async fn without_endpoints_each_socket_is_served_under_its_name() {
    let ((one, first), (two, second)) = (socket(), socket());
    let server = start(vec![one, two], "one:two", None, &[]).await;
    assert_eq!(server.said, format!("listening on http://{first}\nlistening on http://{second}\n\n"));
    assert_eq!(name_at(first).await, "one");
    assert_eq!(name_at(second).await, "two");
}

#[tokio::test]
async fn sockets_need_no_names() {
    let (one, first) = socket();
    let server = start(vec![one], "", None, &[]).await;
    assert_eq!(server.said, format!("listening on http://{first}\n\n"));
    assert_eq!(name_at(first).await, "unnamed");
}

#[tokio::test]
async fn a_socket_belongs_to_the_endpoint_of_its_name_else_of_its_address() {
    let ((one, first), (two, second)) = (socket(), socket());
    let by_address = format!("shop=http://{second}");
    // The endpoint of the same name has another address, which is not bound.
    let server = start(vec![one, two], "admin:", None, &[&by_address, "admin=http://127.0.0.1:1"]).await;
    assert_eq!(server.said, format!("listening on http://{second}\nlistening on http://{first}\n\n"));
    assert_eq!(name_at(first).await, "admin");
    assert_eq!(name_at(second).await, "shop");
}

#[tokio::test]
async fn a_socket_that_belongs_to_no_endpoint_fails_the_start() {
    let (one, first) = socket();
    let mut server = start(vec![one], "lost", None, &["shop=http://127.0.0.1:0"]).await;
    assert!(server.said.contains("'lost'") && server.said.contains(&first.to_string()), "{}", server.said);
    assert_eq!(soon(server.child.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    let (one, first) = socket();
    let server = start(vec![one], "", Some("1"), &["shop=http://127.0.0.1:0"]).await;
    assert!(server.said.starts_with("listening on ") && !server.said.contains(&first.to_string()));
}
