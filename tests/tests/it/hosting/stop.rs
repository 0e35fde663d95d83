//! How a program ends.

use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::program::{Launch, curl, curl_exit_code};
use crate::support::{Certificate, Client, client_config, connect_tls, soon};

/// The second that a peer has to say goodbye in, and a little for the program itself.
const A_SECOND: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn every_signal_to_stop_ends_in_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let program = Launch::hello().start().await;
        curl([program.url("/").as_str()]).await;
        program.signal(signal);
        let end = program.end().await;
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{signal:?}");
    }
}

#[tokio::test]
async fn a_request_under_way_is_finished() {
    for option in ["--http1.1", "--http2-prior-knowledge"] {
        let mut program = Launch::features().start().await;
        let url = program.url("/delay/2000");
        let request = tokio::spawn(async move { curl([option, &url]).await });
        sleep(Duration::from_millis(700)).await;
        let stopping = Instant::now();
        program.signal(Signal::TERM);
        program.line("Application is shutting down").await;
        // Nobody else gets in.
        assert_eq!(curl_exit_code([program.url("/").as_str()]).await, 7, "connection refused");
        assert_eq!(soon(request).await.expect("curl runs").text(), "after 2000 ms");
        assert_eq!(program.end().await.code, Some(0));
        let took = stopping.elapsed();
        assert!(took > Duration::from_millis(500) && took < Duration::from_secs(3), "{option}: {took:?}");
    }
}

#[tokio::test]
async fn a_second_ctrl_c_ends_at_once() {
    let mut program = Launch::features().start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET /delay/20000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(200)).await;
    program.signal(Signal::INT);
    program.line("Application is shutting down").await;
    // A supervisor's signal does not cut the stop short.
    program.signal(Signal::TERM);
    sleep(Duration::from_millis(300)).await;
    let insisting = Instant::now();
    program.signal(Signal::INT);
    let end = program.end().await;
    assert_eq!(end.code, Some(130), "{end:?}");
    assert!(insisting.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_shutdown_timeout_aborts_what_is_left() {
    let program = Launch::features().args(["--shutdownTimeoutSeconds", "1"]).start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET /delay/20000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_millis(200)).await;
    let stopping = Instant::now();
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    let took = stopping.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");
    assert!(end.stdout.iter().any(|line| line.contains("the shutdown timeout has passed")), "{end:?}");
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn connections_have_a_grace_for_their_last_request() {
    let mut program = Launch::features().args(["--shutdownGraceSeconds", "20"]).start().await;
    let address = program.address();
    let (mut idle, mut other) = (Client::tcp(address).await, Client::tcp(address).await);
    assert!(!idle.get("/plaintext").await.closes() && !other.get("/plaintext").await.closes());
    program.signal(Signal::TERM);
    program.line("Application is shutting down").await;
    // Nobody else gets in, and who is in may ask once more.
    soon(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(other.is_silent().await);
    assert!(idle.get("/plaintext").await.closes());
    idle.closed().await;
    // Whoever insists does not want to wait for the other.
    program.signal(Signal::TERM);
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    other.closed().await;
}

#[tokio::test]
async fn the_grace_is_over_when_nobody_is_left() {
    let mut program = Launch::features().args(["--shutdownGraceSeconds", "20"]).start().await;
    let mut client = Client::tcp(program.address()).await;
    assert!(!client.get("/plaintext").await.closes());
    program.signal(Signal::TERM);
    program.line("Application is shutting down").await;
    soon(async { while !client.get("/plaintext").await.closes() {} }).await;
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn a_supervisor_is_told_of_start_and_stop() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let folder = crate::program::Folder::new();
    let path = folder.path().join("notify.sock");
    let name = format!("it-{}-notify", std::process::id());
    let sockets = [
        (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
        (
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            format!("@{name}"),
        ),
    ];
    for (socket, variable) in sockets {
        let mut program = Launch::hello().env("NOTIFY_SOCKET", &variable).start().await;
        let said = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 1000];
            socket.set_read_timeout(Some(crate::support::SOON)).unwrap();
            [(); 2].map(|()| {
                socket.recv(&mut buffer).map(|count| String::from_utf8_lossy(&buffer[..count]).into_owned())
            })
        });
        program.signal(Signal::TERM);
        program.line("Application is shutting down").await;
        let said = soon(said).await.unwrap().map(Result::unwrap);
        let first = said.each_ref().map(|said| said.lines().next().unwrap());
        assert_eq!(first, ["READY=1", "STOPPING=1"], "{variable}");
        assert_eq!(program.end().await.code, Some(0));
    }
    // Nobody listens there: one event says so.
    let program = Launch::hello().env("NOTIFY_SOCKET", "@nobody/listens/here").start().await;
    let end = program.stop().await;
    assert_eq!(end.stdout.iter().filter(|line| line.contains("NOTIFY_SOCKET")).count(), 2, "{end:?}");
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_the_stop() {
    let launch = Launch::features().args(["--urls", "http://127.0.0.1:0;https://127.0.0.1:0"]);
    let program = launch.env("ASPNETCORE_ENVIRONMENT", "Development").start().await;
    let tls_address: std::net::SocketAddr =
        program.urls()[1].trim_start_matches("https://").parse().expect("an address");
    // Kept alive, opened by a browser in advance, after a TLS handshake, and idle on HTTP/2.
    let mut kept_alive = Client::tcp(program.address()).await;
    kept_alive.get("/plaintext").await;
    let _preconnect = Client::tcp(program.address()).await;
    let pem = std::fs::read(program.folder().path().join("data/server-kestrel/dev-certs/localhost.crt"));
    let trusted = trusting(&pem.expect("a certificate"));
    let stream = tokio::net::TcpStream::connect(tls_address).await.expect("connects");
    let mut tls = connect_tls(stream, trusted).await.expect("a handshake");
    let mut http2 = Client::tcp(program.address()).await;
    http2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    http2.take(9).await;
    tls.flush().await.expect("an open connection");

    let stopping = Instant::now();
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(stopping.elapsed() < A_SECOND, "{:?}", stopping.elapsed());
    kept_alive.closed().await;
}

#[tokio::test]
async fn a_tls_handshake_that_has_not_begun_does_not_hold_up_the_stop() {
    let launch = Launch::of("hello").args(["--urls", "https://127.0.0.1:0"]);
    let program = launch.env("ASPNETCORE_ENVIRONMENT", "Development").start().await;
    let _preconnect = Client::tcp(program.address()).await;
    sleep(Duration::from_millis(100)).await;
    let stopping = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(program.end().await.code, Some(0));
    assert!(stopping.elapsed() < A_SECOND, "{:?}", stopping.elapsed());
}

/// A client of TLS that trusts this certificate.
fn trusting(pem: &[u8]) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    let der = rustls::pki_types::CertificateDer::from_pem_slice(pem).expect("a certificate");
    client_config(&Certificate { der, ..Certificate::new() }, &["http/1.1"])
}

#[tokio::test]
async fn server_sent_events_end_when_the_program_stops() {
    let program = Launch::features().start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.take_until("data: 0\n\n").await;
    let stopping = Instant::now();
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(stopping.elapsed() < Duration::from_secs(1), "{:?}", stopping.elapsed());
    // The response is complete: the last chunk came.
    assert!(client.rest().await.ends_with(b"0\r\n\r\n"));
}
