//! Which HTTP a connection speaks.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use server_abstractions::{FeatureCollection, Io, TlsHandshakeFeature};
use tokio::io::ReadBuf;
use tokio::time::sleep_until;

use crate::connection::Accepted;
use crate::driver::{STOP_GRACE, after_now};
use crate::end_reason::EndReason;
use crate::{HttpProtocols, Limits};

/// The versions that have an engine of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What an HTTP/2 client begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at once while the protocol is not known.
const CHUNK: usize = 2048;

/// How long a connection that has not sent anything is kept when the server stops: its request may be on its way.
pub(crate) const FRESH_GRACE: Duration = Duration::from_millis(250);

/// Chooses the protocol: by ALPN over TLS, by the endpoint if it speaks only one, else by the first bytes. What was
/// read is handed back, to be read again. `None`: the connection has ended, or sent nothing in time.
///
/// # Cancel safety
/// What was read is lost with the future.
pub(crate) async fn detect(
    io: &mut dyn Io,
    features: &FeatureCollection,
    protocols: HttpProtocols,
    limits: &Limits,
    accepted: &Accepted,
) -> io::Result<Option<(Protocol, Bytes)>> {
    let handshake = features.get::<dyn TlsHandshakeFeature>();
    let agreed = handshake.as_ref().and_then(|handshake| handshake.application_protocol());
    match (protocols, agreed) {
        (HttpProtocols::Http1, _) => Ok(Some((Protocol::Http1, Bytes::new()))),
        (HttpProtocols::Http2, _) | (_, Some(b"h2")) => Ok(Some((Protocol::Http2, Bytes::new()))),
        (HttpProtocols::Http1AndHttp2, _) if handshake.is_some() => Ok(Some((Protocol::Http1, Bytes::new()))),
        (HttpProtocols::Http1AndHttp2, _) => first_bytes(io, features, limits, accepted).await,
    }
}

async fn first_bytes(
    io: &mut dyn Io,
    features: &FeatureCollection,
    limits: &Limits,
    accepted: &Accepted,
) -> io::Result<Option<(Protocol, Bytes)>> {
    let mut received = BytesMut::new();
    let mut deadline = pin!(sleep_until(after_now(limits.keep_alive_timeout)));
    let mut draining = pin!(accepted.lifetime.draining());
    let mut is_draining = false;
    loop {
        let read = std::future::poll_fn(|cx| poll_chunk(io, cx, &mut received));
        let count = tokio::select! {
            biased;
            count = read => count?,
            () = &mut draining, if !is_draining => {
                is_draining = true;
                let grace = if received.is_empty() { FRESH_GRACE } else { STOP_GRACE };
                let grace = after_now(grace).min(deadline.deadline());
                deadline.as_mut().reset(grace);
                continue;
            }
            () = &mut deadline => {
                match is_draining {
                    true => {}
                    false if received.is_empty() => drop(accepted.ends_with(EndReason::KeepAliveTimeout)),
                    false => accepted.cut_off(features, EndReason::RequestHeadersTimeout),
                }
                return Ok(None);
            }
        };
        if count == 0 {
            // A part of the preface may still be a malformed request, which HTTP/1.1 answers.
            return Ok((!received.is_empty()).then(|| (Protocol::Http1, received.freeze())));
        }
        if received.starts_with(PREFACE) {
            return Ok(Some((Protocol::Http2, received.freeze())));
        }
        if !PREFACE.starts_with(&received) {
            return Ok(Some((Protocol::Http1, received.freeze())));
        }
        if received.len() == count {
            let timeout = limits.request_headers_timeout;
            deadline.as_mut().reset(after_now(if is_draining { timeout.min(STOP_GRACE) } else { timeout }));
        }
    }
}

/// Reads by way of the stack, so that a connection that waits for its first byte holds no buffer.
fn poll_chunk(io: &mut dyn Io, cx: &mut Context<'_>, received: &mut BytesMut) -> Poll<io::Result<usize>> {
    let mut chunk = [MaybeUninit::uninit(); CHUNK];
    let mut chunk = ReadBuf::uninit(&mut chunk);
    ready!(Pin::new(io).poll_read(cx, &mut chunk))?;
    received.extend_from_slice(chunk.filled());
    Poll::Ready(Ok(chunk.filled().len()))
}
