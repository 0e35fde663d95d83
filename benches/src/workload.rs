//! What the servers are asked.

/// What a peer must be able to do for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `GET /plaintext` over HTTP/1.1 in cleartext.
    Http1,
    /// The connection is closed after the answer when that is asked for.
    Close,
    /// `/json`, `/100k`, `/10m` and `/file`.
    Exchange,
    /// `/upload`, which answers when the body has been read.
    Upload,
    /// HTTP/2 in cleartext with prior knowledge.
    H2c,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    TlsHttp2,
    /// An echo at `/ws`.
    WebSocket,
    /// Runs under callgrind, which does not know io_uring.
    Callgrind,
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// `wrk` with a mode of its script: `plain`, `pipeline`, `upload`, `close`.
    Wrk {
        /// What is asked for.
        path: &'static str,
        /// How many connections ask at the same time.
        connections: u32,
        /// How the script asks.
        mode: &'static str,
    },
    /// `h2load`.
    H2load {
        /// How many connections ask at the same time.
        connections: u32,
        /// How many requests each has under way.
        streams: u32,
    },
    /// TLS handshakes, each with one request after it.
    Handshakes {
        /// Which handshake: `full`, `resumed`, or `full-1.2` for one of TLS 1.2.
        kind: &'static str,
        /// The groups of the key exchange: `all` that rustls has are offered, with shares for X25519MLKEM768 and X25519, or
        /// it must be `x25519`.
        groups: &'static str,
    },
    /// Messages to a WebSocket and back.
    WebSocket {
        /// How many connections ask at the same time.
        connections: u32,
    },
    /// Connections that rest after one request.
    Idle {
        /// How many.
        connections: u32,
    },
    /// The process is started, and asked once.
    StartUp,
    /// One connection under callgrind, with a mode of `wrk`'s script.
    Callgrind {
        /// `plain` or `pipeline`.
        mode: &'static str,
    },
}

/// Something to ask.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// As the tables and `--workload` call it.
    pub name: &'static str,
    /// What it shows, for the head of its table.
    pub about: &'static str,
    /// What a peer must be able to do.
    pub needs: &'static [Need],
    /// Who asks, and how.
    pub load: Load,
    /// Whether server and load each have a processor core of their own; otherwise both have all.
    pub is_pinned: bool,
    /// Whether it belongs to the quick set.
    pub is_quick: bool,
}

impl Workload {
    const fn new(name: &'static str, about: &'static str, needs: &'static [Need], load: Load) -> Self {
        Self { name, about, needs, load, is_pinned: true, is_quick: false }
    }

    const fn quick(mut self) -> Self {
        self.is_quick = true;
        self
    }

    const fn unpinned(mut self) -> Self {
        self.is_pinned = false;
        self
    }

    /// Whether the connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.needs.contains(&Tls) || self.needs.contains(&TlsHttp2)
    }

    /// Whether the connections are HTTP/2 in cleartext.
    #[must_use]
    pub fn is_h2c(&self) -> bool {
        self.needs.contains(&H2c)
    }

    /// How often it is repeated at the most: what takes long and varies little needs fewer rounds.
    #[must_use]
    pub fn rounds(&self, wanted: usize) -> usize {
        match self.load {
            Load::Idle { .. } | Load::Callgrind { .. } => 1,
            _ => wanted,
        }
    }

    /// Of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }
}

const fn wrk(path: &'static str, connections: u32, mode: &'static str) -> Load {
    Load::Wrk { path, connections, mode }
}

const fn handshakes(kind: &'static str, groups: &'static str) -> Load {
    Load::Handshakes { kind, groups }
}

const fn get(path: &'static str, connections: u32) -> Load {
    wrk(path, connections, "plain")
}

use Need::{Callgrind, Close, Exchange, H2c, Http1, Tls, TlsHttp2, Upload, WebSocket};

