use std::io;
use std::time::Duration;

use bytes::Bytes;
use hosting::server_abstractions::ConnectionLifetimeFeature;
use hosting::{Body, Request, RequestFeatures, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::answer::{empty, with_type};

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
    let mut body = request.into_body();
    let mut count = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => count += frame.data_ref().map_or(0, Bytes::len),
            Err(_) => return empty(StatusCode::BAD_REQUEST),
        }
    }
    with_type("text/plain", Body::from(count.to_string()))
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
