//! Connections of HTTP/2 that end with a request under way.

use super::super::http2::{DATA, behind_the_preface, get};
use super::EndReason::*;
use super::*;
use crate::support::{END, GOAWAY, HEADERS, PREFACE, RST_STREAM, frame, manual, soon};

const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

pub(super) fn cases() -> Vec<Case> {
    let reset = |at: u32| {
        let stream = 2 * at + 3;
        [frame(HEADERS, END, stream, &get()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    let engine = [
        (StreamResetLimitExceeded, "requests that are reset", (0..1000).map(reset).collect()),
        (ControlFrameLimitExceeded, "frames that ask for nothing", vec![frame(0xee, 0, 0, &[]); 10_100]),
        (
            FlowControlWindowExceeded,
            "too large a window",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])],
        ),
        (InvalidFrameLength, "a large frame", vec![frame(0xee, 0, 0, &[0; 16_385])]),
        (ErrorReadingHeaders, "a field that is too large to be passed over", too_large()),
        (UnexpectedFrame, "the body of no request", vec![frame(DATA, 0, 5, b"x")]),
        (UnexpectedFrame, "a body behind the end", vec![frame(DATA, 0, 1, b"x")]),
        (UnexpectedFrame, "a field that does not exist", vec![frame(HEADERS, END, 3, &[0x80])]),
        (RequestHeadersTimeout, "a head without an end", vec![frame(HEADERS, 1, 3, &get())]),
    ];
    let engine = engine.map(|(reason, name, frames): (_, _, Vec<Vec<u8>>)| {
        Case::new(reason, name, async move || {
            let (app, mut calls) = manual();
            let scene = Scene::start(app).await;
            let mut client = scene.client().await;
            client.send(behind_the_preface(&[frame(HEADERS, END, 1, &get())])).await;
            let _call = soon(calls.recv()).await.unwrap();
            let _ = client.try_send(frames.concat()).await;
            client.rest_whenever().await;
            scene
        })
    });
    engine.into_iter().chain(slow()).chain(without_requests()).collect()
}

fn slow() -> [Case; 2] {
    [
        Case::new(MinRequestBodyDataRate, "over HTTP/2", async || {
            let scene = Scene::start(count).await;
            let mut client = scene.client().await;
            client.send(behind_the_preface(&[frame(HEADERS, 4, 1, &get())])).await;
            client.rest_whenever().await;
            scene
        }),
        Case::new(MinResponseDataRate, "over HTTP/2", async || {
            let scene = Scene::start(async |_: Request<Body>| Response::new(endless(&[b'x'; 10_000]))).await;
            let mut client = scene.client().await;
            client.send(behind_the_preface(&[frame(HEADERS, END, 1, &get())])).await;
            client.rest_whenever().await;
            scene
        }),
    ]
}

fn without_requests() -> [Case; 2] {
    let goodbye = || behind_the_preface(&[frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 9])]);
    [
        Case::new(KeepAliveTimeout, "over HTTP/2", async || {
            Scene::start(hello).await.ends_after(PREFACE).await
        })
        .event(None),
        Case::new(OtherError, "an error that the client tells", async move || {
            Scene::start(hello).await.ends_after(goodbye()).await
        }),
    ]
    .map(Case::without_line)
}

/// Header fields above the limit, and then one that does not end.
fn too_large() -> Vec<Vec<u8>> {
    const LARGEST: usize = 16_384;
    // A literal field whose name has one byte, and whose value has 16,377 or 2,000,000 (RFC 7541, section 5.1).
    let field = |length: [u8; 3], size: usize| [&[0, 1, b'a', 0x7f][..], &length, &vec![b'x'; size]].concat();
    let whole = field([0xfa, 0xfe, 0], LARGEST - 7);
    let endless = field([0x81, 0x88, 0x7a], LARGEST - 7);
    let more = vec![b'x'; LARGEST];
    let blocks = [&whole, &whole, &whole, &endless, &more, &more];
    let kinds = std::iter::once(HEADERS).chain(std::iter::repeat(CONTINUATION));
    kinds.zip(blocks).map(|(kind, block)| frame(kind, 0, 3, block)).collect()
}
