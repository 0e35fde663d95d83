//! Clients that ask without end, and count.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::support::{Authority, Client, connect_tls, read_to_end, soon};

/// How many ask at each address; every other one offers HTTP/2.
const CLIENTS: usize = 6;

/// After so many answers a client itself says that it wants no more of a connection, as if it had been idle.
const PER_CONNECTION: usize = 60;

/// How many requests a client of HTTP/2 has under way.
const STREAMS: usize = 4;

/// What a request with this number is answered with.
pub(super) fn body_of(number: usize) -> String {
    format!("{number} ").repeat(1 + number % 5 * 2000)
}

/// What all clients have found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) answers: usize,
    pub(super) failures: Vec<String>,
    pub(super) connections: usize,
    /// Connections that ended with `connection: close` or GOAWAY.
    pub(super) told_to_close: usize,
    pub(super) certificates: BTreeSet<Vec<u8>>,
    /// The versions of TLS and the protocols.
    pub(super) agreed: BTreeSet<(String, bool)>,
}

/// What a client has found so far.
type Shared = Arc<Mutex<Tally>>;

/// Clients that run until they are stopped.
pub(super) struct Clients {
    tallies: Vec<Shared>,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(super) fn start(authority: &Authority, addresses: [SocketAddr; 2]) -> Self {
        let over = CancellationToken::new();
        let (mut tallies, mut tasks) = (Vec::new(), JoinSet::new());
        for (index, address) in addresses.into_iter().cycle().take(2 * CLIENTS).enumerate() {
            let mut config = authority.client(None);
            if index / 2 % 2 == 0 {
                config.alpn_protocols.push(b"h2".to_vec());
            }
            config.alpn_protocols.push(b"http/1.1".to_vec());
            if index / 4 % 2 == 0 {
                // A session that is resumed shows the certificate that it began with.
                config.resumption = rustls::client::Resumption::disabled();
            }
            let tally = Shared::default();
            tallies.push(Arc::clone(&tally));
            tasks.spawn(
                Asking { address, config, tally, over: over.clone(), next: index, again: Vec::new() }.run(),
            );
        }
        Self { tallies, over, tasks }
    }

    /// How often each has connected.
    pub(super) fn connections(&self) -> Vec<usize> {
        self.tallies.iter().map(|tally| tally.lock().unwrap().connections).collect()
    }

    pub(super) fn each_has_connected_since(&self, before: &[usize]) -> bool {
        let before = before.iter().copied().chain(std::iter::repeat(0));
        self.connections().into_iter().zip(before).all(|(now, before)| now > before)
    }

    pub(super) fn have_seen(&self, certificate: &CertificateDer<'_>) -> bool {
        self.tallies.iter().any(|tally| tally.lock().unwrap().certificates.contains(&certificate[..]))
    }

    /// Waits until what is under way is answered.
    pub(super) async fn stop(mut self) -> Tally {
        self.over.cancel();
        while let Some(ended) = soon(self.tasks.join_next()).await {
            ended.unwrap();
        }
        let mut all = Tally::default();
        for tally in &self.tallies {
            let one = std::mem::take(&mut *tally.lock().unwrap());
            all.answers += one.answers;
            all.connections += one.connections;
            all.told_to_close += one.told_to_close;
            all.failures.extend(one.failures);
            all.certificates.extend(one.certificates);
            all.agreed.extend(one.agreed);
        }
        all
    }
}

/// One client.
struct Asking {
    address: SocketAddr,
    config: ClientConfig,
    tally: Shared,
    over: CancellationToken,
    /// The number of its next request.
    next: usize,
    /// Requests of which GOAWAY has said that the server has not looked at them (RFC 9113, section 6.8).
    again: Vec<usize>,
}

impl Asking {
    async fn run(mut self) {
        while !self.over.is_cancelled() {
            if let Err(error) = self.connection().await {
                let failure = format!("{} after {} requests: {error}", self.address, self.next);
                self.tally.lock().unwrap().failures.push(failure);
            }
        }
    }

