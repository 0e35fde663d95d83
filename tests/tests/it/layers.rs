//! Connection layers: what they see, in which order, and what they may do.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use server_abstractions::{
    Body, BoxError, BoxFuture, Connection, HttpConnectionFeature, Next, RequestFeatures, from_fn,
};
use server_kestrel::{ConnectionLoggingLayer, HttpProtocols, TlsLayer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    Certificate, Client, Http2, Memory, client_config, connect_tls, hello, loopback, options, socket_address,
    soon, start, until,
};

/// What happened, in order.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// How a connection ends, in time.
type Run = BoxFuture<'static, Result<(), BoxError>>;

/// Writes to the log before and after a connection.
fn logging(log: Log, before: &'static str, after: &'static str) -> impl Clone + Fn(Connection, Next) -> Run {
    move |connection, next| {
        let log = log.clone();
        Box::pin(async move {
            log.lock().unwrap().push(before);
            let result = next.run(connection).await;
            log.lock().unwrap().push(after);
            result
        })
    }
}

#[tokio::test]
async fn the_first_layer_is_the_outermost() {
    let log = Log::default();
    let layers = |endpoint: server_kestrel::Endpoint| {
        endpoint.layer(from_fn(logging(log.clone(), "1", "/1"))).layer(from_fn(logging(
            log.clone(),
            "2",
            "/2",
        )))
    };
    let server = Memory::start_endpoint(layers, hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    client.get("/").await;
    assert_eq!(*log.lock().unwrap(), ["1", "2"]);
    drop(client);
    until(|| log.lock().unwrap().len() == 4).await;
    assert_eq!(*log.lock().unwrap(), ["1", "2", "/2", "/1"]);
}

#[tokio::test]
async fn a_layer_sees_every_connection_and_its_features() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let layer = from_fn(move |connection: Connection, next: Next| {
        let feature = connection.features.get::<dyn HttpConnectionFeature>().unwrap();
        assert_eq!(feature.connection_id().len(), 13);
        counted.fetch_add(usize::from(feature.remote_address().is_some()), Ordering::Relaxed);
        async move { next.run(connection).await }
    });
    let running = start(options([loopback().layer(layer)]), hello).await;
    let address = socket_address(&running.addresses()[0]);
    for number in 1..=5 {
        assert_eq!(Client::tcp(address).await.get("/").await.status, 200);
        assert_eq!(seen.load(Ordering::Relaxed), number);
    }
}

#[tokio::test]
async fn a_layer_may_refuse_a_connection() {
    let layer = from_fn(async |connection: Connection, _: Next| {
        drop(connection);
        Err("not today".into())
    });
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), hello).await;
    server.client().await.closed().await;
    server.client().await.closed().await;
}

#[tokio::test]
async fn a_layer_that_panics_ends_its_connection_only() {
    let first = Arc::new(AtomicUsize::new(0));
    let layer = from_fn(move |connection: Connection, next: Next| {
        assert_ne!(first.fetch_add(1, Ordering::Relaxed), 0, "on purpose");
        async move { next.run(connection).await }
    });
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), hello).await;
    server.client().await.closed().await;
    assert_eq!(server.client().await.get("/").await.status, 200);
}

#[tokio::test]
async fn a_layer_may_take_bytes_from_the_front() {
    // As the PROXY protocol does.
    let layer = from_fn(async |mut connection: Connection, next: Next| {
        let mut line = [0; 6];
        connection.io.read_exact(&mut line).await?;
        if &line != b"HELLO\n" {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        next.run(connection).await
    });
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), hello).await;
    let mut client = server.client().await;
    client.send("HELLO\n").await;
    assert_eq!(client.get("/").await.text(), "Hello, World!");
    let mut client = server.client().await;
    client.send("HOWDY\n").await;
    client.closed().await;
}

