//! A connection to a process, one request at a time (RFC 9112). Whoever has it drives it: there is no task behind it, and nobody to
//! be woken.
//!
//! `httparse` reads heads; the framing of bodies is here. An engine that serves clients of all kinds costs three times as much.

mod answer;
mod chunked;
mod fault;
mod input;
mod sending;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use hosting::Method;
use http_body::Frame;
use tokio::io::AsyncWrite;

use super::clock::{Clock, Progress};
use super::socket::Stream;

pub(crate) use answer::Answer;
use answer::Framing;
pub(crate) use fault::Fault;
use input::Input;
pub(crate) use sending::Sending;

/// One connection.
#[derive(Debug)]
pub(crate) struct Upstream {
    stream: Stream,
    input: Input,
    /// The request, until all of it is sent.
    sending: Option<Box<Sending>>,
    /// How the content of the answer ends, and what is left of it.
    framing: Framing,
    /// Whether there may be another request after this one.
    is_kept: bool,
    /// Whether it has had a request before.
    is_used: bool,
    /// Whether what comes next wakes the task.
    is_watched: bool,
    pub(crate) clock: Clock,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection had ended before anything of the request went out. Here it is again.
    NotSent(Box<Sending>),
    Failed(Fault),
    /// Nothing has come within the time.
    TooLate,
}

impl Upstream {
    pub(super) fn new(stream: Stream, limit: Duration) -> Self {
        Self {
            stream,
            input: Input::default(),
            sending: None,
            framing: Framing::None,
            is_kept: true,
            is_used: false,
            is_watched: false,
            clock: Clock::new(limit),
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        request: Box<Sending>,
        progress: Option<Progress>,
    ) -> Result<Answer, SendError> {
        self.clock.begin(progress);
        let method = request.method();
        let mut request = Some(request);
        let answer = poll_fn(|cx| {
            let answer = match request.take() {
                Some(request) => self.poll_begin(request, cx),
                None => self.poll_answer(&method, cx),
            };
            match answer {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => self.clock.poll_too_late(cx).map(|()| None),
            }
        });
        match answer.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(fault)) => Err(match self.sending.take() {
                Some(request) if self.is_used && request.is_untouched() && fault.is_of_the_connection() => {
                    SendError::NotSent(request)
                }
                _ => SendError::Failed(fault),
            }),
            None => Err(SendError::TooLate),
        }
    }

    /// Whether the process has neither ended it nor said anything that nobody has asked for. Whoever asks is going to send a request
    /// in the same task, and is woken by the answer to that.
    pub(super) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_watched = self.input.poll_read(&mut self.stream, cx).is_pending();
        self.is_watched
    }

    /// Begins to send.
    fn poll_begin(&mut self, request: Box<Sending>, cx: &mut Context<'_>) -> Poll<Result<Answer, Fault>> {
        let method = request.method();
        self.sending = Some(request);
        if !std::mem::take(&mut self.is_watched) && !self.is_quiet(cx) {
            return Poll::Ready(Err(Fault::Ended));
        }
        self.is_watched = false;
        match self.poll_send(cx)? {
            // It may have answered before.
            Some(_) => self.poll_answer(&method, cx),
            None => Poll::Pending,
        }
    }

    fn poll_answer(&mut self, method: &Method, cx: &mut Context<'_>) -> Poll<Result<Answer, Fault>> {
        let unsent = self.poll_send(cx)?;
        loop {
            match self.input.head(method)? {
                // Steps on the way to an answer; whoever has asked by Expect is served by the module itself.
                Some(head) if head.is_step() => {}
                Some(head) => {
                    (self.framing, self.is_kept) = (head.framing, self.is_kept && head.is_kept);
                    return Poll::Ready(Ok(head.answer));
                }
                None => {
                    let read = ready!(self.input.poll_read(&mut self.stream, cx));
                    if read.map_err(Fault::Broken)? == 0 {
                        return Poll::Ready(Err(unsent.map_or(Fault::Ended, Fault::Broken)));
                    }
                }
            }
        }
    }

    /// The next piece of the answer's content.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Err(fault) = self.poll_send(cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        loop {
            match self.framing.next(&mut self.input) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.framing.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
            match ready!(self.input.poll_read(&mut self.stream, cx)) {
                Ok(0) => return Poll::Ready(self.framing.end().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Fault::Broken(error)))),
            }
        }
    }

    /// Sends what can be sent now. If the process takes no more it may still have answered; why it does not is returned.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<Option<std::io::Error>, Fault> {
        let Some(sending) = &mut self.sending else { return Ok(None) };
        match sending.poll(&mut self.stream, cx) {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(())) => {
                self.sending = None;
                Ok(None)
            }
            // Nothing has reached the process, so that it has nothing to answer.
            Poll::Ready(Err(Fault::Broken(error))) if sending.is_untouched() => Err(Fault::Broken(error)),
            Poll::Ready(Err(Fault::Broken(error))) => {
                (self.sending, self.is_kept) = (None, false);
                Ok(Some(error))
            }
            Poll::Ready(Err(fault)) => Err(fault),
        }
    }

    /// Whether all of the answer has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.framing.is_over()
    }

    /// How much of the answer's content is to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.framing.left()
    }

    /// Makes it ready for another request; false if it cannot have one.
    pub(super) fn rest(&mut self) -> bool {
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
        self.is_used = true;
        self.is_kept && self.sending.is_none() && self.framing.is_over() && self.input.rest()
    }

    /// The connection itself, after an answer with 101, and the bytes that came behind it.
    pub(crate) fn into_stream(self) -> (Stream, Bytes) {
        (self.stream, self.input.into_bytes())
    }
}

/// Writes some of these pieces.
fn poll_write(stream: &mut Stream, cx: &mut Context<'_>, pieces: [&[u8]; 3]) -> Poll<std::io::Result<usize>> {
    let stream = Pin::new(stream);
    match pieces {
        [text, [], []] => stream.poll_write(cx, text),
        [[], data, []] => stream.poll_write(cx, data),
        pieces => stream.poll_write_vectored(cx, &pieces.map(std::io::IoSlice::new)),
    }
}
