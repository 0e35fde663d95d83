//! Peers of HTTP/2 that send much and ask for little, and heads at the edges of their limits.

mod heads;
mod pings;

use std::time::Duration;

use h2::Reason;
use http::Request;
use tokio::time::{Instant, sleep};

use crate::support::{
    Client, END, GOAWAY, HEADERS, Memory, PREFACE, RST_STREAM, frame, header_block, hello, manual, settle,
    soon, status, within,
};

const DATA: u8 = 0;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const CALM: u32 = 11;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A good GET.
fn get() -> Vec<u8> {
    header_block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")])
}

/// Sends a frame as often as told, or until the server has had enough; then returns the code of its GOAWAY.
async fn flooded(client: &mut Client, frame_to_repeat: &[u8], mut count: usize) -> Option<u32> {
    let last = frame(PING, 0, 0, b"the last");
    while count > 0 {
        let some = count.min(16 * 1024 / frame_to_repeat.len());
        count -= some;
        let _ = client.try_send([&frame_to_repeat.repeat(some), &last[..]].concat()).await;
        // What is answered must be taken, or the server waits for that.
        loop {
            let answer = client.frame_of(&[PING, GOAWAY]).await;
            if answer.kind == GOAWAY {
                client.rest().await;
                return Some(answer.error_code());
            }
            if answer.payload == b"the last"[..] {
                break;
            }
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn frames_that_ask_for_nothing_end_the_connection() {
    let server = Memory::start(hello).await;
    let floods: &[(&str, Vec<u8>)] = &[
        ("PING", frame(PING, 0, 0, &[1; 8])),
        ("an answer to a PING", frame(PING, 1, 0, &[1; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        ("an unknown frame", frame(0xee, 0, 0, &[])),
    ];
    for (name, flood) in floods {
        let mut client = server.client().await;
        client.send(PREFACE).await;
        assert_eq!(flooded(&mut client, flood, 9_900).await, None, "{name}");
        assert_eq!(flooded(&mut client, flood, 1_000).await, Some(CALM), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_of_a_stream_that_ask_for_nothing_end_the_connection() {
    for (name, flood) in [
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("WINDOW_UPDATE of all", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
    ] {
        let (app, mut calls) = manual();
        let server = Memory::start(app).await;
        let mut client = server.client().await;
        client.send(PREFACE).await;
        client.send(frame(HEADERS, 4, 1, &get())).await;
        let call = soon(calls.recv()).await.unwrap();
        assert_eq!(flooded(&mut client, &flood, 9_900).await, None, "{name}");
        assert_eq!(flooded(&mut client, &flood, 1_000).await, Some(CALM), "{name}");
        soon(call.aborted.cancelled()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn empty_pieces_of_a_body_end_the_connection() {
    let server = Memory::start(crate::support::count).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send(frame(HEADERS, 4, 1, &get())).await;
    assert_eq!(flooded(&mut client, &frame(DATA, 0, 1, &[]), 11_000).await, Some(CALM));
}

#[tokio::test(start_paused = true)]
async fn as_many_frames_in_a_longer_time_are_no_flood() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    for _ in 0..40 {
        assert_eq!(flooded(&mut client, &frame(PING, 0, 0, &[1; 8]), 900).await, None);
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn many_requests_with_window_updates_are_no_flood() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    for at in 0..5_000 {
        let stream = 2 * at + 1;
        let window = |stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 13]);
        client.send([frame(HEADERS, END, stream, &get()), window(stream), window(0)].concat()).await;
        assert_eq!(client.frame_of(&[HEADERS, GOAWAY]).await.stream, stream);
    }
}

#[tokio::test]
async fn a_ping_a_second_is_no_flood_however_long() {
    tokio::time::pause();
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    for at in 0..12_000 {
        let mut bytes = frame(PING, 0, 0, &[1; 8]);
        if at % 100 == 0 {
            bytes.extend(frame(HEADERS, END, 2 * at + 1, &get()));
        }
        client.send(bytes).await;
        assert_ne!(client.frame_of(&[PING, GOAWAY]).await.kind, GOAWAY);
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn streams_that_are_begun_and_reset_at_once_end_the_connection() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let one = |at: u32| {
        let stream = 2 * at + 1;
        [frame(HEADERS, END, stream, &get()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    // In one burst, and more than the server takes at once.
    let _ = client.try_send((0..1_000).flat_map(one).collect::<Vec<_>>()).await;
    assert_eq!(client.frame_of(&[GOAWAY]).await.error_code(), CALM);
    client.rest().await;
    let mut count = 0;
    while let Ok(mut call) = calls.try_recv() {
        call.dropped().await;
        count += 1;
    }
    assert!(count <= 200, "{count} handlers were called");
}

#[tokio::test]
async fn streams_above_the_limit_are_refused_and_the_others_go_on() {
    let (app, mut calls) = manual();
    let two = |options: &mut server_kestrel::KestrelOptions| {
        options.limits.http2.max_streams_per_connection = 2;
    };
    let server = Memory::start_with(two, app).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send([1, 3, 5].map(|stream| frame(HEADERS, END, stream, &get())).concat()).await;
    let refused = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    let code = Reason::REFUSED_STREAM.into();
    assert_eq!((refused.kind, refused.stream, refused.error_code()), (RST_STREAM, 5, code));
    for stream in [1, 3] {
        soon(calls.recv()).await.unwrap().answer(status(204));
        assert_eq!(client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await.stream, stream);
    }
    settle().await;
    assert!(calls.try_recv().is_err());
    // There is room again.
    client.send(frame(HEADERS, END, 7, &get())).await;
    soon(calls.recv()).await.unwrap().answer(status(204));
    assert_eq!(client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await.stream, 7);
}

#[tokio::test]
async fn a_frame_above_the_limit_ends_the_connection() {
    let set = |options: &mut server_kestrel::KestrelOptions| options.limits.http2.max_frame_size = 20_000;
    for (server, limit) in
        [(Memory::start(hello).await, 16_384), (Memory::start_with(set, hello).await, 20_000)]
    {
        let mut client = server.client().await;
        client.send(PREFACE).await;
        client.send(frame(0xee, 0, 0, &vec![0; limit])).await;
        client.send(frame(HEADERS, END, 1, &get())).await;
        assert_eq!(client.frame_of(&[HEADERS, GOAWAY]).await.kind, HEADERS, "{limit}");
        client.send(frame(0xee, 0, 0, &vec![0; limit + 1])).await;
        let code = client.frame_of(&[GOAWAY]).await.error_code();
        assert_eq!(code, u32::from(Reason::FRAME_SIZE_ERROR), "{limit}");
        client.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_off_in_time() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send(frame(HEADERS, END, 1, &get())).await;
    assert_eq!(client.frame_of(&[HEADERS, GOAWAY]).await.kind, HEADERS);
    sleep(Duration::from_secs(100)).await;
    client.send(frame(HEADERS, 1, 3, &get())).await;
    cut_off(&mut client, 30).await;
    // A piece now and then is no reason to wait.
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let before = Instant::now();
    client.send(frame(HEADERS, 1, 1, &get())).await;
    client.send(&frame(CONTINUATION, 0, 1, &[0; 1000])[..9]).await;
    while client.try_send([0]).await.is_ok() {
        sleep(Duration::from_millis(500)).await;
    }
    assert!((30..=31).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_off_beside_a_stream_that_waits() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send(frame(HEADERS, END, 1, &get())).await;
    let call = soon(calls.recv()).await.unwrap();
    sleep(Duration::from_secs(1000)).await;
    client.send(frame(HEADERS, 1, 3, &get())).await;
    cut_off(&mut client, 30).await;
    soon(call.aborted.cancelled()).await;
}

/// Waits for GOAWAY with `INTERNAL_ERROR` and the end, after so many seconds and at most one more.
async fn cut_off(client: &mut Client, seconds: u64) {
    let before = Instant::now();
    let goaway = within(DAY, client.frame_whenever(&[GOAWAY])).await;
    assert_eq!(goaway.error_code(), u32::from(Reason::INTERNAL_ERROR));
    let elapsed = before.elapsed();
    assert!((seconds..=seconds + 1).contains(&elapsed.as_secs()), "{elapsed:?}");
    client.closed().await;
}

#[tokio::test]
async fn a_head_of_endless_pieces_ends_the_connection_and_little_is_kept() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send(frame(HEADERS, 1, 1, &get())).await;
    let piece = frame(CONTINUATION, 0, 1, &header_block(&[("name", "value")]).repeat(1_000));
    let mut sent = 0;
    while sent < 10_000_000 && client.try_send(&piece).await.is_ok() {
        sent += piece.len();
    }
    // What was on its way, beside what the server took.
    assert!(sent < 500_000, "{sent}");
}

#[tokio::test]
async fn many_requests_at_once_over_a_real_client_are_served() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    for _ in 0..20 {
        let mut responses = Vec::new();
        for _ in 0..100 {
            let request = Request::get("http://a/").body(()).unwrap();
            responses.push(client.send(request, true).await.0);
        }
        for response in responses {
            assert_eq!(soon(response).await.unwrap().status(), 200);
        }
    }
}
