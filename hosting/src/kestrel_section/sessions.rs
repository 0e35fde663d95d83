//! `Sessions`, of an endpoint or of the defaults of endpoints.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use server_kestrel::{HttpsOptions, TicketKeys};

use super::https::Reader;
use super::limits::{key, present, required_duration, set};
use crate::ConfigurationError;
use crate::startup::rooted;

/// How TLS sessions go on when a client comes again. A key that is absent leaves the option as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct SessionsSection {
    /// How many sessions each policy remembers, each some hundreds of bytes; 0 remembers none. Default is 8192.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(max = 16_777_216), extend("default" = 8192)))]
    cache_size: Option<usize>,
    /// How long a session may go on, a week at the most. Default is 12 hours.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("minimum" = 1, "maximum" = 604_800, "default" = "12:00:00")))]
    lifetime: Option<Duration>,
    /// Whether clients keep their sessions, encrypted, in the place of the server. Default is `false`, and `true` with a `TicketKeyFile`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    tickets: Option<bool>,
    /// How many tickets a handshake of TLS 1.3 gives. Default is 2.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(max = 16), extend("default" = 2)))]
    tickets_per_handshake: Option<usize>,
    /// The file with the keys of tickets, which processes may share; a relative path starts from the content root. Default is none: keys in memory.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "PathBuf"))]
    ticket_key_file: Option<PathBuf>,
    /// The age at which the server makes a new key. Default is 6 hours in memory, and none with a `TicketKeyFile`: somebody else makes them.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("minimum" = 1)))]
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
        let keys = self.ticket_keys(reader, &sessions.ticket_keys, path);
        sessions.ticket_keys = keys.map_err(|(key, reason)| {
            reader.configuration.invalid(&format!("{path}:Sessions:{key}"), reason)
        })?;
        sessions.check().map_err(|error| {
            let path = format!("{path}:{}", key(error.name()));
            reader.configuration.invalid(&path, format_args!("it must be {}", error.wanted()))
        })
    }

    /// The keys of the section below this path, or the key of it that is wrong, and why.
    fn ticket_keys(
        &self,
        reader: &Reader<'_>,
        before: &TicketKeys,
        path: &str,
    ) -> Result<TicketKeys, (&'static str, &'static str)> {
        let (file, rotation) = (self.ticket_key_file.as_ref(), self.ticket_key_rotation);
        if self.tickets == Some(false) {
            if file.is_some() || rotation.is_some() {
                return Err(("Tickets", "it is false, and there are keys for tickets beside it"));
            }
            return Ok(TicketKeys::None);
        }
        if let Some(file) = file {
            let configured_at = reader.place(&format!("{path}:Sessions:TicketKeyFile"));
            return Ok(TicketKeys::File { path: rooted(reader.environment, file), rotation, configured_at });
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
            (TicketKeys::File { path, configured_at, .. }, Some(rotation)) => Ok(TicketKeys::File {
                path: path.clone(),
                rotation: Some(rotation),
                configured_at: configured_at.clone(),
            }),
            (before, _) => Ok(before.clone()),
        }
    }
}
