//! The same for HTTP/2.

use http::Request;

use super::*;
use crate::support::{END, GOAWAY, HEADERS, PREFACE, RST_STREAM, frame, header_block, manual, soon};

pub(super) const DATA: u8 = 0;

/// A header block of a GET.
pub(super) fn get() -> Vec<u8> {
    header_block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")])
}

pub(super) fn behind_the_preface(frames: &[Vec<u8>]) -> Vec<u8> {
    [PREFACE, &frames.concat()].concat()
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_cut_off() {
    let (app, _calls) = manual();
    let mut server = Watched::start(app).await;
    for (frames, reason) in [
        (vec![frame(0xee, 0, 0, &[]); 10_100], "control_frame_limit_exceeded"),
        (vec![frame(HEADERS, 1, 1, &get())], "request_headers_timeout"),
    ] {
        server.refuses(behind_the_preface(&frames), reason).await;
    }
    assert_eq!(server.reason_of(PREFACE).await, Some("keep_alive_timeout"));
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_ends() {
    let (app, _calls) = manual();
    let mut server = Watched::start(app).await;
    let reset = |at: u32| {
        let stream = 2 * at + 1;
        [frame(HEADERS, END, stream, &get()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    for (frames, reason) in [
        ((0..1000).map(reset).collect::<Vec<_>>(), "stream_reset_limit_exceeded"),
        (vec![frame(0xee, 0, 0, &[0; 16_385])], "invalid_frame_length"),
        (vec![frame(DATA, 0, 1, b"x")], "unexpected_frame"),
    ] {
        assert_eq!(server.reason_of(behind_the_preface(&frames)).await, Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn peers_that_are_too_slow() {
    let app = |request: Request<Body>| async {
        count(request).await;
        Response::new(Body::from("x".repeat(1_000_000)))
    };
    let mut server = Watched::start(app).await;
    let client = server.server.http2().await;
    let (_response, _body) = client.send(Request::post("http://a/").body(()).unwrap(), false).await;
    assert_eq!(server.end().await, Some("min_request_body_data_rate"));
    server.events.tell_once("min_request_body_data_rate");

    let client = server.server.http2().await;
    let (response, _) = client.send(Request::get("http://a/").body(()).unwrap(), true).await;
    let _body = soon(response).await.unwrap().into_body();
    assert_eq!(server.end().await, Some("min_response_data_rate"));
    server.events.tell_once("min_response_data_rate");
}

#[tokio::test]
async fn good_ends_have_no_reason() {
    let mut server = Watched::start(hello).await;
    let client = server.server.http2().await;
    client.get("/").await;
    client.closed().await.unwrap();
    assert_eq!(server.end().await, None);

    // The client says goodbye, or only goes.
    for goodbye in [frame(GOAWAY, 0, 0, &[0; 8]), Vec::new()] {
        let mut client = server.server.client().await;
        client.send(behind_the_preface(&[frame(HEADERS, END, 1, &get())])).await;
        client.frame_of(&[HEADERS]).await;
        client.send(goodbye).await;
        client.finish_sending().await;
        client.rest().await;
        assert_eq!(server.end().await, None);
    }
    assert_eq!(server.events.take().len(), 0);
}

#[tokio::test]
async fn a_request_that_is_refused_is_no_end() {
    let mut server = Watched::start(hello).await;
    let client = server.server.http2().await;
    let large = Request::get("http://a/").header("name", "x".repeat(32_769)).body(()).unwrap();
    assert_eq!(soon(client.send(large, true).await.0).await.unwrap().status(), 431);
    server.events.tell_once("max_request_headers_total_size_exceeded");
    client.get("/").await;
    client.closed().await.unwrap();
    assert_eq!(server.end().await, None);
}
