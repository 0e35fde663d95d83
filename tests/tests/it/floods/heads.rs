//! The limits on heads, at their edges.

use http::request::Builder;

use super::*;
use crate::support::{Http2, collect};

/// What a GET with this head is answered with: a status or a reset.
async fn answer(client: &Http2, request: Builder) -> Result<u16, Option<Reason>> {
    let (response, _) = client.send(request.body(()).unwrap(), true).await;
    match collect(response).await {
        Ok(response) => Ok(response.status.as_u16()),
        Err(error) => Err(error.reason().filter(|_| error.is_reset())),
    }
}

/// A GET whose line has so many bytes: method, scheme, authority and path.
fn with_line(size: usize) -> Builder {
    Request::get(format!("http://a/{}", "x".repeat(size - 9)))
}

/// With so many fields that have so many bytes together.
fn with_fields(mut request: Builder, count: usize, size: usize) -> Builder {
    for at in 0..count {
        let name = format!("n{at:03}");
        let length = if at == 0 { size - count * name.len() } else { 0 };
        request = request.header(name, "x".repeat(length));
    }
    request
}

#[tokio::test]
async fn the_bytes_of_the_line() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    for (size, expected) in [
        (8191, Ok(200)),
        (8192, Ok(200)),
        (8193, Err(Some(Reason::PROTOCOL_ERROR))),
        (20_000, Err(Some(Reason::PROTOCOL_ERROR))),
        (9, Ok(200)),
    ] {
        assert_eq!(answer(&client, with_line(size)).await, expected, "{size}");
    }
}

#[tokio::test]
async fn the_bytes_of_the_fields() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    for count in [1, 50, 100] {
        for (size, expected) in [(32_767, 200), (32_768, 200), (32_769, 431), (100_000, 431), (1000, 200)] {
            let request = with_fields(with_line(9), count, size);
            assert_eq!(answer(&client, request).await, Ok(expected), "{count} {size}");
        }
    }
}

#[tokio::test]
async fn the_count_of_the_fields() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    for (count, expected) in [(99, 200), (100, 200), (101, 431), (1000, 431), (3000, 431), (1, 200)] {
        let request = with_fields(with_line(9), count, 20_000);
        assert_eq!(answer(&client, request).await, Ok(expected), "{count}");
    }
}

#[tokio::test]
async fn all_of_them_at_once() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    assert_eq!(answer(&client, with_fields(with_line(8192), 100, 32_768)).await, Ok(200));
    assert_eq!(answer(&client, with_fields(with_line(8192), 101, 32_768)).await, Ok(431));
    assert_eq!(answer(&client, with_fields(with_line(8192), 100, 32_769)).await, Ok(431));
}

#[tokio::test]
async fn they_can_be_set() {
    let set = |options: &mut server_kestrel::KestrelOptions| {
        options.limits.max_request_line_size = 20;
        options.limits.max_request_headers_total_size = 50;
        options.limits.max_request_header_count = 3;
    };
    let server = Memory::start_with(set, hello).await;
    let client = server.http2().await;
    for (request, expected) in [
        (with_fields(with_line(20), 3, 50), Ok(200)),
        (with_fields(with_line(21), 3, 50), Err(Some(Reason::PROTOCOL_ERROR))),
        (with_fields(with_line(20), 4, 50), Ok(431)),
        (with_fields(with_line(20), 3, 51), Ok(431)),
    ] {
        assert_eq!(answer(&client, request).await, expected);
    }
}
