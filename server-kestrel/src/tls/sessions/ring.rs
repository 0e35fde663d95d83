//! The keys of tickets, in memory or in a file.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::SecureRandom;
use server_abstractions::StartError;
use tokio::time::Instant;

use super::TicketKeys;
use super::key_file::KeyFile;
use super::tickets::{KEY, Key, Keys};
use crate::tls::reloadable::Reloadable;

/// The keys of an endpoint's tickets.
#[derive(Debug)]
pub(in crate::tls) struct Ring(Place);

#[derive(Debug)]
enum Place {
    Memory(Memory),
    File(Arc<Reloadable<Keys>>),
}

impl Ring {
    /// `None`: there are no tickets.
    pub(super) fn new(
        keys: &TicketKeys,
        lifetime: Duration,
        random: &'static dyn SecureRandom,
    ) -> Result<Option<Self>, StartError> {
        let place = match keys {
            TicketKeys::None => return Ok(None),
            TicketKeys::Memory { rotation } => Place::Memory(Memory::new(*rotation, lifetime, random)?),
            TicketKeys::File { path, rotation, configured_at } => {
                let file = KeyFile::new(path.clone(), *rotation, configured_at.clone(), lifetime, random);
                file.prepare()?;
                Place::File(Reloadable::new(file)?)
            }
        };
        Ok(Some(Self(place)))
    }

    pub(super) fn current(&self) -> Arc<Keys> {
        match &self.0 {
            Place::Memory(memory) => memory.current.load_full(),
            Place::File(file) => file.current(),
        }
    }

    /// Before a handshake: takes new keys if it is time.
    pub(in crate::tls) async fn refresh(&self) {
        match &self.0 {
            Place::Memory(memory) => memory.refresh(),
            Place::File(file) => file.refresh().await,
        }
    }
}

/// Makes a key.
pub(super) fn random_key(random: &dyn SecureRandom) -> Result<[u8; KEY], StartError> {
    let mut bytes = [0; KEY];
    random
        .fill(&mut bytes)
        .map_err(|_| StartError::new("the system has no random numbers for a key of session tickets"))?;
    Ok(bytes)
}

/// Keys that nobody else has.
#[derive(Debug)]
struct Memory {
    rotation: Duration,
    lifetime: Duration,
    random: &'static dyn SecureRandom,
    current: ArcSwap<Keys>,
    /// The same keys, and since when each encrypts.
    made: Mutex<VecDeque<(Instant, Arc<Key>)>>,
}

impl Memory {
    fn new(
        rotation: Duration,
        lifetime: Duration,
        random: &'static dyn SecureRandom,
    ) -> Result<Self, StartError> {
        let key = Arc::new(Key::new(&random_key(random)?));
        let current = ArcSwap::from_pointee(Keys(vec![Arc::clone(&key)]));
        Ok(Self { rotation, lifetime, random, current, made: Mutex::new([(Instant::now(), key)].into()) })
    }

    fn refresh(&self) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let before = made.len();
        // A key has encrypted until the one before it was made.
        while made.len() > 1 && made[made.len() - 2].0.elapsed() > self.lifetime {
            made.pop_back();
        }
        let is_old = made.front().is_none_or(|(since, _)| since.elapsed() >= self.rotation);
        // Without random numbers the key stays a little longer.
        let new = if is_old { random_key(self.random).ok() } else { None };
        if let Some(bytes) = &new {
            made.push_front((Instant::now(), Arc::new(Key::new(bytes))));
        }
        if new.is_some() || made.len() != before {
            self.current.store(Arc::new(Keys(made.iter().map(|(_, key)| Arc::clone(key)).collect())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::crypto;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names(memory: &Memory) -> Vec<[u8; 16]> {
        memory.refresh();
        memory.current.load().0.iter().map(|key| *key.name()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_encrypts_for_its_time_and_decrypts_as_long_as_sessions_live() {
        let random = crypto::provider().secure_random;
        let memory = Memory::new(6 * HOUR, 12 * HOUR, random).unwrap();
        let first = names(&memory);
        tokio::time::advance(5 * HOUR).await;
        assert_eq!(names(&memory), first);
        tokio::time::advance(HOUR).await;
        let second = names(&memory);
        assert_eq!((second.len(), second[1]), (2, first[0]));
        tokio::time::advance(6 * HOUR).await;
        assert_eq!(names(&memory)[1..], second);
        // The first one encrypted until 12 hours and a minute ago.
        tokio::time::advance(6 * HOUR + Duration::from_secs(60)).await;
        let fourth = names(&memory);
        assert_eq!((fourth.len(), fourth[2]), (3, second[0]));
        // Of what was encrypted before a long silence nothing is left but the key of its last hours.
        tokio::time::advance(100 * HOUR).await;
        let last = names(&memory);
        assert_eq!((last.len(), last[1]), (2, fourth[0]));
    }
}
