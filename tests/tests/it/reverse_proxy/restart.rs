//! The application stops and starts again while clients ask without a break.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;

const CLIENTS: usize = 8;

/// Before the stop; from the stop until the proxy has found the next start; after that.
const PHASES: usize = 3;

/// More than all the sockets on the way hold.
const LARGE: usize = 50_000_000;

const CLOSED: &str = "before the answer: unexpected end of file";
const ASKED_AGAIN: &str = "asked again";

/// What the clients were answered, how often, by phase. What begins in one and ends in another belongs to the stop.
#[derive(Default)]
struct Load {
    phase: AtomicUsize,
    answers: Mutex<[BTreeMap<String, usize>; PHASES]>,
    is_over: CancellationToken,
}

impl Load {
    fn count(&self, phase: usize, of: impl Fn(&str) -> bool) -> usize {
        let answers = self.answers.lock().unwrap();
        answers[phase].iter().filter(|(answer, _)| of(answer)).map(|(_, count)| count).sum()
    }

    /// Until so many answers like this came in this phase.
    async fn until(&self, phase: usize, count: usize, of: impl Fn(&str) -> bool + Copy) {
        soon(async {
            while self.count(phase, of) < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// One client, which keeps its connection to the proxy as long as the proxy does.
    async fn ask(self: Arc<Self>, port: u16) {
        let mut kept = None;
        while !self.is_over.is_cancelled() {
            let begun_in = self.phase.load(Ordering::SeqCst);
            let was_kept = kept.is_some();
            let mut answer = answer(&mut kept, port).await;
            if was_kept && answer == CLOSED {
                // Whoever has kept a connection that ends before an answer begins asks again (RFC 9112, section 9.3.1).
                answer = ASKED_AGAIN.to_owned();
            }
            let phase = if self.phase.load(Ordering::SeqCst) == begun_in { begun_in } else { 1 };
            *self.answers.lock().unwrap()[phase].entry(answer).or_default() += 1;
        }
    }
}

/// The status of a whole answer, or what went wrong.
async fn answer(kept: &mut Option<Client>, port: u16) -> String {
    let mut client = match kept.take() {
        Some(client) => client,
        None => match soon(TcpStream::connect(("127.0.0.1", port))).await {
            Ok(stream) => Client::new(stream),
            Err(error) => return format!("connect: {error}"),
        },
    };
    let request = format!("GET /delay/20 HTTP/1.1\r\nHost: shop.example:{port}\r\n\r\n");
    if let Err(error) = client.try_send(request).await {
        return format!("send: {error}");
    }
    if let Err(error) = client.try_begin().await {
        return format!("before the answer: {error}");
    }
    let response = match client.try_response().await {
        Ok(response) => response,
        Err(error) => return format!("receive: {error}"),
    };
    if !response.closes() {
        *kept = Some(client);
    }
    match response.status {
        200 if response.text() != "after 20 ms" => format!("not whole: {response:?}"),
        status => status.to_string(),
    }
}

/// What is under way is finished; while nobody is there the proxy says so; and it finds the application again.
pub(super) async fn outlives_a_restart(proxied: &mut Proxied) {
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&load).ask(proxied.http));
    }
    load.until(0, 20 * CLIENTS, |answer| answer == "200").await;
    let large = [begin_large(proxied).await, begin_large(proxied).await];
    load.phase.store(1, Ordering::SeqCst);
    let mut program = proxied.program.take().unwrap();
    program.signal(Signal::TERM);
    program.line("shutting down").await;
    for stream in large {
        let answer = within(Duration::from_secs(30), Client::new(stream).response_whenever()).await;
        assert_eq!((answer.status, answer.body.len()), (200, LARGE), "{}", answer.head);
    }
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    load.until(1, CLIENTS, |answer| answer != "200").await;

    proxied.program = Some(application(&proxied.settings).await);
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    soon(async { while proxied.curl("http", "/whoami", &code).await != "200" {} }).await;
    load.phase.store(2, Ordering::SeqCst);
    load.until(2, 20 * CLIENTS, |answer| answer == "200").await;
    load.is_over.cancel();
    soon(clients.join_all()).await;
    let answers = load.answers.lock().unwrap();
    let is_refusal = |answer: &str| {
        matches!(answer, "200" | "502" | "503") || proxied.closes_kept && answer == ASKED_AGAIN
    };
    assert!(answers[1].keys().all(|answer| is_refusal(answer)), "{answers:#?}");
    for phase in [0, 2] {
        assert!(answers[phase].keys().all(|answer| answer == "200"), "{answers:#?}");
    }
}

/// An answer that has begun to come, and that the application cannot have sent to its end.
async fn begin_large(proxied: &Proxied) -> TcpStream {
    let mut stream = proxied.tcp().await;
    let request = format!("GET /bytes/{LARGE} HTTP/1.1\r\nHost: shop.example:{}\r\n\r\n", proxied.http);
    soon(tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())).await.unwrap();
    let mut first = [0; 12];
    while soon(stream.peek(&mut first)).await.unwrap() < first.len() {}
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}
