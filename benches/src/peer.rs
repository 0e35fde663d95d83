//! The servers that are compared.

use crate::workload::Need;

/// How a peer is started.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// A program of `benches/peers`, with these arguments before those that all of them take.
    Peer(&'static str, &'static [&'static str]),
    /// Debian's nginx with the configuration of `benches/peers`.
    Nginx,
}

/// A server to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// As the tables call it.
    pub name: &'static str,
    /// How it is started.
    pub program: Program,
    /// What it can be asked.
    pub can: &'static [Need],
    /// Whether it belongs to the quick set.
    pub is_quick: bool,
}

impl Peer {
    /// Whether it can be asked all that.
    #[must_use]
    pub fn can(&self, needs: &[Need]) -> bool {
        needs.iter().all(|need| self.can.contains(need))
    }

    /// Of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PEERS.iter().find(|peer| peer.name == name)
    }
}

/// The peer that the ratios of the tables are to, wherever it can be asked.
pub const REFERENCE: &str = "bare hyper";

use Need::{Callgrind, Close, Exchange, H2c, Http1, Tls, TlsHttp2, Upload, WebSocket};

const EVERYTHING: &[Need] = &[Http1, Close, Exchange, Upload, H2c, Tls, TlsHttp2, WebSocket, Callgrind];

/// All of them, ours first.
pub const PEERS: [Peer; 13] = [
    Peer {
        name: "kestrel",
        program: Program::Peer("kestrel", &["--per-core"]),
        can: EVERYTHING,
        is_quick: true,
    },
    Peer {
        name: "kestrel, shared runtime",
        program: Program::Peer("kestrel", &[]),
        can: EVERYTHING,
        is_quick: false,
    },
    Peer {
        name: "kestrel with axum",
        program: Program::Peer("kestrel-axum", &[]),
        can: EVERYTHING,
        is_quick: false,
    },
    Peer {
        name: REFERENCE,
        program: Program::Peer("bare-hyper", &["--per-core"]),
        can: EVERYTHING,
        is_quick: true,
    },
    Peer {
        name: "bare hyper, pipeline_flush",
        program: Program::Peer("bare-hyper", &["--per-core", "--pipeline-flush"]),
        can: &[Http1, Close, Callgrind],
        is_quick: false,
    },
    Peer {
        name: "bare hyper, work stealing",
        program: Program::Peer("bare-hyper", &[]),
        can: EVERYTHING,
        is_quick: false,
    },
    Peer {
        name: "axum::serve",
        program: Program::Peer("axum-serve", &[]),
        can: &[Http1, Close, Exchange, Upload, H2c, WebSocket, Callgrind],
        is_quick: true,
    },
    Peer {
        name: "axum-server",
        program: Program::Peer("axum-server", &[]),
        can: EVERYTHING,
        is_quick: false,
    },
    Peer { name: "actix-web", program: Program::Peer("actix-web", &[]), can: EVERYTHING, is_quick: false },
    Peer {
        name: "ntex",
        program: Program::Peer("ntex", &[]),
        can: &[Http1, Close, Exchange, Upload, H2c, Tls, TlsHttp2, WebSocket],
        is_quick: false,
    },
    Peer {
        name: "may_minihttp",
        program: Program::Peer("may-minihttp", &[]),
        can: &[Http1, Callgrind],
        is_quick: false,
    },
    Peer {
        name: "nginx",
        program: Program::Nginx,
        can: &[Http1, Close, Exchange, H2c, Tls, TlsHttp2, Callgrind],
        is_quick: true,
    },
    Peer {
        name: "floor",
        program: Program::Peer("epoll-floor", &[]),
        can: &[Http1, Callgrind],
        is_quick: false,
    },
];
