//! HTTP/2: streams side by side, framing, resets, flow control.

mod extended_connect;

use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError};
use server_abstractions::{
    Body, HttpRequestLifetimeFeature, HttpRequestTrailersFeature, HttpResetFeature,
    HttpResponseTrailersFeature, RequestFeatures, TooLate,
};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, mpsc};

use crate::support::{
    END, GOAWAY, HEADERS, Http2, Memory, PREFACE, RST_STREAM, SETTINGS, channel, collect, count, data, echo,
    frame, frames, header_block, hello, read_to_end, soon, start_on_tcp, status, trailers,
};

#[tokio::test]
async fn a_request_is_answered_over_a_real_socket() {
    let (_running, address) = start_on_tcp(hello).await;
    let client = Http2::new(TcpStream::connect(address).await.unwrap()).await;
    let response = client.get("/").await;
    assert_eq!((response.status, &response.body[..]), (StatusCode::OK, &b"Hello, World!"[..]));
    assert_eq!(response.headers["content-length"], "13");
    assert_eq!(response.headers["server"], "Kestrel");
    assert!(response.headers.contains_key("date"));
}

#[tokio::test]
async fn requests_are_served_side_by_side() {
    let barrier = Arc::new(Barrier::new(50));
    let server = Memory::start(move |request: Request<Body>| {
        let barrier = barrier.clone();
        async move {
            // Nobody goes on before all of them are here.
            barrier.wait().await;
            Response::new(Body::from(request.uri().path().to_owned()))
        }
    })
    .await;
    let client = server.http2().await;
    let mut responses = Vec::new();
    for n in 0..50 {
        let request = Request::get(format!("http://a/{n}")).body(()).unwrap();
        responses.push(client.send(request, true).await.0);
    }
    for (n, response) in responses.into_iter().enumerate() {
        assert_eq!(collect(response).await.unwrap().body, format!("/{n}"));
    }
}

#[tokio::test]
async fn head_gets_the_length_and_no_body() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    let request = Request::head("http://a/").body(()).unwrap();
    let response = collect(client.send(request, true).await.0).await.unwrap();
    assert_eq!((response.status, response.body.len()), (StatusCode::OK, 0));
    assert_eq!(response.headers["content-length"], "13");
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    for code in [204, 304] {
        let app = move |_: Request<Body>| async move {
            let mut response = status(code);
            *response.body_mut() = Body::from("not to be sent");
            response
        };
        let response = Memory::start(app).await.http2().await.get("/").await;
        assert_eq!((response.status.as_u16(), response.body.len()), (code, 0));
    }
}

#[tokio::test]
async fn a_body_is_echoed() {
    let server = Memory::start(echo).await;
    let client = server.http2().await;
    assert_eq!(client.post("/", "Hello").await.body, "Hello");
    assert_eq!(client.post("/", "").await.body, "");
}

#[tokio::test]
async fn large_bodies_go_both_ways_under_flow_control() {
    let (_running, address) = start_on_tcp(echo).await;
    let client = Http2::new(TcpStream::connect(address).await.unwrap()).await;
    // More than any window of either side.
    let body = Bytes::from((0..5_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let response = client.post("/", body.clone()).await;
    assert!(response.body == body, "{} bytes", response.body.len());
}

#[tokio::test]
async fn a_response_waits_for_the_client_to_take_it() {
    let (sender, body) = channel();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let server = Memory::start(move |_: Request<Body>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    })
    .await;
    let client = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    let (response, _) = client.send(request, true).await;
    let mut stream = soon(response).await.unwrap().into_body();
    // The window of the client is 65,535 bytes; it takes none of them.
    let (count, mut counted) = mpsc::unbounded_channel();
    let mut sender = sender;
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            sender.send_data(Bytes::from(vec![0; 10_000])).await.unwrap();
            count.send(()).unwrap();
        }
    });
    for _ in 0..6 {
        soon(counted.recv()).await.unwrap();
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(counted.len() < 20, "the app is held back, and was not after {} pieces", counted.len());
    assert_eq!(soon(read_to_end(&mut stream)).await.unwrap().len(), 1_000_000);
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_app_both_ways() {
    async fn app(mut request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpRequestTrailersFeature>().unwrap();
        assert!(!feature.available() && feature.trailers().is_none());
        let body = request.body_mut().collect().await.unwrap();
        assert_eq!(body.trailers(), feature.trailers().as_ref());
        Response::new(Body::from(feature.trailers().unwrap()["x-sum"].as_bytes().to_vec()))
    }
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let request = Request::post("http://a/").body(()).unwrap();
    let (response, mut stream) = client.send(request, false).await;
    stream.send_data(Bytes::from("abc"), false).unwrap();
    stream.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())])).unwrap();
    assert_eq!(collect(response).await.unwrap().body, "7");
}

