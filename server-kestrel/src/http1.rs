//! The engine of HTTP/1.1: hyper's, which is there only while there is something for it to do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;

use crate::Limits;
use crate::driver::Engine;
use crate::io::ConnectionIo;
use crate::protocol::{HttpServerOptions, reason_of};
use crate::refusal::Refusal;
use crate::request::{ConnectionContext, Known, RequestService};

/// HTTP/1.1 on one connection.
///
/// hyper's state and buffers are most of what a connection costs, and between two requests there is nothing in them
/// to be remembered. So hyper is made when the first byte comes, and taken apart when the driver finds that the
/// connection has been idle for a while.
pub(crate) struct Http1 {
    state: State,
    options: Arc<HttpServerOptions>,
    context: Arc<ConnectionContext>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "most connections rest, and a box would be one more allocation"
)]
enum State {
    /// Between two requests, or before the first.
    Resting(ConnectionIo),
    Awake(Box<UpgradeableConnection<TokioIo<ConnectionIo>, RequestService>>),
    /// A request is refused without hyper: the answer goes out, and then the connection ends.
    Refusing(Box<Refusing>),
    /// Nothing is left that is HTTP.
    Over,
}

struct Refusing {
    io: ConnectionIo,
    response: Bytes,
}

impl Refusing {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.response.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.response))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.response.advance(count),
            }
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Http1 {
    pub(crate) fn new(
        io: ConnectionIo,
        options: Arc<HttpServerOptions>,
        context: Arc<ConnectionContext>,
    ) -> Self {
        Self { state: State::Resting(io), options, context }
    }

    fn wake(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Resting(io) => {
                let service = RequestService::new(self.options.app.clone(), Arc::clone(&self.context));
                let hyper = builder(&self.options.limits).serve_connection(TokioIo::new(io), service);
                State::Awake(Box::new(hyper.with_upgrades()))
            }
            other => other,
        };
    }
}

impl Http1 {
    /// Refuses a head, of which the engine has got this.
    fn refusing(&self, mut io: ConnectionIo, head: &[u8], refusal: Refusal) -> State {
        let head = io.refused_head(head);
        self.context.refused(refusal, Known::of_head(&head));
        self.context.activity.refusal_begins();
        State::Refusing(Box::new(Refusing { io, response: refusal.response(self.context.add_server_header) }))
    }
}

impl Future for Http1 {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.state {
                State::Awake(hyper) => {
                    let polled = Pin::new(&mut **hyper).poll(cx);
                    // When hyper is at its end, it has refused a request itself, or an answer was the last one.
                    match self.context.activity.refusal_due().filter(|_| polled.is_pending()) {
                        Some(refusal) if self.as_mut().refuse(refusal) => continue,
                        _ => return polled,
                    }
                }
                // A peer that has gone does not hear it.
                State::Refusing(refusing) => return refusing.poll(cx).map(|_| Ok(())),
                // The end is met again by hyper, which knows what to do about it, in place of an error as well.
                State::Resting(io) => {
                    if let Err(error) = ready!(io.poll_peek(cx)) {
                        self.context.accepted.ends_with(reason_of(&error));
                    }
                }
                State::Over => return Poll::Ready(Ok(())),
            }
            self.wake();
        }
    }
}

impl Engine for Http1 {
    fn graceful_shutdown(mut self: Pin<&mut Self>) {
        self.wake();
        if let State::Awake(hyper) = &mut self.state {
            Pin::new(&mut **hyper).graceful_shutdown();
        }
    }

    fn refuse(mut self: Pin<&mut Self>, refusal: Refusal) -> bool {
        let (io, head) = match std::mem::replace(&mut self.state, State::Over) {
            State::Resting(io) => (io, Bytes::new()),
            State::Awake(hyper) => match hyper.into_parts() {
                Some(parts) => (parts.io.into_inner(), parts.read_buf),
                None => return false,
            },
            other => {
                self.state = other;
                return false;
            }
        };
        self.state = self.refusing(io, &head, refusal);
        true
    }

    fn rest(mut self: Pin<&mut Self>) {
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Awake(hyper) => match hyper.into_parts() {
                Some(parts) => {
                    let mut io = parts.io.into_inner();
                    // A part of a head may have come right behind the last request.
                    io.unread(&parts.read_buf);
                    State::Resting(io)
                }
                None => State::Over,
            },
            other => other,
        };
    }
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        // The driver's deadline covers the head; hyper's own timer is set anew for each request.
        .header_read_timeout(None)
        // hyper would look for the peer's end before each handler, with a new buffer; the driver looks once a second.
        .half_close(true)
        .max_buf_size(limits.max_engine_buffer_size())
        .max_header_size(limits.max_request_head_size());
    if limits.max_request_header_count != 100 {
        // 100 is hyper's own default, which it keeps on the stack.
        builder.max_headers(limits.max_request_header_count as usize);
    }
    builder
}
