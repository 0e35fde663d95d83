//! The engine of HTTP/2: hyper's, and who runs its streams: the connection's own task as far as it can, tasks of their
//! own when they wait.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::Limits;
use crate::activity::Activity;
use crate::driver::Engine;
use crate::io::ConnectionIo;
use crate::protocol::HttpServerOptions;
use crate::request::{ConnectionContext, RequestService};

/// A request, or the writing side of an extended CONNECT.
type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long the connection's task runs streams before the others get tasks of their own: more than a hundred light
/// answers take, and little to wait for those who share the thread.
const SLICE: Duration = Duration::from_millis(1);

/// The streams that are polled between two looks at the clock, which costs a hundredth of a light answer.
const FEW: usize = 8;

/// The most turns in a row in which a connection with slow streams does not try again.
const MAX_SPAWNING: u32 = 1024;

/// Takes the streams from hyper; [`Http2`] runs them.
#[derive(Clone)]
pub(crate) struct StreamExecutor(Arc<Begun>);

/// The streams that have begun while the engine is polled.
struct Begun {
    queue: Mutex<Queue>,
    context: Arc<ConnectionContext>,
}

#[derive(Default)]
struct Queue {
    streams: VecDeque<Stream>,
    /// Whether the engine is being polled and will look here again. What begins at another time (the writing side of
    /// an extended CONNECT, which the task of its stream begins) would wait here until the peer sends something.
    is_open: bool,
}

impl StreamExecutor {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Stream> {
        self.queue().streams.pop_front()
    }

    /// The next stream; without one the queue is closed.
    fn next_or_close(&self) -> Option<Stream> {
        let mut queue = self.queue();
        let next = queue.streams.pop_front();
        queue.is_open = next.is_some();
        next
    }

    /// Polls so many of the next streams; returns whether there were any.
    fn poll_some(&self, count: usize) -> bool {
        for begun in 0..count {
            let Some(stream) = self.next() else { return begun > 0 };
            if let Some(waiting) = poll_once(stream) {
                self.spawn(waiting);
            }
        }
        true
    }

    /// Runs a stream in a task that counts as activity of the connection and that the server's end waits for. It
    /// ends with its connection.
    fn spawn(&self, stream: Stream) {
        let guard = self.0.context.accepted.lifetime.guard();
        let activity = Arc::clone(&self.0.context.activity);
        activity.task_begins();
        tokio::spawn(async move {
            let _ended = StreamEnd(activity);
            stream.await;
            drop(guard);
        });
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        let stream: Stream = Box::pin(future);
        {
            let mut queue = self.queue();
            if queue.is_open {
                queue.streams.push_back(stream);
                return;
            }
        }
        self.spawn(stream);
    }
}

struct StreamEnd(Arc<Activity>);

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.0.task_ends();
    }
}

pin_project! {
    /// hyper's HTTP/2, which polls each new stream once before it is spawned.
    ///
    /// Most handlers answer without waiting. As tasks their streams would cost a task each, and on a runtime of many
    /// threads a write each: a task that answers wakes the connection, which tokio then runs before the next one.
    /// Polled here, the answers to all requests that came in one read go out in one write. (hyper itself would send
    /// each one by itself if it were polled already where hyper hands it over.) h2 has woken the connection by then.
    ///
    /// Streams that compute for long belong into tasks, where other threads take them. So the time is taken: when a
    /// turn takes longer than [`SLICE`], the rest of its streams are spawned, and those of the next turns, twice as
    /// many for each turn that is slow again.
    pub(crate) struct Http2 {
        #[pin]
        connection: http2::Connection<TokioIo<ConnectionIo>, RequestService, StreamExecutor>,
        streams: StreamExecutor,
        // The turns to come in which streams are spawned, and how many they were at first.
        spawning: u32,
        penalty: u32,
    }
}

impl Http2 {
    pub(crate) fn new(
        io: ConnectionIo,
        options: &HttpServerOptions,
        context: &Arc<ConnectionContext>,
    ) -> Self {
        let streams =
            StreamExecutor(Arc::new(Begun { queue: Mutex::default(), context: Arc::clone(context) }));
        let service = RequestService::new(options.app.clone(), Arc::clone(context));
        let connection =
            builder(streams.clone(), &options.limits).serve_connection(TokioIo::new(io), service);
        Self { connection, streams, spawning: 0, penalty: 0 }
    }

    fn begin_streams(self: Pin<&mut Self>) {
        let this = self.project();
        let Some(first) = this.streams.next_or_close() else { return };
        if *this.spawning > 0 {
            *this.spawning -= 1;
            this.streams.spawn(first);
        } else {
            let end = Instant::now() + SLICE;
            if let Some(waiting) = poll_once(first) {
                this.streams.spawn(waiting);
            }
            // The first one tells already whether handlers block.
            let mut is_slow = Instant::now() > end;
            while !is_slow && this.streams.poll_some(FEW) {
                is_slow = Instant::now() > end;
            }
            // A fast turn forgives slowly, so that slow and fast ones in turns are not always taken for fast ones.
            *this.penalty =
                if is_slow { (*this.penalty * 2).clamp(1, MAX_SPAWNING) } else { *this.penalty / 2 };
            *this.spawning = *this.penalty;
        }
        while let Some(stream) = this.streams.next_or_close() {
            this.streams.spawn(stream);
        }
    }
}

/// Polls a stream; returns it if it waits. Its task polls it again, with a waker that wakes.
///
/// A panic ends the stream and nothing else, as in a task; to drop it resets it.
fn poll_once(mut stream: Stream) -> Option<Stream> {
    let mut cx = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(&mut cx).is_pending().then_some(stream)))
        .ok()
        .flatten()
}

impl Future for Http2 {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.streams.queue().is_open = true;
        let polled = self.as_mut().project().connection.poll(cx);
        self.begin_streams();
        polled
    }
}

impl Engine for Http2 {
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.project().connection.graceful_shutdown();
    }
}

fn builder(streams: StreamExecutor, limits: &Limits) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.http2.max_streams_per_connection)
        .max_frame_size(limits.http2.max_frame_size)
        .max_header_list_size(limits.max_http2_header_list_size())
        .initial_stream_window_size(limits.http2.initial_stream_window_size)
        .initial_connection_window_size(limits.http2.initial_connection_window_size)
        .max_send_buf_size(limits.max_http2_send_buffer_size())
        .keep_alive_interval(limits.http2.keep_alive_ping_delay)
        .keep_alive_timeout(limits.http2.keep_alive_ping_timeout);
    if limits.http2.header_table_size != 4096 {
        // The default of the protocol need not be told.
        builder.header_table_size(limits.http2.header_table_size);
    }
    builder
}
