//! `Sessions`, of an endpoint or of the defaults of endpoints.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use server_kestrel::{HttpsOptions, TicketKeys};

use super::https::Reader;
use super::limits::{key, present, required_duration, set};
use crate::ConfigurationError;
use crate::startup::rooted;

/// A key that is absent leaves the option as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SessionsSection {
    #[serde(deserialize_with = "present")]
    cache_size: Option<usize>,
    #[serde(deserialize_with = "required_duration")]
    lifetime: Option<Duration>,
    #[serde(deserialize_with = "present")]
    tickets: Option<bool>,
    #[serde(deserialize_with = "present")]
    tickets_per_handshake: Option<usize>,
    #[serde(deserialize_with = "present")]
    ticket_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "required_duration")]
    ticket_key_rotation: Option<Duration>,
}

impl SessionsSection {
    /// Puts what the section of this path says on top of the options.
    pub(super) fn apply(
        &self,
        reader: &Reader<'_>,
        options: &mut HttpsOptions,
        path: &str,
    ) -> Result<(), ConfigurationError> {
        let sessions = &mut options.sessions;
        set(&mut sessions.cache_size, self.cache_size);
        set(&mut sessions.lifetime, self.lifetime);
        set(&mut sessions.tickets_per_handshake, self.tickets_per_handshake);
        let keys = self.ticket_keys(reader, &sessions.ticket_keys);
        sessions.ticket_keys = keys.map_err(|(key, reason)| {
            reader.configuration.invalid(&format!("{path}:Sessions:{key}"), reason)
        })?;
        sessions.check().map_err(|error| {
            let path = format!("{path}:{}", key(error.name()));
            reader.configuration.invalid(&path, format_args!("it must be {}", error.wanted()))
        })
    }

    /// The keys, or the key of the section that is wrong, and why.
    fn ticket_keys(
        &self,
        reader: &Reader<'_>,
        before: &TicketKeys,
    ) -> Result<TicketKeys, (&'static str, &'static str)> {
        let (file, rotation) = (self.ticket_key_file.as_ref(), self.ticket_key_rotation);
        if self.tickets == Some(false) {
            if file.is_some() || rotation.is_some() {
                return Err(("Tickets", "it is false, and there are keys for tickets beside it"));
            }
            return Ok(TicketKeys::None);
        }
        if let Some(file) = file {
            return Ok(TicketKeys::File { path: rooted(reader.environment, file), rotation });
        }
        match (before, rotation) {
            (TicketKeys::None, None) if self.tickets.is_none() => Ok(TicketKeys::None),
            (TicketKeys::None, Some(_)) if self.tickets.is_none() => {
                Err(("TicketKeyRotation", "there are no tickets; set Tickets to true, or a TicketKeyFile"))
            }
            (TicketKeys::None, rotation) => {
                Ok(TicketKeys::Memory { rotation: rotation.unwrap_or(TicketKeys::DEFAULT_ROTATION) })
            }
            (TicketKeys::Memory { .. }, Some(rotation)) => Ok(TicketKeys::Memory { rotation }),
            (TicketKeys::File { path, .. }, Some(rotation)) => {
                Ok(TicketKeys::File { path: path.clone(), rotation: Some(rotation) })
            }
            (before, _) => Ok(before.clone()),
        }
    }
}