#[tokio::test]
async fn trailers_of_a_response_come_from_the_body_and_from_the_feature() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpResponseTrailersFeature>().unwrap();
        feature.append("x-feature".parse().unwrap(), "1".parse().unwrap()).unwrap();
        match request.uri().path() {
            "/both" => Response::new(frames([data("abc"), trailers(&[("x-body", "2")])])),
            "/whole" => Response::new(Body::from("abc")),
            _ => Response::new(Body::empty()),
        }
    }
    let server = Memory::start(app).await;
    let client = server.http2().await;
    for (path, body, count) in [("/both", "abc", 2), ("/whole", "abc", 1), ("/empty", "", 1)] {
        let response = client.get(path).await;
        assert_eq!((&response.body[..], response.trailers.len()), (body.as_bytes(), count), "{path}");
        assert_eq!(response.trailers["x-feature"], "1", "{path}");
    }
}

#[tokio::test]
async fn trailers_can_be_added_until_the_body_has_ended() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let feature = request.features().get::<dyn HttpResponseTrailersFeature>().unwrap();
        let late = feature.clone();
        let mut pieces = vec![data("abc")].into_iter();
        let body = frames(std::iter::from_fn(move || {
            let piece = pieces.next();
            if piece.is_none() {
                late.append("x-late".parse().unwrap(), "1".parse().unwrap()).unwrap();
            }
            piece
        }));
        send.send(feature).unwrap_or_default();
        async move { Response::new(body) }
    })
    .await;
    let response = server.http2().await.get("/").await;
    assert_eq!((&response.body[..], &response.trailers["x-late"]), (&b"abc"[..], &"1".parse().unwrap()));
    let feature = soon(receive.recv()).await.unwrap();
    assert_eq!(feature.append("x-more".parse().unwrap(), "1".parse().unwrap()), Err(TooLate));
}

async fn reason(
    app: impl Fn(Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static,
) -> Option<Reason> {
    let server = Memory::start(move |request: Request<Body>| {
        let response = app(request);
        async move { response }
    })
    .await;
    let client = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    let error = collect(client.send(request, true).await.0).await.unwrap_err();
    assert!(error.is_reset() && error.is_remote());
    error.reason()
}

#[tokio::test]
async fn the_reset_feature_sends_its_code() {
    let by_code = |code| {
        reason(move |request: Request<Body>| {
            request.features().get::<dyn HttpResetFeature>().unwrap().reset(code);
            Response::new(Body::from("not to be sent"))
        })
    };
    assert_eq!(by_code(8).await, Some(Reason::CANCEL));
    assert_eq!(by_code(0x1234).await, Some(Reason::from(0x1234)));
}

#[tokio::test]
async fn an_aborted_request_is_reset_with_internal_error() {
    let reason = reason(|request: Request<Body>| {
        request.features().get::<dyn HttpRequestLifetimeFeature>().unwrap().abort();
        Response::new(Body::empty())
    });
    assert_eq!(reason.await, Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_response_under_way_is_reset_too() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let feature = request.features().get::<dyn HttpResetFeature>().unwrap();
        let (sender, body) = channel();
        send.send((feature, sender)).unwrap_or_default();
        async move { Response::new(body) }
    })
    .await;
    let client = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    let mut stream = soon(client.send(request, true).await.0).await.unwrap().into_body();
    let (feature, _sender) = soon(receive.recv()).await.unwrap();
    feature.reset(Reason::ENHANCE_YOUR_CALM.into());
    let error = soon(read_to_end(&mut stream)).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_panic_is_answered_with_500_and_the_connection_goes_on() {
    let server = Memory::start(|request: Request<Body>| async move {
        assert_ne!(request.uri().path(), "/panic", "on purpose");
        hello(request).await
    })
    .await;
    let client = server.http2().await;
    assert_eq!(client.get("/panic").await.status, 500);
    assert_eq!(client.get("/").await.body, "Hello, World!");
}

#[tokio::test]
async fn a_panic_in_the_body_resets_the_stream_and_the_connection_goes_on() {
    let server = Memory::start(|request: Request<Body>| async move {
        if request.uri().path() == "/" {
            return hello(request).await;
        }
        let panics = std::iter::from_fn(|| panic!("on purpose"));
        Response::new(frames([data("abc")].into_iter().chain(panics)))
    })
    .await;
    let client = server.http2().await;
    let request = Request::get("http://a/panic").body(()).unwrap();
    let error = collect(client.send(request, true).await.0).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(client.get("/").await.body, "Hello, World!");
}

#[tokio::test]
async fn a_client_that_resets_a_stream_drops_the_handler_and_fires_its_token() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let token = request.features().get::<dyn HttpRequestLifetimeFeature>().unwrap().aborted();
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        send.send((token, dropped)).unwrap_or_default();
        async move {
            std::future::pending::<()>().await;
            drop(alive);
            status(200)
        }
    })
    .await;
    let client = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    let (response, mut stream) = client.send(request, true).await;
    let (token, dropped) = soon(receive.recv()).await.unwrap();
    assert!(!token.is_cancelled());
    stream.send_reset(Reason::CANCEL);
    drop(response);
    soon(token.cancelled()).await;
    // The sender went with the handler.
    assert!(soon(dropped).await.is_err());
    assert!(soon(client.requests.ready()).await.is_ok(), "the connection goes on");
}

