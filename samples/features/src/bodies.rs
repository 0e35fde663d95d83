use std::io;
use std::time::Duration;

use bytes::Bytes;
use hosting::header::{HeaderName, TRAILER};
use hosting::server_abstractions::ConnectionLifetimeFeature;
use hosting::{Body, HeaderMap, HeaderValue, Request, RequestFeatures, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::answer::{empty, with_type};
use crate::connection::fields_json;

/// The size of a piece of a streamed body.
const PIECE: usize = 16 * 1024;

/// The largest file that `/file/{n}` makes.
const MAX_FILE: u64 = 1 << 30;

/// The request's body as it comes, trailers included.
pub(crate) fn echo(request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(body);
    for name in ["content-type", "trailer"] {
        if let Some(value) = head.headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The length of the request's body. What is above the server's limit, the server answers.
pub(crate) async fn count(request: Request<Body>) -> Response<Body> {
    match read(request.into_body()).await {
        Some((length, _)) => with_type("text/plain", Body::from(length.to_string())),
        None => empty(StatusCode::BAD_REQUEST),
    }
}

/// The trailers of the request as a document, and one of the answer: the length of the request's body. Over HTTP/1.1 it
/// is sent to those only who ask for trailers (`TE: trailers`).
pub(crate) async fn trailers(request: Request<Body>) -> Response<Body> {
    let Some((length, trailers)) = read(request.into_body()).await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let name = HeaderName::from_static("x-length");
    let own = HeaderMap::from_iter([(name.clone(), HeaderValue::from(length))]);
    let document = Bytes::from(fields_json(&trailers).to_string());
    // A body that declares no length, since one with a length has no trailers over HTTP/1.1.
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        if sender.send_data(document).await.is_ok() {
            // One that fails has no receiver: the client has gone.
            let _ = sender.send_trailers(own).await;
        }
    });
    let mut response = with_type("application/json", Body::new(body));
    response.headers_mut().insert(TRAILER, name.into());
    response
}

/// The length and the trailers of a body, unless it breaks off.
async fn read(mut body: Body) -> Option<(u64, HeaderMap)> {
    let (mut length, mut trailers) = (0, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) => length += data.len() as u64,
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Some((length, trailers))
}

pub(crate) fn streamed(length: u64) -> Response<Body> {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        let piece = Bytes::from(vec![b'a'; PIECE]);
        let mut left = length;
        while left > 0 {
            let next = piece.slice(..left.min(PIECE as u64) as usize);
            left -= next.len() as u64;
            if sender.send_data(next).await.is_err() {
                // The client has gone.
                return;
            }
        }
    });
    with_type("application/octet-stream", Body::new(body))
}

/// A file from disk. Its length is known, so it is declared and not chunked.
pub(crate) async fn file(length: u64) -> Response<Body> {
    if length > MAX_FILE {
        return empty(StatusCode::BAD_REQUEST);
    }
    let Ok(file) = open_file(length).await else { return empty(StatusCode::INTERNAL_SERVER_ERROR) };
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        let mut file = file.take(length);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            match (&mut file).take(PIECE as u64).read_to_end(&mut piece).await {
                Ok(0) => return,
                Ok(_) => {
                    if sender.send_data(Bytes::from(piece)).await.is_err() {
                        return;
                    }
                }
                Err(error) => return sender.abort(error),
            }
        }
    });
    let mut response = with_type("application/octet-stream", Body::new(body));
    response.headers_mut().insert("content-length", length.into());
    response
}

/// A file of the length, sparse, which has no name any more.
async fn open_file(length: u64) -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("features-{}-{length}", std::process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).await?;
    file.set_len(length).await?;
    tokio::fs::remove_file(&path).await.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(file)
}

/// Server-sent events without an end of their own: they end when the server stops, and the stop need not wait.
pub(crate) fn ticks(request: &Request<Body>) -> Response<Body> {
    let lifetime = request.features().get::<dyn ConnectionLifetimeFeature>();
    let stopping = lifetime.map(|lifetime| lifetime.stopping()).unwrap_or_default();
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        for tick in 0_u64.. {
            let event = Frame::data(Bytes::from(format!("data: {tick}\n\n")));
            if sender.send(event).await.is_err() {
                return;
            }
            let second = tokio::time::sleep(Duration::from_secs(1));
            if stopping.run_until_cancelled(second).await.is_none() {
                return;
            }
        }
    });
    with_type("text/event-stream", Body::new(body))
}
