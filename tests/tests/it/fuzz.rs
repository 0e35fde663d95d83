//! No sequence of bytes makes the server panic, hang past its limits, or answer more often than it was asked.
//!
//! The cases are the same in each run; `PROPTEST_RNG_SEED` gives others and `PROPTEST_CASES` more. What once failed
//! stands in the lists of regressions.

mod generate;
mod http2;
mod parse;

use std::cell::Cell;
use std::fmt::Debug;
use std::panic;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use server_abstractions::{App, Body};
use server_kestrel::{HttpProtocols, KestrelOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Memory, count, data, frames, hello};

use generate::{End, Input};

/// The times of the server under test.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last after its last byte: a handler that waits, the rest of a body, the time to linger or
/// to be idle, and a second for each.
const LAST: Duration = Duration::from_secs(30);

/// What the handlers were called for: whether it was HEAD.
type Calls = Arc<Mutex<Vec<bool>>>;

/// One server for all cases of a test, and the thread that it runs on.
struct Arena {
    runtime: Runtime,
    server: Memory,
    calls: Calls,
}

/// What came of one connection.
#[derive(Debug)]
struct Outcome {
    received: Vec<u8>,
    calls: Vec<bool>,
}

impl Arena {
    fn new(protocols: HttpProtocols, handle: fn(Request<Body>) -> Handled) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let calls = Calls::default();
        let called = Arc::clone(&calls);
        let app = move |request: Request<Body>| {
            called.lock().unwrap().push(request.method() == Method::HEAD);
            handle(request)
        };
        let change = |options: &mut KestrelOptions| {
            options.limits.keep_alive_timeout = KEEP_ALIVE_TIMEOUT;
            options.limits.request_headers_timeout = REQUEST_HEADERS_TIMEOUT;
            let endpoint = options.endpoints.remove(0);
            options.endpoints.push(endpoint.protocols(protocols));
        };
        let server = runtime.block_on(Memory::start_with(change, App::new(app)));
        Self { runtime, server, calls }
    }

    /// Sends the pieces and takes what comes until the connection has ended.
    fn exchange(&self, input: &Input) -> Result<Outcome, TestCaseError> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let panics = count_panics();
        let received = self.runtime.block_on(self.converse(input))?;
        prop_assert_eq!(count_panics(), panics, "the server panicked");
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Outcome { received, calls })
    }

    async fn converse(&self, input: &Input) -> Result<Vec<u8>, TestCaseError> {
        let io = self.server.connector.connect().await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(io);
        let sending = async {
            for piece in input.pieces() {
                // The server need not take what it does not want.
                if writer.write_all(piece).await.is_err() {
                    break;
                }
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            if input.end == End::Finish {
                let _ = writer.shutdown().await;
            }
            Instant::now()
        };
        let receiving = async {
            let mut received = BytesMut::new();
            while reader.read_buf(&mut received).await.is_ok_and(|count| count > 0) {}
            (Vec::from(received), Instant::now())
        };
        let Ok((sent, (received, ended))) =
            timeout(LAST * 100, async { tokio::join!(sending, receiving) }).await
        else {
            return Err(TestCaseError::fail("the connection does not end"));
        };
        prop_assert!(ended - sent <= LAST, "the connection lasts for {:?}", ended - sent);
        Ok(received)
    }
}

/// The panics of this thread so far: those of a task are seen by nobody else.
fn count_panics() -> usize {
    thread_local! {
        static PANICS: Cell<usize> = const { Cell::new(0) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // h2 asserts, in debug builds only, that a connection that is dropped has no streams any more, which is not
            // so when the peer has gone (hyperium/h2#907).
            let is_of_h2 = |file: &str| file.ends_with("src/proto/streams/counts.rs");
            if !info.location().is_some_and(|location| is_of_h2(location.file())) {
                PANICS.set(PANICS.get() + 1);
                hook(info);
            }
        }));
    });
    PANICS.get()
}

