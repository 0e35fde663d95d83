//! What a client that comes again need not agree on anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use server_abstractions::StartError;

use super::configured_at::ConfiguredAt;
use crate::limits::{LimitError, refused, within};

mod binding;
mod cache;
mod key_file;
mod ring;
mod tickets;

pub(super) use binding::{Binding, Identity};
pub(super) use ring::Ring;

use cache::Cache;
use tickets::Ticketer;

/// The resumption of TLS sessions: what of them the server remembers, or gives to clients in tickets.
///
/// A session goes on only where it began: under the same certificate, server name, versions and protocols of TLS, and
/// under the same terms for clients' certificates (whether they are asked for, roots, revocation lists). Any change of
/// them, a renewed certificate or another revocation list included, makes the next handshake a full one. Where code
/// judges clients' certificates or chooses the server's, nobody can tell whether it is the same code, so sessions go on
/// in the same endpoint of the same process only. The client's certificate of a session that goes on is verified again
/// each time; if it has expired meanwhile, or code no longer believes it, the connection ends as after a handshake that
/// failed.
///
/// Whoever has the keys of tickets can read what was sent in TLS 1.2 in sessions with such tickets, from their first
/// connection on, and can take the place of either side in connections of TLS 1.3 that go on with one (what was sent
/// there before stays unread): keys belong to nobody else, and not for long.
///
/// There is no early data (0-RTT).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The sessions that are remembered for each server name that has terms of its own, about half a kilobyte each and
    /// the client's certificates; of more the oldest are forgotten. With tickets it is those of clients of TLS 1.2 that
    /// take none. Default is 8192; 0 remembers none; at most 16,777,216. It may be rounded up.
    pub cache_size: usize,
    /// How long after a connection its session may go on, on which a client is then given new tickets. Default is 12 hours; from 1 second to 7 days (RFC 8446,
    /// section 4.6.1).
    pub lifetime: Duration,
    /// What tickets are encrypted with, in place of being remembered. Default is none: there are no tickets that
    /// need keys.
    pub ticket_keys: TicketKeys,
    /// The tickets that a client of TLS 1.3 is given after a handshake; it uses each for one connection. Default is 2;
    /// at most 16. With 0 no session of TLS 1.3 goes on.
    pub tickets_per_handshake: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            cache_size: 8192,
            lifetime: Duration::from_secs(12 * 60 * 60),
            ticket_keys: TicketKeys::None,
            tickets_per_handshake: 2,
        }
    }
}

/// The keys that session tickets (RFC 8446, section 4.6.1; RFC 5077 for TLS 1.2) are encrypted with: the newest
/// encrypts, all decrypt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketKeys {
    /// No tickets that carry a session: sessions are remembered.
    #[default]
    None,
    /// The endpoint's own, in memory: sessions go on in this process only, and cost it no memory.
    Memory {
        /// How long a key encrypts, before there is a new one.
        rotation: Duration,
    },
    /// A file, which several processes may share: sessions that began with one go on with all. It holds one or more keys of 80
    /// random bytes (a name of 16, a secret of 64), the newest first; what `openssl rand 80` makes is one.
    ///
    /// Its mode must not let others read it, nor the group write it. A file that changes is read again, and new
    /// handshakes use it within five seconds; of one that cannot be used an error is logged, and the last keys are used
    /// as before.
    File {
        /// Where it is.
        path: PathBuf,
        /// The age at which the server itself adds a new key and removes those that nothing valid was encrypted with,
        /// when there is a handshake. It also makes the file if there is none (mode 600), so its folder must be
        /// writable; of several processes, which must run as the same user, one does it (`{path}.lock`). Default is
        /// none: somebody else does.
        rotation: Option<Duration>,
        /// Where this was configured. Default is nowhere.
        configured_at: ConfiguredAt,
    },
}

impl TicketKeys {
    /// How long a key encrypts if nothing else is said: 6 hours.
    pub const DEFAULT_ROTATION: Duration = Duration::from_secs(6 * 60 * 60);

    /// Keys in memory, new ones every 6 hours.
    pub fn memory() -> Self {
        Self::Memory { rotation: Self::DEFAULT_ROTATION }
    }

    /// The keys of a file that somebody else rotates.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), rotation: None, configured_at: ConfiguredAt::default() }
    }

    /// The time after which there is a new key, if the server makes it.
    pub fn rotation(&self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Memory { rotation } => Some(*rotation),
            Self::File { rotation, .. } => *rotation,
        }
    }
}

/// The keys that are kept for one lifetime, at the most.
const MAX_ROTATIONS: u32 = 32;

impl SessionOptions {
    /// Whether the server can hold them.
    ///
    /// # Errors
    /// The first one that it cannot hold.
    pub fn check(&self) -> Result<(), LimitError> {
        within("sessions.cache_size", self.cache_size as u64, 0..=1 << 24)?;
        within("sessions.tickets_per_handshake", self.tickets_per_handshake as u64, 0..=16)?;
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        if !(Duration::from_secs(1)..=week).contains(&self.lifetime) {
            let wanted = format_args!("from 1 second to 7 days");
            return Err(refused("sessions.lifetime", format_args!("{:?}", self.lifetime), wanted));
        }
        let least = (self.lifetime / MAX_ROTATIONS).max(Duration::from_secs(1));
        match self.ticket_keys.rotation() {
            Some(rotation) if rotation < least => {
                let wanted = format_args!(
                    "at least 1 second and 1/{MAX_ROTATIONS} of the lifetime of a session, which is {:?}",
                    self.lifetime
                );
                Err(refused("sessions.ticket_key_rotation", format_args!("{rotation:?}"), wanted))
            }
            _ => Ok(()),
        }
    }

    /// Has a policy's sessions go on as the options say.
    pub(super) fn install(&self, config: &mut ServerConfig, binding: Binding, ring: Option<&Arc<Ring>>) {
        let binding = Arc::new(binding);
        config.send_tls13_tickets = self.tickets_per_handshake;
        config.session_storage = match self.cache_size {
            0 => Arc::new(NoServerSessionStorage {}),
            size => Arc::new(Cache {
                sessions: ServerSessionMemoryCache::new(size),
                binding: Arc::clone(&binding),
                lifetime: self.lifetime,
            }),
        };
        if let Some(ring) = ring {
            config.ticketer = Arc::new(Ticketer {
                ring: Arc::clone(ring),
                binding,
                lifetime: self.lifetime,
                random: config.crypto_provider().secure_random,
            });
        }
    }

    /// The keys of an endpoint's tickets.
    pub(super) fn ring(&self, provider: &CryptoProvider) -> Result<Option<Arc<Ring>>, StartError> {
        Ring::new(&self.ticket_keys, self.lifetime, provider.secure_random).map(|ring| ring.map(Arc::new))
    }
}
