//! Connections to a process. Whoever has one drives it: there is no task behind it, and nobody to be woken.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hosting::{Body, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::address::Address;
use super::clock::{Clock, Progress};
use super::socket::Stream;

/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
/// So many connections wait for their next request, in each thread.
const MAX_IDLE: usize = 1024;
/// How long a connection waits; servers end one that has waited longer.
const IDLE: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Debug)]
pub(crate) struct Upstream {
    sender: http1::SendRequest<Body>,
    connection: http1::Connection<TokioIo<Stream>, Body>,
    /// Whether it has ended, so that it is not asked again.
    is_over: bool,
    /// Whether it has had a request before.
    is_used: bool,
    pub(crate) clock: Clock,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection had ended before the request went out. Here it is again.
    NotSent(Box<Request<Body>>),
    Failed(hyper::Error),
    /// Nothing has come within the time.
    TooLate,
}

impl Upstream {
    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
        progress: Option<Progress>,
    ) -> Result<Response<Incoming>, SendError> {
        let Self { sender, connection, is_over, clock, .. } = self;
        clock.begin(progress);
        let mut response = pin!(sender.try_send_request(request));
        let response = poll_fn(|cx| {
            drive(connection, is_over, cx);
            match response.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => clock.poll_too_late(cx).map(|()| None),
            }
        });
        match response.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => Err(match error.take_message() {
                Some(request) if self.is_used => SendError::NotSent(Box::new(request)),
                _ => SendError::Failed(error.into_error()),
            }),
            None => Err(SendError::TooLate),
        }
    }

    /// Goes on with what is under way, as far as that is possible now.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.is_over, cx);
    }

    /// Whether it can take a request.
    fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.is_over && self.sender.is_ready()
    }

    /// The connection itself, after an answer with 101, and the bytes that came behind it.
    pub(crate) fn into_stream(self) -> (Stream, Bytes) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

fn drive(
    connection: &mut http1::Connection<TokioIo<Stream>, Body>,
    is_over: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*is_over {
        // What has gone wrong is told by the answer or its body as well.
        *is_over = Pin::new(connection).poll(cx).is_ready();
    }
}

/// The connections to one process that wait for a request.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    /// How long is waited for each step.
    limit: Duration,
    /// By thread, since a connection is cheapest where it was made. The last one used is the last one.
    idle: Box<[Mutex<Idle>]>,
}

type Idle = VecDeque<(Instant, Box<Upstream>)>;

/// The number of this thread.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

impl Pool {
    pub(super) fn new(address: Address, limit: Duration) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { address, limit, idle: (0..threads).map(|_| Mutex::default()).collect() }
    }

    /// Where the process listens.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A connection that has been used before, if one waits.
    pub(crate) fn take(&self) -> Option<Box<Upstream>> {
        loop {
            let (since, mut upstream) = self.own().pop_back()?;
            let now = Instant::now();
            if now.saturating_duration_since(since) <= IDLE && upstream.is_ready() {
                upstream.is_used = true;
                upstream.clock.take(now);
                return Some(upstream);
            }
        }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> io::Result<Box<Upstream>> {
        let stream = self.address.connect(self.limit).await?;
        let mut builder = http1::Builder::new();
        let (sender, connection) = builder
            .max_header_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let clock = Clock::new(self.limit);
        Ok(Box::new(Upstream { sender, connection, is_over: false, is_used: false, clock }))
    }

    /// Takes a connection back whose answer was read to its end. One that cannot be used again is closed.
    pub(crate) fn put(&self, mut upstream: Box<Upstream>) {
        if !upstream.is_ready() {
            return;
        }
        let mut idle = self.own();
        let now = upstream.clock.begun();
        idle.push_back((now, upstream));
        let is_old = |(since, _): &(Instant, Box<Upstream>)| now.saturating_duration_since(*since) > IDLE;
        while idle.len() > MAX_IDLE || idle.front().is_some_and(is_old) {
            idle.pop_front();
        }
    }

    /// Closes those that wait.
    pub(crate) fn clear(&self) {
        self.idle.iter().for_each(|idle| lock(idle).clear());
    }

    fn own(&self) -> MutexGuard<'_, Idle> {
        lock(&self.idle[thread() % self.idle.len()])
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_has_waited_for_a_minute_is_not_used_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let family = crate::worker::Family::of_this_process();
        let crate::worker::Listening::Worker(own) = crate::worker::listening(port, family) else {
            panic!("this process listens")
        };
        let pool = Pool::new(Address::new(port, family, own, None), IDLE);
        for (seconds, is_taken) in [(59, true), (61, false)] {
            let upstream = pool.connect().await.unwrap();
            let _accepted = listener.accept().await.unwrap();
            pool.put(upstream);
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(pool.take().is_some(), is_taken);
            tokio::time::resume();
        }
        assert!(pool.take().is_none());
    }
}
