//! Keys of the section `Kestrel` whose effect is seen by a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use hosting::{Body, IntoService, Request, Response, TestServer, WebApplication, WebApplicationOptions};
use http_body_util::StreamBody;

use crate::program::Folder;
use crate::support::{
    Client, END, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, header_block, hello, soon,
};

/// An application in memory with this section in its `appsettings.json`.
async fn start<M>(section: &str, app: impl IntoService<M>) -> TestServer {
    let folder = Folder::new();
    folder.write("appsettings.json", format!("{{ \"Kestrel\": {section} }}"));
    let options = WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        ..WebApplicationOptions::default()
    };
    soon(WebApplication::builder_with(options).start_test_server(app)).await.expect("it starts")
}

async fn client(server: &TestServer) -> Client {
    Client::new(soon(server.connect()).await.expect("it connects"))
}

#[tokio::test]
async fn the_numbers_of_http_2_are_told_to_the_client() {
    let section = r#"{ "Limits": { "MaxRequestHeadersTotalSize": 1000, "MaxRequestLineSize": 100, "MaxRequestHeaderCount": 5,
        "Http2": { "MaxStreamsPerConnection": 7, "HeaderTableSize": 100, "MaxFrameSize": 20000,
                   "InitialStreamWindowSize": 70000, "InitialConnectionWindowSize": 200000 } } }"#;
    let server = start(section, hello).await;
    let mut client = client(&server).await;
    client.send(PREFACE).await;
    let settings = client.frame_of(&[SETTINGS]).await;
    let mut told: Vec<(u16, u32)> = settings
        .payload
        .chunks(6)
        .map(|entry| {
            (u16::from_be_bytes([entry[0], entry[1]]), u32::from_be_bytes(entry[2..].try_into().unwrap()))
        })
        .collect();
    told.sort_unstable();
    // Table, streams, window, frame, header list (with the line, and 32 bytes for each field), extended CONNECT.
    assert_eq!(told, [(1, 100), (3, 7), (4, 70_000), (5, 20_000), (6, 1000 + 100 + 10 * 32), (8, 1)]);
    // What the connection may have beyond the 65,535 bytes that it begins with.
    let window = client.frame_of(&[WINDOW_UPDATE]).await;
    assert_eq!((window.stream, &window.payload[..]), (0, &(200_000_u32 - 65_535).to_be_bytes()[..]));
}

const WINDOW_UPDATE: u8 = 8;

#[tokio::test]
async fn another_scheme_is_allowed_if_the_section_says_so() {
    let https = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];
    for (section, expected) in [("{}", RST_STREAM), (r#"{ "AllowAlternateSchemes": true }"#, HEADERS)] {
        let server = start(section, hello).await;
        let mut client = client(&server).await;
        client.send(PREFACE).await;
        client.send(frame(HEADERS, END, 1, &header_block(&https))).await;
        assert_eq!(client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await.kind, expected, "{section}");
    }
}

#[tokio::test]
async fn no_more_of_a_response_waits_than_the_section_says() {
    const PIECE: usize = 1000;
    const ALL: usize = 2000 * PIECE;
    // The client's side of the memory, and what the server has in its hands besides, take this much at the most.
    const UNDER_WAY: usize = 300_000;
    for (size, least, most) in
        [("8192", 0, UNDER_WAY), ("1000000", 1_000_000, 1_000_000 + UNDER_WAY), ("null", ALL, ALL)]
    {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        let app = async move |_: Request<Body>| {
            let pieces = stream::iter((0..ALL / PIECE).map(move |_| {
                counted.fetch_add(PIECE, Ordering::Relaxed);
                Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[b'x'; PIECE])))
            }));
            Response::new(Body::new(StreamBody::new(pieces)))
        };
        let section = format!(r#"{{ "Limits": {{ "MaxResponseBufferSize": {size} }} }}"#);
        let server = start(&section, app).await;
        let mut client = client(&server).await;
        // The client allows everything, and reads nothing.
        client.send(PREFACE).await;
        client.send(frame(SETTINGS, 0, 0, &[&[0, 4][..], &0x7fff_ffff_u32.to_be_bytes()].concat())).await;
        client.send(frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())).await;
        client.send(frame(HEADERS, END, 1, &header_block(&GET))).await;
        let taken = || taken.load(Ordering::Relaxed);
        soon(async {
            while taken() < least.max(PIECE) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(taken() <= most, "{size}: {}", taken());
    }
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
