//! Sessions that clients keep, encrypted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::SecureRandom;
use rustls::server::ProducesTickets;
use rustls_pki_types::UnixTime;

use super::{Binding, Ring};
use crate::tls::crypto::{aead, hkdf};

/// The bytes of a key: its name and its secret.
pub(super) const KEY: usize = NAME + 64;
const NAME: usize = 16;
const SALT: usize = 32;
/// What a session may have: the largest part are the client's certificates. Nobody has more decrypted.
const MAX_SESSION: usize = 8192;
const TIME: usize = 8;
/// How much earlier the clock of another process may be.
const CLOCKS: u64 = 60;

/// The session with its time in front.
pub(super) fn stamped(session: &[u8]) -> Vec<u8> {
    [&UnixTime::now().as_secs().to_be_bytes()[..], session].concat()
}

/// The session, if it is not too old.
pub(super) fn is_fresh(stamped: &[u8], lifetime: Duration) -> Option<&[u8]> {
    let (time, session) = stamped.split_first_chunk::<TIME>()?;
    let (time, now) = (u64::from_be_bytes(*time), UnixTime::now().as_secs());
    let is_fresh = time <= now.saturating_add(CLOCKS) && now.saturating_sub(time) <= lifetime.as_secs();
    is_fresh.then_some(session)
}

/// What one key encrypts and decrypts.
///
/// A ticket is `name (16) || salt (32) || AES-256-GCM(time (8) || session) || tag (16)`. The salt and the secret make the
/// key of this ticket alone (HKDF-SHA256), so that any number of processes may encrypt any number of tickets without
/// two of them under the same key and nonce. The associated data are the name and where the session began.
pub(super) struct Key {
    name: [u8; NAME],
    secret: hkdf::Prk,
}

/// Shows no secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    pub(super) fn new(bytes: &[u8; KEY]) -> Self {
        let mut name = [0; NAME];
        name.copy_from_slice(&bytes[..NAME]);
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"server-kestrel ticket key");
        Self { name, secret: salt.extract(&bytes[NAME..]) }
    }

    pub(super) fn name(&self) -> &[u8; NAME] {
        &self.name
    }

    /// The key of one ticket.
    fn of_ticket(&self, salt: &[u8]) -> Option<aead::LessSafeKey> {
        let info = [b"ticket".as_slice(), salt];
        let key = self.secret.expand(&info, &aead::AES_256_GCM).ok()?;
        Some(aead::LessSafeKey::new(key.into()))
    }

    fn seal(&self, session: &[u8], binding: &[u8; 32], random: &dyn SecureRandom) -> Option<Vec<u8>> {
        let mut salt = [0; SALT];
        random.fill(&mut salt).ok()?;
        let mut sealed = stamped(session);
        let data = [&self.name[..], binding].concat();
        self.of_ticket(&salt)?.seal_in_place_append_tag(nonce(), aead::Aad::from(data), &mut sealed).ok()?;
        Some([&self.name[..], &salt, &sealed].concat())
    }

    /// The session and its time.
    fn open(&self, salt: &[u8], sealed: &[u8], binding: &[u8; 32]) -> Option<Vec<u8>> {
        let mut opened = sealed.to_vec();
        let data = [&self.name[..], binding].concat();
        let length =
            self.of_ticket(salt)?.open_in_place(nonce(), aead::Aad::from(data), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

/// Each key is used once.
fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

/// Keys, the newest first; never empty.
#[derive(Debug)]
pub(super) struct Keys(pub(super) Vec<Arc<Key>>);

/// The tickets of a policy.
#[derive(Debug)]
pub(super) struct Ticketer {
    pub(super) ring: Arc<Ring>,
    pub(super) binding: Arc<Binding>,
    pub(super) lifetime: Duration,
    pub(super) random: &'static dyn SecureRandom,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > MAX_SESSION {
            return None;
        }
        self.ring.current().0.first()?.seal(session, &self.binding.now(), self.random)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > NAME + SALT + TIME + MAX_SESSION + aead::MAX_TAG_LEN {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (salt, sealed) = rest.split_first_chunk::<SALT>()?;
        let keys = self.ring.current();
        let key = keys.0.iter().find(|key| key.name() == name)?;
        let opened = key.open(salt, sealed, &self.binding.now())?;
        is_fresh(&opened, self.lifetime).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::crypto;
    use crate::tls::policy::Certificates;
    use crate::tls::sessions::{Identity, TicketKeys};

    const HOUR: Duration = Duration::from_secs(3600);

    fn ring() -> Arc<Ring> {
        let ring = Ring::new(&TicketKeys::memory(), HOUR, crypto::provider().secure_random);
        Arc::new(ring.unwrap().unwrap())
    }

    /// Tickets of the policy of this name.
    fn ticketer(ring: &Arc<Ring>, policy: &str, lifetime: Duration) -> Ticketer {
        let random = crypto::provider().secure_random;
        let mut identity = Identity::new(random);
        identity.add("name", policy.as_bytes());
        let binding = Arc::new(identity.bind(Certificates::Nothing, None));
        Ticketer { ring: Arc::clone(ring), binding, lifetime, random }
    }

    #[test]
    fn a_ticket_is_for_its_policy_and_its_keys_only() {
        let ring = ring();
        let tickets = ticketer(&ring, "a", HOUR);
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_ne!(tickets.encrypt(b"session").unwrap(), ticket, "each has a salt of its own");
        assert!(!ticket.windows(7).any(|part| part == b"session"));
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(ticketer(&ring, "a", HOUR).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(ticketer(&ring, "b", HOUR).decrypt(&ticket), None);
        assert_eq!(ticketer(&self::ring(), "a", HOUR).decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_is_none() {
        let tickets = ticketer(&ring(), "a", HOUR);
        let ticket = tickets.encrypt(b"session").unwrap();
        for index in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[index] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {index}");
            assert_eq!(tickets.decrypt(&ticket[..index]), None, "the first {index} bytes");
        }
        assert_eq!(tickets.decrypt(&[&ticket[..], b"x"].concat()), None);
    }

    #[test]
    fn what_is_too_long_is_neither_encrypted_nor_decrypted() {
        let tickets = ticketer(&ring(), "a", HOUR);
        let longest = tickets.encrypt(&[1; MAX_SESSION]).unwrap();
        assert_eq!(tickets.decrypt(&longest).as_deref(), Some(&[1; MAX_SESSION][..]));
        assert_eq!(tickets.encrypt(&[1; MAX_SESSION + 1]), None);
        let binding = tickets.binding.now();
        let keys = tickets.ring.current();
        let longer = keys.0[0].seal(&[1; MAX_SESSION + 1], &binding, tickets.random).unwrap();
        assert_eq!(tickets.decrypt(&longer), None);
    }

    #[test]
    fn a_session_is_fresh_for_its_lifetime() {
        let at = |seconds: u64| [&seconds.to_be_bytes()[..], b"session"].concat();
        let now = UnixTime::now().as_secs();
        for (time, is_fresh_then) in [
            (now, true),
            (now - 3590, true),
            (now - 3602, false),
            (now + CLOCKS, true),
            (now + CLOCKS + 60, false),
            (0, false),
            (u64::MAX, false),
        ] {
            let stamped = at(time);
            assert_eq!(is_fresh(&stamped, HOUR).is_some(), is_fresh_then, "{time}");
        }
        assert_eq!(is_fresh(b"short", HOUR), None);
        assert_eq!(is_fresh(&stamped(b"session"), HOUR), Some(&b"session"[..]));
    }
}