    /// Uses a connection to its end.
    async fn connection(&mut self) -> Result<(), String> {
        let io = soon(TcpStream::connect(self.address)).await.map_err(|error| format!("connect: {error}"))?;
        let tls = connect_tls(io, self.config.clone()).await;
        let tls = tls.map_err(|error| format!("handshake: {error}"))?;
        let session = tls.get_ref().1;
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        {
            let mut tally = self.tally.lock().unwrap();
            tally.connections += 1;
            tally.agreed.insert((format!("{:?}", session.protocol_version()), is_http2));
            tally.certificates.extend(session.peer_certificates().map(|chain| chain[0].to_vec()));
        }
        let is_told = if is_http2 { self.http2(tls).await? } else { self.http1(tls).await? };
        self.tally.lock().unwrap().told_to_close += usize::from(is_told);
        Ok(())
    }

    fn number(&mut self) -> usize {
        self.again.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next
        })
    }

    fn answered(&self, number: usize, body: &[u8]) -> Result<(), String> {
        if body != body_of(number).as_bytes() {
            return Err(format!("{} wrong bytes for {number}", body.len()));
        }
        self.tally.lock().unwrap().answers += 1;
        Ok(())
    }

    /// Returns whether the server has said that it closes.
    async fn http1(&mut self, tls: TlsStream<TcpStream>) -> Result<bool, String> {
        let mut client = Client::new(tls);
        for turn in 0..PER_CONNECTION {
            let number = self.number();
            let is_last = turn + 1 == PER_CONNECTION || self.over.is_cancelled();
            let close = if is_last { "Connection: close\r\n" } else { "" };
            let request = format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
            client.try_send(request).await.map_err(|error| format!("send: {error}"))?;
            let response = client.try_response().await.map_err(|error| format!("answer: {error}"))?;
            self.answered(number, &response.body)?;
            if is_last {
                return Ok(false);
            }
            if response.closes() {
                return Ok(true);
            }
            sleep(Duration::from_millis(number as u64 % 16)).await;
        }
        Ok(false)
    }

    /// Returns whether the server has said that it closes.
    async fn http2(&mut self, tls: TlsStream<TcpStream>) -> Result<bool, String> {
        let connected = soon(h2::client::handshake(tls)).await;
        let (mut requests, connection) = connected.map_err(|error| format!("HTTP/2: {error}"))?;
        let connection = tokio::spawn(connection);
        let mut is_told = false;
        for _ in 0..PER_CONNECTION / STREAMS {
            let mut batch = Vec::new();
            while batch.len() < STREAMS && !is_told {
                let number = self.number();
                match send(&mut requests, number).await {
                    Ok(response) => batch.push(async move { (number, read(response).await) }),
                    Err(error) if is_goodbye(&error) => {
                        is_told = true;
                        self.again.push(number);
                    }
                    Err(error) => return Err(format!("send {number}: {error}")),
                }
            }
            // At the same time, since they share a window.
            for (number, body) in join_all(batch).await {
                match body {
                    Ok(body) => self.answered(number, &body)?,
                    Err(error) if is_goodbye(&error) => {
                        is_told = true;
                        self.again.push(number);
                    }
                    Err(error) => return Err(format!("answer to {number}: {error}")),
                }
            }
            if is_told || self.over.is_cancelled() {
                break;
            }
            sleep(Duration::from_millis(self.next as u64 % 16)).await;
        }
        drop(requests);
        match soon(connection).await.unwrap() {
            Err(error) if !is_told => Err(format!("end: {error}")),
            // The server may be gone before it has heard our goodbye.
            _ => Ok(is_told),
        }
    }
}

/// Whether the server takes no more requests on the connection, and has not looked at this one.
fn is_goodbye(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

async fn send(requests: &mut SendRequest<Bytes>, number: usize) -> Result<ResponseFuture, h2::Error> {
    let mut ready = soon(requests.clone().ready()).await?;
    let request = Request::get(format!("https://localhost/{number}")).body(()).unwrap();
    Ok(ready.send_request(request, true)?.0)
}

/// The body of an answer.
async fn read(response: ResponseFuture) -> Result<Bytes, h2::Error> {
    soon(async { read_to_end(response.await?.body_mut()).await }).await
}
