//! Requests that the server refuses itself.

use http_body_util::BodyExt;

use super::*;
use crate::support::{END, HEADERS, PREFACE, count, frame, header_block};

/// What is told between the beginning of HTTP and the end of the connection.
async fn told_of(server: &Memory, ledger: &Ledger, pieces: &[&str]) -> Vec<String> {
    let mut client = server.client().await;
    for piece in pieces {
        let _ = client.try_send(piece).await;
        settle().await;
    }
    soon(client.rest_whenever()).await;
    // The server lingers for as long as it is there.
    drop(client);
    let told = ledger.take_ended(1).await;
    assert_eq!(told[..3], ["accepted", "started", "HTTP/1.1 over none"], "{told:?}");
    told[3..].iter().filter(|told| !told.starts_with("ended")).cloned().collect()
}

#[tokio::test]
async fn a_head_is_told_with_its_method_and_target() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let (ledger, observers) = ledger();
        let change = |options: &mut KestrelOptions| {
            let endpoint = options.endpoints.remove(0);
            options.endpoints.push(endpoint.protocols(protocols));
        };
        let server = Memory::start_observed(change, observers, hello).await;
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000));
        let large = format!("PUT /large HTTP/1.1\r\nHost: a\r\nName: {}\r\n\r\n", "x".repeat(40_000));
        for (pieces, expected) in [
            (&["GET /x HTTP/1.1\r\n\r\n"][..], "refused invalid_request_headers GET /x 400"),
            (&["GET /x?y HTTP/1.2\r\n\r\n"], "refused invalid_http_version GET /x?y 505"),
            (&["GET /a\"b HTTP/1.2\r\n\r\n"], "refused invalid_http_version GET /a\\\"b 505"),
            // Behind a good one, and in pieces.
            (
                &["GET / HTTP/1.1\r\nHost: a\r\n\r\nPUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"],
                "refused invalid_request_headers PUT /x 400",
            ),
            (
                &["PU", "T /x HT", "TP/1.1\r\nHo", "st: a\r\nContent-Length: x\r\n\r\n"],
                "refused invalid_request_headers PUT /x 400",
            ),
            (&["GET\r\nHost: a\r\n\r\n"], "refused invalid_request_line GET ? 400"),
            (&["\u{16}\u{3}\u{1}\0\r\n"], "refused tls_not_supported \\x16\\x03\\x01\\x00 ? 400"),
            (&[&long[..4000], &long[4000..8500]], "refused invalid_request_line GET ? 414"),
            (&[&large], "refused max_request_headers_total_size_exceeded PUT /large 431"),
            // What only the checks of a complete head find.
            (
                &["GET http://a/x?y HTTP/1.1\r\nHost: b\r\n\r\n"],
                "refused invalid_request_headers GET http://a/x?y 400",
            ),
        ] {
            assert_eq!(told_of(&server, &ledger, pieces).await, [expected], "{protocols:?} {pieces:?}");
        }
    }
}

#[tokio::test]
async fn a_head_that_the_engine_refuses_is_told_once() {
    let (ledger, observers) = ledger();
    let server = Memory::start_observed(|_| (), observers, hello).await;
    let told = told_of(&server, &ledger, &["GET / HTTP/1.1\r\nHost: a\r\nName\r\n\r\n"]).await;
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.starts_with("refused invalid_request_headers") && told.ends_with("400"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_in_time() {
    let (ledger, observers) = ledger();
    let server = Memory::start_observed(|_| (), observers, hello).await;
    let mut client = server.client().await;
    client.send("GET /slow HTTP/1.1\r\nHos").await;
    client.rest_whenever().await;
    drop(client);
    let told = ledger.take_ended(1).await;
    assert_eq!(told[3], "refused request_headers_timeout GET /slow 408", "{told:?}");
    assert_eq!(told[4], "ended request_headers_timeout HTTP/1.1 none", "{told:?}");
}

#[tokio::test]
async fn a_body_that_is_refused_is_the_applications_already() {
    let (ledger, observers) = ledger();
    let five = |options: &mut KestrelOptions| options.limits.max_request_body_size = Some(5);
    let server = Memory::start_observed(five, observers, count).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (rest, reason, status) in [
        ("Content-Length: 6\r\n\r\nabcdef", "max_request_body_size_exceeded", 413),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", "invalid_request_body", 400),
    ] {
        let told = told_of(&server, &ledger, &[&format!("{head}{rest}")]).await;
        assert_eq!(told, [format!("refused {reason} ? ? {status} late")]);
    }
}

#[tokio::test]
async fn requests_of_http_2() {
    let (ledger, observers) = ledger();
    let app = async |request: Request<Body>| {
        let _ = request.into_body().collect().await;
        crate::support::status(200)
    };
    let server = Memory::start_observed(|_| (), observers, app).await;
    let client = server.http2().await;
    assert_eq!(client.get("/").await.status, 200);
    ledger.take();
    let large = Request::get("http://a/x?y").header("name", "x".repeat(33_000)).body(()).unwrap();
    let (response, _) = client.send(large, true).await;
    assert_eq!(soon(response).await.unwrap().status(), 431);
    let expected = "refused max_request_headers_total_size_exceeded GET http://a/x?y 431";
    assert_eq!(ledger.take(), [expected], "the connection goes on");
    assert_eq!(client.get("/").await.status, 200);

    // Its stream is reset.
    let mut client = server.client().await;
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/z"), (":authority", "a")];
    client.send([PREFACE, &frame(HEADERS, END, 1, &header_block(&fields))].concat()).await;
    client.frame_of(&[crate::support::RST_STREAM]).await;
    let told = ledger.take();
    let refused: Vec<_> = told.iter().filter(|told| told.starts_with("refused")).collect();
    assert_eq!(refused, ["refused invalid_request_headers GET https://a/z 0"]);
}

/// Also of a connection that was not accepted.
#[tokio::test]
async fn the_endpoint_is_known() {
    struct Names(Mutex<Vec<Option<String>>>);
    impl ConnectionObserver for Names {
        fn observe(&self, event: &ConnectionEvent<'_>) {
            let endpoint = event.features().get::<dyn EndpointFeature>().unwrap();
            self.0.lock().unwrap().push(endpoint.name().map(str::to_owned));
        }
    }
    let names = Arc::new(Names(Mutex::default()));
    let mut options = options([loopback().name("shop")]);
    options.limits.max_concurrent_connections = Some(1);
    let running = start_observed(options, [names.clone() as _], hello).await;
    let address = socket_address(&running.addresses()[0]);
    let mut first = Client::tcp(address).await;
    first.get("/").await;
    Client::tcp(address).await.closed().await;
    assert_eq!(*names.0.lock().unwrap(), [const { "shop" }; 4].map(|name| Some(name.to_owned())));
}
