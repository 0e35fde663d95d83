use std::net::SocketAddr;
use std::{error, fmt, io};

use bytes::BytesMut;
use server_abstractions::ProxiedTls;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::tlv::{self, Tlv};
use super::{v1, v2};

/// The header of the PROXY protocol at the beginning of a connection, in version 1 (a line of text) or 2 (binary).
///
/// ```
/// use server_kestrel::{ProxiedAddresses, ProxyHeader};
///
/// let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\nGET / HTTP/1.1\r\n";
/// let (header, length) = ProxyHeader::parse(bytes)?.expect("it is complete");
/// assert_eq!(header.addresses().source(), Some("192.0.2.7:50000".parse().unwrap()));
/// assert_eq!(&bytes[length..], b"GET / HTTP/1.1\r\n");
/// // A part of a header is no mistake.
/// assert!(ProxyHeader::parse(b"PROXY TC")?.is_none());
/// # Ok::<(), server_kestrel::ProxyHeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    pub(super) version: ProxyVersion,
    pub(super) addresses: ProxiedAddresses,
    pub(super) tlvs: Vec<Tlv>,
    pub(super) tls: Option<ProxiedTls>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1 = 1,
    /// Binary, with room for more than addresses.
    V2 = 2,
}

/// Between whom the proxied connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxiedAddresses {
    /// The proxy speaks for itself, or does not know the client: `LOCAL` and `UNKNOWN`.
    Own,
    /// TCP.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
    /// A Unix socket of the proxy's machine.
    Unix {
        /// The client's path; empty if it has none.
        source: Vec<u8>,
        /// The path that the client connected to.
        destination: Vec<u8>,
    },
}

impl ProxiedAddresses {
    /// The client's address, if it is one of IP.
    pub fn source(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { source, .. } => Some(*source),
            Self::Own | Self::Unix { .. } => None,
        }
    }

    /// The address that the client connected to, if it is one of IP.
    pub fn destination(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { destination, .. } => Some(*destination),
            Self::Own | Self::Unix { .. } => None,
        }
    }
}

/// Why bytes are no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// They begin like neither version.
    NoHeader,
    /// A line of version 1 that does not end within 107 bytes.
    TooLong,
    /// A binary header that is longer than [`ProxyHeader::MAX_SIZE`].
    TooLarge,
    /// A line of version 1 that is not as it must be.
    Line,
    /// A command, a family of addresses or a version that there is not.
    Kind,
    /// A length that is too short for what it is said to hold.
    Length,
    /// A field behind the addresses (TLV) that is not as it must be.
    Field,
    /// A checksum (CRC32C) that is not that of the header.
    Checksum,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "the connection does not begin with a header of the PROXY protocol",
            Self::TooLong => "the line of the PROXY protocol does not end within 107 bytes",
            Self::TooLarge => "the header of the PROXY protocol is too large",
            Self::Line => "the line of the PROXY protocol is malformed",
            Self::Kind => {
                "the header of the PROXY protocol has an unknown version, command or family of addresses"
            }
            Self::Length => "the header of the PROXY protocol is too short for what it holds",
            Self::Field => "a field (TLV) in the header of the PROXY protocol is malformed",
            Self::Checksum => "the checksum of the header of the PROXY protocol is wrong",
        })
    }
}

impl error::Error for ProxyHeaderError {}

impl ProxyHeader {
    /// The most bytes of a header that are taken: 16 KiB. The format allows 64.
    pub const MAX_SIZE: usize = 16 * 1024;

    /// The header that the bytes begin with, and its length. `None`: the bytes are the beginning of one.
    ///
    /// # Errors
    /// When they cannot be the beginning of one, as soon as that is known.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        let begins = |signature: &[u8]| {
            let common = bytes.len().min(signature.len());
            bytes[..common] == signature[..common]
        };
        match (begins(v1::SIGNATURE), begins(v2::SIGNATURE)) {
            (true, _) => v1::parse(bytes),
            (_, true) => v2::parse(bytes),
            (false, false) => Err(ProxyHeaderError::NoHeader),
        }
    }

    /// Reads the header at the beginning of a stream. What came behind it is left in `received`.
    ///
    /// It has no time limit of its own.
    ///
    /// # Errors
    /// When the stream fails or ends too early, and of the kind `InvalidData`, with a [`ProxyHeaderError`] within, when it does
    /// not begin with a header.
    ///
    /// # Cancel safety
    /// What was read so far is in `received`; another call goes on with it.
    pub async fn read<I: AsyncRead + Unpin>(io: &mut I, received: &mut BytesMut) -> io::Result<Self> {
        loop {
            let parsed =
                Self::parse(received).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if let Some((header, length)) = parsed {
                let _ = received.split_to(length);
                return Ok(header);
            }
            // Of one byte more than a header has there is no need.
            received.reserve(v1::MAX_SIZE.max(Self::MAX_SIZE.min(v2::missing(received))));
            if io.read_buf(received).await? == 0 {
                let message = "the connection ended within the header of the PROXY protocol";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
        }
    }

    /// The version in which it was written.
    pub fn version(&self) -> ProxyVersion {
        self.version
    }

    /// Between whom the connection is.
    pub fn addresses(&self) -> &ProxiedAddresses {
        &self.addresses
    }

    /// The fields behind the addresses, in their order. Version 1 has none.
    pub fn tlvs(&self) -> &[Tlv] {
        &self.tlvs
    }

    /// The server name that the client asked for, as the proxy saw it.
    pub fn authority(&self) -> Option<&str> {
        self.field(tlv::AUTHORITY).and_then(|name| std::str::from_utf8(name).ok())
    }

    /// The application protocol that the proxy agreed on with the client (ALPN).
    pub fn application_protocol(&self) -> Option<&[u8]> {
        self.field(tlv::ALPN)
    }

    /// What the proxy calls the connection; 128 bytes at the most.
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.field(tlv::UNIQUE_ID)
    }

    /// The TLS between the client and the proxy.
    pub fn tls(&self) -> Option<&ProxiedTls> {
        self.tls.as_ref()
    }

    fn field(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| &*tlv.value)
    }
}