/// Checks so many cases, the same in each run.
fn check<S: Strategy<Value: Debug>>(
    cases: u32,
    strategy: &S,
    test: impl Fn(&S::Value) -> Result<(), TestCaseError>,
) {
    let set = Config::default();
    let config = Config {
        cases: if set.cases == 256 { cases } else { set.cases },
        rng_seed: if set.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { set.rng_seed },
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..set
    };
    if let Err(error) = TestRunner::new(config).run(strategy, |value| test(&value)) {
        panic!("{error}");
    }
}

type Handled = server_abstractions::BoxFuture<'static, Response<Body>>;

/// Handlers that treat the body in all the ways there are.
fn handle(request: Request<Body>) -> Handled {
    Box::pin(async move {
        match request.uri().path() {
            "/read" => count(request).await,
            "/first" => {
                let _ = request.into_body().frame().await;
                hello(Request::default()).await
            }
            "/late" => {
                sleep(Duration::from_secs(1)).await;
                drop(request);
                hello(Request::default()).await
            }
            "/stream" => Response::new(frames(["abc", "", "defg"].map(data))),
            "/echo" => {
                let body = request.into_body().collect().await.map(|body| body.to_bytes());
                Response::new(frames(body.into_iter().map(data)))
            }
            _ => hello(request).await,
        }
    })
}

/// The server answers what it was asked, in order, and ends after a refusal.
fn check_http1(outcome: &Outcome) -> Result<(), TestCaseError> {
    let answers = parse::answers(&outcome.received, &outcome.calls).map_err(TestCaseError::fail)?;
    prop_assert!(answers.len() <= outcome.calls.len() + 1, "more answers than requests: {answers:?}");
    // What no handler was called for is refused, and ends the connection, as does what says so.
    for (at, answer) in answers.iter().enumerate() {
        let is_last = at + 1 == answers.len();
        prop_assert!(is_last || !answer.closes, "an answer follows the last one: {answers:?}");
        prop_assert!(at < outcome.calls.len() || answer.closes, "a refusal does not close: {answers:?}");
    }
    Ok(())
}

#[test]
fn no_bytes_of_http_1_break_the_server() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let arena = Arena::new(protocols, handle);
        check(2000, &generate::http1(), |input| {
            // With the preface the other protocol begins.
            if protocols == HttpProtocols::Http1AndHttp2 && input.bytes.starts_with(generate::PREFACE) {
                return Ok(());
            }
            check_http1(&arena.exchange(input)?)
        });
    }
}

#[test]
fn what_once_failed() {
    // Each of them in pieces.
    let inputs: &[&[&str]] = &[
        // Two refusals: by the engine, and of what follows by the scanner.
        &["GET / HTTP/1.1\r\nHost: a\r\nUpgrade: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nName\r\n\r\n5\r\n"],
    ];
    let arena = Arena::new(HttpProtocols::Http1, handle);
    for (pieces, end) in inputs.iter().flat_map(|pieces| [(pieces, End::Finish), (pieces, End::Stay)]) {
        let input = Input::of_pieces(pieces, end);
        arena.exchange(&input).and_then(|outcome| check_http1(&outcome)).unwrap();
    }
}

#[test]
fn the_answers_do_not_depend_on_where_the_bytes_are_cut() {
    // What is left of a body that nobody reads may be there or not, so all of them are read.
    let arena = Arena::new(HttpProtocols::Http1, |request| Box::pin(count(request)));
    check(1500, &generate::http1(), |input| {
        let in_pieces = arena.exchange(input)?;
        let whole = arena.exchange(&input.in_one_piece())?;
        prop_assert_eq!(&in_pieces.calls, &whole.calls);
        let count = whole.calls.len();
        // What is wrong with a head may be found before it has come to its end, or only then, and be more than one thing.
        let (in_pieces, whole) = (statuses(&in_pieces)?, statuses(&whole)?);
        prop_assert_eq!(in_pieces.get(..count), whole.get(..count));
        Ok(())
    });
}

fn statuses(outcome: &Outcome) -> Result<Vec<u16>, TestCaseError> {
    let answers = parse::answers(&outcome.received, &outcome.calls).map_err(TestCaseError::fail)?;
    Ok(answers.iter().map(|answer| answer.status).collect())
}
