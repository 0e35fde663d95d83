use std::net::{IpAddr, Ipv6Addr};

use http::Request;
use ipnet::IpNet;

use crate::peer::{self, Peer};

/// Whose word is taken for something that a request says about itself.
///
/// The peer is that of the socket, whatever layers for proxies say about the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Believed {
    /// Everyone's.
    Everyone,
    /// That of these peers.
    Peers(TrustedPeers),
    /// Nobody's.
    #[default]
    Nobody,
}

/// Peers that are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPeers {
    /// Networks and single addresses; IPv4 is the same whether it is mapped into IPv6 or not. Default is loopback.
    pub networks: Vec<IpNet>,
    /// Whether whoever connects to a Unix socket is believed. Default is false.
    pub unix_sockets: bool,
}

impl Default for TrustedPeers {
    fn default() -> Self {
        let loopback = IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8);
        Self { networks: vec![loopback, IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))], unix_sockets: false }
    }
}

impl Believed {
    /// Whether the sender of the request is believed.
    pub(crate) fn include<B>(&self, request: &Request<B>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Nobody => false,
            Self::Peers(trusted) => trusted.include(peer::of_the_socket(request)),
        }
    }
}

impl TrustedPeers {
    fn include(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => {
                let (address, canonical) = (address.ip(), address.ip().to_canonical());
                self.networks.iter().any(|network| network.contains(&address) || network.contains(&canonical))
            }
            Peer::Unix => self.unix_sockets,
            Peer::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_believed_and_nobody_else() {
        let trusted = TrustedPeers::default();
        let ip = |address: &str| Peer::Ip(std::net::SocketAddr::new(address.parse().unwrap(), 1));
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(trusted.include(ip(address)), "{address}");
        }
        assert!(!trusted.include(ip("10.0.0.1")) && !trusted.include(ip("::2")));
        assert!(!trusted.include(Peer::Unix) && !trusted.include(Peer::Unknown));
        assert!(TrustedPeers { unix_sockets: true, ..trusted }.include(Peer::Unix));
    }
}
