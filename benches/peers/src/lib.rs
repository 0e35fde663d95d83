//! What the peer programs share: their command line, the contents of their answers, and what the programs that bring
//! their own sockets or TLS need.

mod options;
pub mod router;
pub mod websocket;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::{error, io};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

pub use options::{Options, Tls};

pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The value of the header `server`.
pub const SERVER: &str = "Kestrel";
pub const PLAIN: &str = "text/plain";
pub const BINARY: &str = "application/octet-stream";

/// The answer at `/plaintext`.
pub const PLAINTEXT: &str = "Hello, World!";

/// The answer at `/json`, serialised for each request.
#[derive(Serialize)]
pub struct Message {
    message: &'static str,
}

impl Message {
    pub const HELLO: Self = Self { message: "Hello, World!" };
}

/// Made when first asked for, so that it does not count in the memory of a program that never sends it.
static FILLER: LazyLock<&'static str> = LazyLock::new(|| "x".repeat(10_485_760).leak());

/// The answer at `/100k`.
pub fn filler_100k() -> &'static str {
    &FILLER[..102_400]
}

/// The answer at `/10m`.
pub fn filler_10m() -> &'static str {
    &FILLER
}

/// The number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// A listener that shares its address with those of the other cores.
///
/// # Errors
///
/// When the socket cannot be made or the address is taken by a program that does not share it.
pub fn shared_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// The TLS settings that rustls has by default, with the given protocols for ALPN.
///
/// # Errors
///
/// When a file cannot be read or the key does not fit the certificate.
pub fn tls_config(tls: &Tls, protocols: &[&[u8]]) -> Result<ServerConfig, BoxError> {
    let chain = CertificateDer::pem_file_iter(&tls.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Reports an error on one line of the standard error.
pub fn exit_code(result: Result<(), BoxError>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
