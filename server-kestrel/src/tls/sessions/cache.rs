//! Sessions that are remembered.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};

use super::Binding;
use super::tickets::{is_fresh, stamped};

/// The sessions of a policy, which are found under the same certificate only, and for their lifetime.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) sessions: Arc<ServerSessionMemoryCache>,
    pub(super) binding: Arc<Binding>,
    pub(super) lifetime: Duration,
}

impl Cache {
    fn key(&self, id: &[u8]) -> Vec<u8> {
        [id, &self.binding.now()].concat()
    }

    fn fresh(&self, stamped: Option<Vec<u8>>) -> Option<Vec<u8>> {
        stamped.and_then(|stamped| is_fresh(&stamped, self.lifetime).map(<[u8]>::to_vec))
    }
}

impl StoresServerSessions for Cache {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        self.sessions.put(self.key(&id), stamped(&session))
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.sessions.get(&self.key(id)))
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.sessions.take(&self.key(id)))
    }

    fn can_cache(&self) -> bool {
        true
    }
}
