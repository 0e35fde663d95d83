//! Requests that are refused, over HTTP/1.1.

use super::EndReason::*;
use super::*;
use crate::support::{data, frames};

pub(super) fn cases() -> Vec<Case> {
    let heads = heads().into_iter().map(|(reason, head)| {
        let name = head[..head.len().min(60)].escape_debug().to_string();
        Case::new(reason, name, async move || Scene::start(hello).await.ends_after(head).await)
    });
    let bodies = bodies().into_iter().map(|(reason, rest)| {
        let name = rest[..rest.len().min(60)].escape_debug().to_string();
        Case::new(reason, name, async move || {
            let limit = |options: &mut KestrelOptions| options.limits.max_request_body_size = Some(5);
            let scene = Scene::start_with(limit, |endpoint| endpoint, count).await;
            scene.ends_after(post(&rest)).await
        })
    });
    heads.chain(bodies).chain(others()).collect()
}

fn heads() -> Vec<(EndReason, String)> {
    let lines = [
        "GET",
        "GET / HTTP/1.1 x",
        "GET /%00 HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "CONNECT a HTTP/1.1",
        &format!("GET /{} HTTP/1.1", "x".repeat(8192)),
    ]
    .map(|line| (InvalidRequestLine, format!("{line}\r\nHost: a\r\n\r\n")));
    let fields = [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a\r\nName\r\n",
        "Host: a\r\nName : x\r\n",
        "Host: a\r\nName: x\r\n folded\r\n",
        "Host: a\r\nContent-Length: x\r\n",
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding: gzip\r\n",
    ]
    .map(|fields| (InvalidRequestHeaders, format!("GET / HTTP/1.1\r\n{fields}\r\n")));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nName: {}\r\n\r\n", "x".repeat(32_768));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "Name: a\r\n".repeat(101));
    let others = [
        (InvalidRequestHeaders, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (InvalidRequestHeaders, "POST / HTTP/1.0\r\n\r\n".to_owned()),
        (InvalidHttpVersion, "GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned()),
        (TlsNotSupported, "\x16\x03\x01\0\r\n".to_owned()),
        (MaxRequestHeadersTotalSizeExceeded, large),
        (MaxRequestHeaderCountExceeded, many),
        (RequestHeadersTimeout, "GET / HT".to_owned()),
    ];
    lines.into_iter().chain(fields).chain(others).collect()
}

fn bodies() -> Vec<(EndReason, String)> {
    let chunked = [
        (InvalidRequestBody, "x\r\n"),
        (InvalidRequestBody, "1;=\r\n"),
        (InvalidRequestBody, "1\r\nab"),
        (InvalidRequestBody, "0\r\nName\r\n\r\n"),
        (MaxRequestBodySizeExceeded, "6\r\nabcdef\r\n"),
        (MaxRequestHeadersTotalSizeExceeded, &format!("0\r\n{}\r\n", "Name: value\r\n".repeat(100))),
    ]
    .map(|(reason, rest)| (reason, format!("Transfer-Encoding: chunked\r\n\r\n{rest}")));
    let others = [
        (MaxRequestBodySizeExceeded, "Content-Length: 6\r\n\r\nabcdef".to_owned()),
        (MinRequestBodyDataRate, "Content-Length: 5\r\n\r\nabc".to_owned()),
    ];
    chunked.into_iter().chain(others).collect()
}

fn others() -> [Case; 5] {
    let http1 = |endpoint: Endpoint| endpoint.protocols(HttpProtocols::Http1);
    [
        Case::new(InvalidHttpVersion, "the preface of HTTP/2", async move || {
            Scene::start_with(|_| (), http1, hello).await.ends_after(crate::support::PREFACE).await
        }),
        Case::new(RequestHeadersTimeout, "a part of that preface", async || {
            Scene::start(hello).await.ends_after("PRI * H").await
        })
        .without_line(),
        Case::new(UnexpectedEndOfRequestContent, "the client ends its side", async || {
            let scene = Scene::start(count).await;
            let mut client = scene.client().await;
            client.send(post("Content-Length: 5\r\n\r\nabc")).await;
            client.finish_sending().await;
            client.rest_whenever().await;
            scene
        }),
        Case::new(MinResponseDataRate, "the client takes nothing", async || {
            let scene = Scene::start(async |_: Request<Body>| Response::new(endless(&[b'x'; 10_000]))).await;
            let mut client = scene.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            while scene.metrics.of("kestrel.connection.duration").is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            scene
        }),
        Case::new(ResponseContentLengthMismatch, "a body that ends early", async || {
            let app = async |_: Request<Body>| {
                Response::builder().header("content-length", "5").body(frames([data("abc")])).unwrap()
            };
            Scene::start(app).await.ends_after("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await
        })
        // For the log the body has come to its end.
        .without_line(),
    ]
}