#[tokio::test]
async fn the_settings_are_those_of_the_original() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let settings = client.frame_of(&[SETTINGS]).await;
    let mut shown: Vec<(u16, u32)> = settings
        .payload
        .chunks(6)
        .map(|entry| {
            let value = entry[2..].try_into().unwrap();
            (u16::from_be_bytes([entry[0], entry[1]]), u32::from_be_bytes(value))
        })
        .collect();
    shown.retain(|(id, _)| *id != 5);
    shown.sort_unstable();
    // Streams, window, header list (with the line of the request, and 32 bytes for each field), extended CONNECT.
    assert_eq!(shown, [(3, 100), (4, 768 * 1024), (6, 32_768 + 8192 + 105 * 32), (8, 1)]);
}

#[tokio::test]
async fn a_header_list_that_is_too_large_is_answered_with_431() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    let request = Request::get("http://a/").header("name", "x".repeat(45_000)).body(()).unwrap();
    assert_eq!(collect(client.send(request, true).await.0).await.unwrap().status, 431);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_body_above_the_limit_is_answered_with_413_and_the_connection_goes_on() {
    let server = Memory::start_with(|options| options.limits.max_request_body_size = Some(5), count).await;
    let client = server.http2().await;
    assert_eq!(client.post("/", "abcdef").await.status, 413);
    let declared = Request::post("http://a/").header("content-length", 6).body(()).unwrap();
    assert_eq!(collect(client.send(declared, false).await.0).await.unwrap().status, 413);
    assert_eq!(client.post("/", "abcde").await.body, "5");
}

#[tokio::test]
async fn the_app_sees_that_a_body_is_above_the_limit() {
    let app = |request: Request<Body>| async move {
        let error = request.into_body().collect().await.err().unwrap();
        Response::new(Body::from(error.is::<LengthLimitError>().to_string()))
    };
    let server = Memory::start_with(|options| options.limits.max_request_body_size = Some(5), app).await;
    assert_eq!(server.http2().await.post("/", "abcdef").await.body, "true");
}

#[tokio::test]
async fn a_body_that_is_not_read_does_not_hold_up_the_answer() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    let request = Request::post("http://a/").header("content-length", 6).body(()).unwrap();
    let (response, _stream) = client.send(request, false).await;
    assert_eq!(collect(response).await.unwrap().body, "Hello, World!");
    assert_eq!(client.post("/", vec![0; 60_000]).await.body, "Hello, World!");
    assert_eq!(client.get("/").await.body, "Hello, World!");
}

#[tokio::test]
async fn fields_of_a_connection_are_taken_out_of_a_response() {
    async fn app(_: Request<Body>) -> Response<Body> {
        Response::builder()
            .header("connection", "close")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "chunked")
            .header("x-kept", "1")
            .body(Body::from("abc"))
            .unwrap()
    }
    let response = Memory::start(app).await.http2().await.get("/").await;
    let names: Vec<_> = response.headers.keys().map(|name| name.as_str()).collect();
    assert!(names.contains(&"x-kept"), "{names:?}");
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(!names.contains(&name), "{names:?}");
    }
}

