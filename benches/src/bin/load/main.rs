//! The loads that neither wrk nor h2load can be: `load handshakes full|resumed|full-1.2 all|x25519 ADDRESS SECONDS`,
//! `load websocket CONNECTIONS ADDRESS SECONDS`, `load idle http|https CONNECTIONS ADDRESS`,
//! `load slow CONNECTIONS ADDRESS SECONDS`.

mod slow;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use benches::Error;
use benches::drive::Report;
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};
use tokio_tungstenite::tungstenite::Message;

const GET: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";
const TIMEOUT: Duration = Duration::from_secs(20);

/// How many do handshakes at the same time.
const HANDSHAKERS: usize = 8;

fn main() -> std::process::ExitCode {
    benches::exit_code(run())
}

fn run() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["handshakes", kind @ ("full" | "resumed" | "full-1.2"), groups @ ("all" | "x25519"), address, seconds] =>
        {
            let offer = Offer {
                is_resumed: kind == "resumed",
                version: if kind == "full-1.2" { &TLS12 } else { &TLS13 },
                is_x25519: groups == "x25519",
            };
            handshakes(offer, address.parse()?, Duration::from_secs(seconds.parse()?))
        }
        ["websocket", connections, address, seconds] => {
            websocket(connections.parse()?, address.parse()?, Duration::from_secs(seconds.parse()?))
        }
        ["idle", scheme @ ("http" | "https"), connections, address] => {
            idle(scheme == "https", connections.parse()?, address.parse()?)
        }
        ["slow", connections, address, seconds] => {
            slow::slow(connections.parse()?, address.parse()?, Duration::from_secs(seconds.parse()?))
        }
        _ => Err(
            "usage: load handshakes full|resumed|full-1.2 all|x25519 ADDRESS SECONDS | \
             websocket CONNECTIONS ADDRESS SECONDS | idle http|https CONNECTIONS ADDRESS | slow CONNECTIONS ADDRESS SECONDS"
                .into(),
        ),
    }
}

/// The latencies of some answers.
struct Latencies(Histogram<u64>);

impl Latencies {
    fn new() -> Result<Self, Error> {
        Ok(Self(Histogram::new(3)?))
    }

    fn add(&mut self, since: Instant) -> Result<(), Error> {
        Ok(self.0.record(u64::try_from(since.elapsed().as_micros())?)?)
    }

    fn report(&self, began: Instant, errors: u64) -> Result<(), Error> {
        let report = Report {
            answers: self.0.len(),
            micros: u64::try_from(began.elapsed().as_micros())?,
            errors,
            p50: self.0.value_at_quantile(0.5),
            p99: self.0.value_at_quantile(0.99),
            p999: self.0.value_at_quantile(0.999),
        };
        benches::say(serde_json::to_string(&report)?);
        Ok(())
    }
}

/// What the client of a handshake offers.
#[derive(Clone, Copy)]
struct Offer {
    /// Whether it is an earlier session that is resumed.
    is_resumed: bool,
    version: &'static SupportedProtocolVersion,
    /// Whether the key exchange must be X25519; otherwise it is what the server likes best of all that rustls has.
    is_x25519: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self { is_resumed: false, version: &TLS13, is_x25519: false }
    }
}

fn handshakes(offer: Offer, address: SocketAddr, time: Duration) -> Result<(), Error> {
    let is_resumed = offer.is_resumed;
    let began = Instant::now();
    let threads: Vec<_> = (0..HANDSHAKERS)
        .map(|_| {
            thread::spawn(move || {
                let config = Arc::new(client_config(offer)?);
                if is_resumed {
                    handshake(&config, address)?;
                }
                let mut latencies = Latencies::new()?;
                let mut errors = 0;
                while began.elapsed() < time {
                    let since = Instant::now();
                    let (kind, group) = handshake(&config, address)?;
                    latencies.add(since)?;
                    let is_right_group = !offer.is_x25519 || group == NamedGroup::X25519;
                    errors += u64::from((kind == HandshakeKind::Resumed) != is_resumed || !is_right_group);
                }
                Ok::<_, Error>((latencies, errors))
            })
        })
        .collect();
    let mut all = Latencies::new()?;
    let mut errors = 0;
    for thread in threads {
        let (latencies, of_thread) = thread.join().map_err(|_| "a thread panicked")??;
        all.0.add(latencies.0)?;
        errors += of_thread;
    }
    all.report(began, errors)
}

