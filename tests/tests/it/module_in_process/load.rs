//! Clients that ask without end, over connections of every kind, and count.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::support::{Client, read_to_end, soon, within};

/// Nobody waits longer for an answer; a worker may have to be started meanwhile.
const LONG: Duration = Duration::from_secs(20);

/// The requests of a connection, after which the client itself closes it.
const PER_CONNECTION: usize = 500;

/// The requests that a client of HTTP/2 has under way.
const STREAMS: usize = 4;

/// What the clients have found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) answers: usize,
    connections: usize,
    /// Connections that could not be made.
    pub(super) refused: usize,
    pub(super) failures: Vec<String>,
}

type Shared = Arc<Mutex<Tally>>;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Short,
    KeepAlive,
    Http2,
}

/// Clients that run until they are stopped.
pub(super) struct Load {
    tallies: Vec<Shared>,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Load {
    pub(super) const CLIENTS: usize = 9;

    pub(super) fn start(address: SocketAddr) -> Self {
        let (mut tallies, over, mut tasks) = (Vec::new(), CancellationToken::new(), JoinSet::new());
        let kinds = [Kind::Short, Kind::KeepAlive, Kind::Http2];
        for kind in kinds.into_iter().cycle().take(Self::CLIENTS) {
            let tally = Shared::default();
            tallies.push(Arc::clone(&tally));
            tasks.spawn(Asking { address, kind, tally, over: over.clone() }.run());
        }
        Self { tallies, over, tasks }
    }

    /// How often each has connected.
    pub(super) fn connections(&self) -> Vec<usize> {
        self.tallies.iter().map(|tally| tally.lock().unwrap().connections).collect()
    }

    /// Waits until each has connected once more, and again, so that one of the connections was made after now.
    pub(super) async fn each_has_connected_since(&self, before: &[usize]) {
        within(LONG, async {
            loop {
                let before = before.iter().copied().chain(std::iter::repeat(0));
                if self.connections().into_iter().zip(before).all(|(now, before)| now > before) {
                    return;
                }
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    pub(super) async fn stop(mut self) -> Tally {
        self.over.cancel();
        while let Some(ended) = within(LONG, self.tasks.join_next()).await {
            ended.unwrap();
        }
        let mut all = Tally::default();
        for tally in &self.tallies {
            let one = std::mem::take(&mut *tally.lock().unwrap());
            all.answers += one.answers;
            all.connections += one.connections;
            all.refused += one.refused;
            all.failures.extend(one.failures);
        }
        all
    }
}

struct Asking {
    address: SocketAddr,
    kind: Kind,
    tally: Shared,
    over: CancellationToken,
}

impl Asking {
    async fn run(self) {
        while !self.over.is_cancelled() {
            let io = match soon(TcpStream::connect(self.address)).await {
                Ok(io) => io,
                Err(error) => {
                    let mut tally = self.tally.lock().unwrap();
                    tally.refused += 1;
                    tally.failures.push(format!("connect: {error}"));
                    continue;
                }
            };
            self.tally.lock().unwrap().connections += 1;
            let result = match self.kind {
                Kind::Short => self.http1(io, 1).await,
                Kind::KeepAlive => self.http1(io, PER_CONNECTION).await,
                Kind::Http2 => self.http2(io).await,
            };
            if let Err(error) = result {
                self.tally.lock().unwrap().failures.push(format!("{:?}: {error}", self.kind));
            }
        }
    }

    fn answered(&self, body: &[u8]) -> Result<(), String> {
        if body != b"Hello, World!" {
            return Err(format!("wrong bytes: {:?}", String::from_utf8_lossy(body)));
        }
        self.tally.lock().unwrap().answers += 1;
        Ok(())
    }

    async fn http1(&self, io: TcpStream, requests: usize) -> Result<(), String> {
        let mut client = Client::new(io);
        for turn in 1..=requests {
            let is_last = turn == requests || self.over.is_cancelled();
            let close = if is_last { "Connection: close\r\n" } else { "" };
            let request = format!("GET /plaintext HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
            client.try_send(request).await.map_err(|error| format!("send {turn}: {error}"))?;
            let response = within(LONG, client.try_response_whenever()).await;
            let response = response.map_err(|error| format!("answer {turn}: {error}"))?;
            self.answered(&response.body)?;
            if is_last || response.closes() {
                break;
            }
            sleep(Duration::from_millis(turn as u64 % 8)).await;
        }
        Ok(())
    }

    async fn http2(&self, io: TcpStream) -> Result<(), String> {
        let connected = within(LONG, h2::client::handshake(io)).await;
        let (mut requests, connection) = connected.map_err(|error| format!("handshake: {error}"))?;
        let connection = tokio::spawn(connection);
        let mut is_told = false;
        for turn in 0..PER_CONNECTION {
            let mut batch = Vec::new();
            while batch.len() < STREAMS && !is_told {
                match send(&mut requests).await {
                    Ok(response) => batch.push(read(response)),
                    Err(error) if is_goodbye(&error) => is_told = true,
                    Err(error) => return Err(format!("send: {error}")),
                }
            }
            // At the same time, since they share a window.
            for body in join_all(batch).await {
                match body {
                    Ok(body) => self.answered(&body)?,
                    // The server has not looked at it (RFC 9113, section 6.8), and it is sent again on the next one.
                    Err(error) if is_goodbye(&error) => is_told = true,
                    Err(error) => return Err(format!("answer: {error}")),
                }
            }
            if is_told || self.over.is_cancelled() {
                break;
            }
            sleep(Duration::from_millis(turn as u64 % 8)).await;
        }
        drop(requests);
        match within(LONG, connection).await.unwrap() {
            Err(error) if !is_told => Err(format!("end: {error}")),
            _ => Ok(()),
        }
    }
}

/// Whether the server takes no more requests on the connection, and has not looked at this one.
fn is_goodbye(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

async fn send(requests: &mut SendRequest<Bytes>) -> Result<ResponseFuture, h2::Error> {
    let mut ready = within(LONG, requests.clone().ready()).await?;
    let request = Request::get("http://localhost/plaintext").body(()).unwrap();
    Ok(ready.send_request(request, true)?.0)
}

async fn read(response: ResponseFuture) -> Result<Bytes, h2::Error> {
    within(LONG, async { read_to_end(response.await?.body_mut()).await }).await
}
