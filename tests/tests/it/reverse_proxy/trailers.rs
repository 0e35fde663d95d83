//! Trailers, which each proxy passes on as far as it does.

use http::{HeaderMap, HeaderValue, Request};

use super::*;
use crate::support::{Http2, collect};

/// What a proxy does with the trailers of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trailers {
    Passed,
    /// The rest of the message comes through.
    Dropped,
    /// The connection ends.
    Refused,
}

/// With clients of HTTP/1.1 and of HTTP/2, of requests and of answers.
pub(super) async fn passes_trailers_on(proxied: &Proxied, http1: [Trailers; 2], http2: [Trailers; 2]) {
    assert_eq!(over_http1(proxied).await, http1, "HTTP/1.1");
    assert_eq!([request_over_http2(proxied).await, answer_over_http2(proxied).await], http2, "HTTP/2");
}

async fn over_http1(proxied: &Proxied) -> [Trailers; 2] {
    let request = format!(
        "POST /trailers HTTP/1.1\r\nHost: shop.example:{}\r\nTE: trailers\r\nConnection: TE\r\n\
         Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
        proxied.http
    );
    let answer = Client::new(proxied.tcp().await).exchange(&request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let response = match &answer.trailers[..] {
        [] => Trailers::Dropped,
        more => {
            assert_eq!(*more, [("x-length".to_owned(), "3".to_owned())]);
            Trailers::Passed
        }
    };
    [of_request(&answer.body), response]
}

async fn request_over_http2(proxied: &Proxied) -> Trailers {
    let (client, request) = http2(proxied).await;
    let (answer, mut body) = client.send(request, false).await;
    body.send_data("abc".into(), false).unwrap();
    let fields = [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))];
    body.send_trailers(HeaderMap::from_iter(fields)).unwrap();
    match collect(answer).await {
        Ok(answer) => {
            assert_eq!(answer.status, 200, "{answer:?}");
            of_request(&answer.body)
        }
        Err(error) => {
            assert!(error.is_io() || error.is_go_away(), "{error:?}");
            Trailers::Refused
        }
    }
}

async fn answer_over_http2(proxied: &Proxied) -> Trailers {
    let (client, request) = http2(proxied).await;
    let (answer, mut body) = client.send(request, false).await;
    body.send_data("abc".into(), true).unwrap();
    let answer = collect(answer).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"{}"[..]), "{answer:?}");
    match answer.trailers.get("x-length") {
        None => Trailers::Dropped,
        Some(length) => {
            assert_eq!(length, "3");
            Trailers::Passed
        }
    }
}

async fn http2(proxied: &Proxied) -> (Http2, Request<()>) {
    let client = Http2::over_tls(proxied.tls("h2").await).await;
    let request = Request::post(format!("https://shop.example:{}/trailers", proxied.https));
    (client, request.header("te", "trailers").body(()).unwrap())
}

/// What the application has seen of the trailers of the request.
fn of_request(answer: &[u8]) -> Trailers {
    let seen: Value = serde_json::from_slice(answer).unwrap();
    match seen.get("x-sum") {
        None => Trailers::Dropped,
        Some(sum) => {
            assert_eq!(*sum, serde_json::json!(["7"]));
            Trailers::Passed
        }
    }
}