#[tokio::test]
async fn layers_stand_inside_tls_unless_tls_is_a_layer_itself() {
    /// Keeps the first byte that comes.
    fn first_byte(seen: Arc<Mutex<Vec<u8>>>) -> impl Clone + Fn(Connection, Next) -> Run {
        move |mut connection, next| {
            let seen = seen.clone();
            Box::pin(async move {
                let byte = connection.io.read_u8().await?;
                seen.lock().unwrap().push(byte);
                let (read, write) = tokio::io::split(connection.io);
                connection.io = Box::new(tokio::io::join(io::Cursor::new([byte]).chain(read), write));
                next.run(connection).await
            })
        }
    }
    let certificate = Certificate::new();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let inside = |endpoint: server_kestrel::Endpoint| {
        endpoint.https(certificate.https()).layer(from_fn(first_byte(Arc::clone(&seen))))
    };
    let tls = TlsLayer::new(&certificate.https(), HttpProtocols::Http1).unwrap();
    let below = |endpoint: server_kestrel::Endpoint| {
        endpoint.layer(from_fn(first_byte(Arc::clone(&seen)))).layer(tls)
    };
    for server in [Memory::start_endpoint(inside, hello).await, Memory::start_endpoint(below, hello).await] {
        let io = server.connector.connect().await.unwrap();
        let tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
        assert_eq!(Client::new(tls).get("/").await.status, 200);
    }
    // Plaintext, and the record of a handshake.
    assert_eq!(*seen.lock().unwrap(), [b'G', 22]);
}

/// What is written to the log.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Captures the events of this thread.
    pub(crate) fn start(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

#[tokio::test]
async fn the_logging_layer_shows_the_bytes_of_both_directions() {
    let captured = Captured::default();
    let _guard = captured.start();
    let app = |request: Request<Body>| async move {
        let feature = request.features().get::<dyn HttpConnectionFeature>().unwrap();
        Response::new(Body::from(feature.connection_id().to_owned()))
    };
    let server =
        Memory::start_endpoint(|endpoint| endpoint.layer(ConnectionLoggingLayer::default()), app).await;
    let response = server.client().await.get("/secret").await;
    let log = captured.text();
    assert!(log.contains("server_kestrel::connection_log"), "{log}");
    assert!(log.contains("47 45 54 20 2F 73 65 63 72 65 74") && log.contains("GET /secret HTT"), "{log}");
    assert!(log.contains("48 54 54 50 2F 31 2E 31 20 32 30 30") && log.contains("HTTP/1.1 200 OK"), "{log}");
    assert!(log.contains(response.text()), "the id of the connection: {log}");
    assert!(log.contains("direction=\"read\"") && log.contains("direction=\"write\""), "{log}");
}

#[tokio::test]
async fn the_logging_layer_shows_no_more_than_it_is_told_to() {
    let captured = Captured::default();
    let _guard = captured.start();
    let layer = ConnectionLoggingLayer { max_bytes: 4, ..ConnectionLoggingLayer::default() };
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), hello).await;
    server.client().await.get("/secret").await;
    let log = captured.text();
    assert!(log.contains("47 45 54 20") && !log.contains("2F 73"), "{log}");
}

#[tokio::test]
async fn the_logging_layer_shows_plaintext_under_tls() {
    let captured = Captured::default();
    let _guard = captured.start();
    let certificate = Certificate::new();
    let server = Memory::start_endpoint(
        |endpoint| endpoint.https(certificate.https()).layer(ConnectionLoggingLayer::default()),
        hello,
    )
    .await;
    let io = server.connector.connect().await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
    Client::new(tls).get("/secret").await;
    assert!(captured.text().contains("GET /secret HTT"), "{}", captured.text());
}

#[tokio::test]
async fn http_2_goes_through_layers_as_well() {
    let log = Log::default();
    let layer = from_fn(logging(log.clone(), "1", "/1"));
    let running = start(options([loopback().layer(layer)]), hello).await;
    let io = TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    let client = Http2::new(io).await;
    assert_eq!(client.get("/").await.body, "Hello, World!");
    client.closed().await.unwrap();
    until(|| log.lock().unwrap().len() == 2).await;
    soon(running.stop(std::future::pending())).await;
}