/// All of them, in the order of the tables.
pub const WORKLOADS: [Workload; 29] = [
    Workload::new("plaintext-1", "13 bytes, 1 connection", &[Http1], get("/plaintext", 1)),
    Workload::new("plaintext-64", "13 bytes, 64 connections", &[Http1], get("/plaintext", 64)).quick(),
    Workload::new("plaintext-512", "13 bytes, 512 connections", &[Http1], get("/plaintext", 512)),
    Workload::new(
        "plaintext-64-unpinned",
        "13 bytes, 64 connections, server and load share all cores",
        &[Http1],
        get("/plaintext", 64),
    )
    .unpinned(),
    Workload::new(
        "pipelined-16",
        "13 bytes, 64 connections with 16 requests in one piece each",
        &[Http1],
        wrk("/plaintext", 64, "pipeline"),
    )
    .quick(),
    Workload::new("json", "a small object, serialized each time", &[Http1, Exchange], get("/json", 64)),
    Workload::new("100k", "102,400 bytes from memory", &[Http1, Exchange], get("/100k", 64)).quick(),
    Workload::new("10m", "10,485,760 bytes from memory", &[Http1, Exchange], get("/10m", 8)),
    Workload::new("file", "a file of 65,536 bytes from the disk", &[Http1, Exchange], get("/file", 64)),
    Workload::new("upload", "1,048,576 bytes sent", &[Http1, Upload], wrk("/upload", 8, "upload")),
    Workload::new(
        "connect",
        "a new connection for each request",
        &[Http1, Close],
        wrk("/plaintext", 64, "close"),
    )
    .quick(),
    Workload::new(
        "connect-unpinned",
        "a new connection for each request, server and load share all cores",
        &[Http1, Close],
        wrk("/plaintext", 64, "close"),
    )
    .unpinned(),
    Workload::new("websocket", "32 bytes there and back", &[WebSocket], Load::WebSocket { connections: 64 }),
    Workload::new("h2c-1", "8 connections of 1 stream", &[H2c], Load::H2load { connections: 8, streams: 1 }),
    Workload::new(
        "h2c-32",
        "8 connections of 32 streams",
        &[H2c],
        Load::H2load { connections: 8, streams: 32 },
    ),
    Workload::new(
        "h2-32",
        "8 connections of 32 streams over TLS",
        &[TlsHttp2],
        Load::H2load { connections: 8, streams: 32 },
    ),
    Workload::new(
        "h2c-32-unpinned",
        "8 connections of 32 streams, server and load share all cores",
        &[H2c],
        Load::H2load { connections: 8, streams: 32 },
    )
    .unpinned(),
    Workload::new("tls-plaintext", "13 bytes over TLS, 64 connections", &[Tls], get("/plaintext", 64)),
    Workload::new("tls-full", "a full handshake and one request", &[Tls], handshakes("full", "all")),
    Workload::new("tls-resumed", "a resumed handshake and one request", &[Tls], handshakes("resumed", "all")),
    Workload::new(
        "tls-full-x25519",
        "a full handshake with X25519 and one request",
        &[Tls],
        handshakes("full", "x25519"),
    ),
    Workload::new(
        "tls-resumed-x25519",
        "a resumed handshake with X25519 and one request",
        &[Tls],
        handshakes("resumed", "x25519"),
    ),
    Workload::new(
        "tls12-full-x25519",
        "a full handshake of TLS 1.2 with X25519 and one request",
        &[Tls],
        handshakes("full-1.2", "x25519"),
    ),
    Workload::new("tls-10m", "10,485,760 bytes over TLS", &[Tls, Exchange], get("/10m", 8)),
    Workload::new("idle", "10,000 idle connections", &[Http1], Load::Idle { connections: 10_000 }),
    Workload::new("tls-idle", "10,000 idle TLS connections", &[Tls], Load::Idle { connections: 10_000 }),
    Workload::new("start-up", "from the start to the first answer", &[Http1], Load::StartUp),
    Workload::new(
        "instructions",
        "13 bytes, 1 connection, counted by callgrind",
        &[Http1, Callgrind],
        Load::Callgrind { mode: "plain" },
    ),
    Workload::new(
        "instructions-16",
        "16 requests in one piece, counted by callgrind",
        &[Http1, Callgrind],
        Load::Callgrind { mode: "pipeline" },
    ),
];