/// A handshake and a request, whose answer brings the tickets for the next one.
fn handshake(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<(HandshakeKind, NamedGroup), Error> {
    let mut stream = connect_tls(config, address)?;
    ask(&mut stream)?;
    stream.conn.send_close_notify();
    let _ = stream.flush();
    let kind = stream.conn.handshake_kind().ok_or("no handshake")?;
    let group = stream.conn.negotiated_key_exchange_group().ok_or("no key exchange")?;
    Ok((kind, group.name()))
}

fn connect_tls(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Error> {
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    Ok(StreamOwned::new(session, connect(address)?))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(stream: &mut (impl Read + Write)) -> Result<(), Error> {
    stream.write_all(GET)?;
    let mut response = Vec::with_capacity(512);
    let mut piece = [0; 512];
    while !response.ends_with(b"\r\n\r\nHello, World!") {
        match stream.read(&mut piece)? {
            0 => return Err("the server closed the connection in the middle".into()),
            read => response.extend_from_slice(&piece[..read]),
        }
    }
    Ok(())
}

fn websocket(connections: u32, address: SocketAddr, time: Duration) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let began = Instant::now();
        let echoes =
            |_| tokio::spawn(tokio::time::timeout_at(began + time + TIMEOUT, echo(address, began + time)));
        let tasks: Vec<_> = (0..connections).map(echoes).collect();
        let mut all = Latencies::new()?;
        for task in tasks {
            all.0.add(task.await???.0)?;
        }
        all.report(began, 0)
    })
}

async fn echo(address: SocketAddr, end: Instant) -> Result<Latencies, Error> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/ws"), stream).await?;
    let message = Message::text("x".repeat(32));
    let mut latencies = Latencies::new()?;
    while Instant::now() < end {
        let since = Instant::now();
        socket.send(message.clone()).await?;
        let answer = socket.next().await.ok_or("the server closed the WebSocket")??;
        if answer != message {
            return Err(format!("{answer:?} came back").into());
        }
        latencies.add(since)?;
    }
    socket.close(None).await?;
    Ok(latencies)
}

/// Opens no more than 1,000 connections in a second, asks once on each, and holds them until its input ends.
fn idle(is_tls: bool, connections: usize, address: SocketAddr) -> Result<(), Error> {
    benches::raise_open_files()?;
    let config = Arc::new(client_config(Offer::default())?);
    let began = Instant::now();
    let mut held: Vec<Box<dyn Held>> = Vec::with_capacity(connections);
    for number in 0..connections {
        let due = began + Duration::from_millis(number as u64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut stream: Box<dyn Held> =
            if is_tls { Box::new(connect_tls(&config, address)?) } else { Box::new(connect(address)?) };
        ask(&mut stream)?;
        held.push(stream);
    }
    benches::say("held");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

trait Held: Read + Write {}
impl<T: Read + Write> Held for T {}

fn client_config(offer: Offer) -> Result<ClientConfig, Error> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if offer.is_x25519 {
        // In TLS 1.2 the certificate's curve must be among them as well (RFC 8422, section 5.1).
        provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
    }
    let anybody = Arc::new(Anybody(provider.signature_verification_algorithms));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[offer.version])?
        .dangerous()
        .with_custom_certificate_verifier(anybody)
        .with_no_client_auth();
    if !offer.is_resumed {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Ok(config)
}

/// Believes any certificate: the server is our own, and its key is proven all the same.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