const GOOD: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

#[tokio::test]
async fn malformed_requests_are_reset() {
    // The original ends the whole connection for most of them.
    let cases: &[&[(&str, &str)]] = &[
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a")],
        &[(":method", "GET"), (":path", "/"), (":authority", "a")],
        &[(":scheme", "http"), (":path", "/"), (":authority", "a")],
        &[(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "a")],
        &[(":method", "GET"), (":method", "GET"), (":scheme", "http"), (":path", "/")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("a", "b"), (":authority", "a")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], (":status", "200")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], (":unknown", "x")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("Name", "upper case")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("na me", "x")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("connection", "close")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("transfer-encoding", "chunked")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("te", "gzip")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], (":protocol", "websocket")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("content-length", "NaN")],
        &[GOOD[0], GOOD[1], GOOD[2], GOOD[3], ("content-length", "1")],
    ];
    let server = Memory::start(hello).await;
    for fields in cases {
        let mut client = server.client().await;
        client.send(PREFACE).await;
        client.send(frame(HEADERS, END, 1, &header_block(fields))).await;
        let answer = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
        assert_ne!(answer.kind, HEADERS, "{fields:?}");
        assert_eq!(answer.error_code(), 1, "PROTOCOL_ERROR: {fields:?}");
    }
}

#[tokio::test]
async fn a_good_request_of_literal_fields_is_answered() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send(frame(HEADERS, END, 1, &header_block(&GOOD))).await;
    let answer = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection() {
    let server = Memory::start(hello).await;
    for (bytes, code) in [
        // DATA on an idle stream, a window of nothing, an even stream.
        (frame(0, 0, 1, b"x"), 1),
        (frame(8, 0, 0, &[0; 4]), 1),
        (frame(HEADERS, END, 2, &header_block(&GOOD)), 1),
        // A PING that is too short; to the original that is FRAME_SIZE_ERROR.
        (frame(6, 0, 0, b"short"), 1),
        // HPACK that is none; to the original, and to RFC 9113, that is COMPRESSION_ERROR.
        (frame(HEADERS, END, 1, &[0xff; 8]), 1),
    ] {
        let mut client = server.client().await;
        client.send(PREFACE).await;
        client.send(&bytes).await;
        let answer = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
        assert_eq!((answer.kind, answer.error_code()), (GOAWAY, code), "{bytes:?}");
        client.rest().await;
    }
}

#[tokio::test]
async fn a_status_205_has_no_content() {
    let app = |_: Request<Body>| async {
        let mut response = status(205);
        *response.body_mut() = Body::from("not to be sent");
        response
    };
    let response = Memory::start(app).await.http2().await.get("/").await;
    assert_eq!((response.status.as_u16(), response.body.len()), (205, 0));
}

#[tokio::test]
async fn a_status_that_ends_no_request_is_answered_with_500() {
    for code in [101, 103] {
        let server = Memory::start(move |_: Request<Body>| async move { status(code) }).await;
        assert_eq!(server.http2().await.get("/").await.status, StatusCode::INTERNAL_SERVER_ERROR, "{code}");
    }
}

#[tokio::test]
async fn the_authority_stands_in_the_place_of_host_and_cookies_arrive_as_one_field() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let all = |name| request.headers().get_all(name).iter().map(|value| value.to_str().unwrap());
        Response::new(Body::from(all("host").chain(all("cookie")).collect::<Vec<_>>().join(" | ")))
    }
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let request = Request::get("http://a:1/").header("host", "b").header("cookie", "c=1");
    let request = request.header("cookie", "d=2").body(()).unwrap();
    let (response, _) = client.send(request, true).await;
    assert_eq!(collect(response).await.unwrap().body, "a:1 | c=1; d=2");
}

#[tokio::test]
async fn a_request_of_another_scheme_is_reset_and_the_connection_goes_on() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    let wrong = [GOOD[0], (":scheme", "https"), GOOD[2], GOOD[3]];
    client.send(PREFACE).await;
    client.send(frame(HEADERS, END, 1, &header_block(&wrong))).await;
    let answer = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    assert_eq!((answer.kind, answer.stream, answer.error_code()), (RST_STREAM, 1, 1));
    client.send(frame(HEADERS, END, 3, &header_block(&GOOD))).await;
    let answer = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    assert_eq!((answer.kind, answer.stream), (HEADERS, 3));
}
