//! `SocketOptions`, of an endpoint or of the defaults of endpoints; and `Threads`.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use server_abstractions::AddressTarget;
use server_kestrel::{SocketOptions, TcpKeepAlive, Threads};

use super::https::Reader;
use super::limits::{key, present, required_duration, set};
use crate::ConfigurationError;

/// What the system is told about sockets. A key that is absent leaves the option as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct SocketOptionsSection {
    /// How many connections the system queues before they are accepted. Default is 512.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1, max = 2_147_483_647), extend("default" = 512)))]
    backlog: Option<u32>,
    /// Whether several processes may listen on the port (`SO_REUSEPORT`); of TCP only. Default is false.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = false)))]
    reuse_port: Option<bool>,
    /// Whether small pieces are sent at once (`TCP_NODELAY`); of TCP only. Default is true.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = true)))]
    no_delay: Option<bool>,
    /// When the system asks whether a silent peer is still there; of TCP only. Default is `null`: never.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<KeepAliveSection>", extend("default" = null)))]
    keep_alive: Option<Option<KeepAliveSection>>,
    /// The permissions of the file of a Unix socket, as text such as `"0660"`. Default is `null`: what the umask leaves.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Mode>", extend("default" = null)))]
    unix_mode: Option<Option<Mode>>,
}

/// When the system asks whether a silent peer is still there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct KeepAliveSection {
    /// After how long a silence. Default is 60 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("minimum" = 1, "maximum" = 32_767, "multipleOf" = 1, "default" = "00:01:00")))]
    time: Option<Duration>,
    /// How long until it asks again. Default is 10 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("minimum" = 1, "maximum" = 32_767, "multipleOf" = 1, "default" = "00:00:10")))]
    interval: Option<Duration>,
    /// How many times it asks in vain. Default is 6.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1, max = 127), extend("default" = 6)))]
    retries: Option<u32>,
}

/// Permissions in octal digits. The leading 0 is what no number can have in JSON: 660 would be another one than `0660`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, with = "String", extend("pattern" = "^0[0-7]{3}$", "patternErrorMessage" = "expected four octal digits such as 0660")))]
struct Mode(u32);

impl TryFrom<String> for Mode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_octal =
            text.len() == 4 && text.starts_with('0') && text.bytes().all(|digit| digit.is_ascii_digit());
        let mode = is_octal.then(|| u32::from_str_radix(&text, 8).ok()).flatten();
        mode.map(Self)
            .ok_or("it must be a text of four octal digits from \"0000\" to \"0777\", such as \"0660\"")
    }
}

impl SocketOptionsSection {
    /// Puts the defaults on top of those of the code; they must be right for some kind of address.
    pub(super) fn apply_defaults(
        &self,
        reader: &Reader<'_>,
        options: &mut SocketOptions,
        path: &str,
    ) -> Result<(), ConfigurationError> {
        self.set(options);
        let tcp = AddressTarget::Ip(([127, 0, 0, 1], 0).into());
        let unix = AddressTarget::Unix("/".into());
        for target in [tcp, unix] {
            check(reader, &options.for_target(&target), &target, path)?;
        }
        Ok(())
    }

    /// Puts what the section of this path says on top of the options of an endpoint.
    pub(super) fn apply(
        &self,
        reader: &Reader<'_>,
        options: &mut SocketOptions,
        target: &AddressTarget,
        path: &str,
    ) -> Result<(), ConfigurationError> {
        self.set(options);
        check(reader, options, target, path)
    }

    fn set(&self, options: &mut SocketOptions) {
        set(&mut options.backlog, self.backlog);
        set(&mut options.reuse_port, self.reuse_port);
        set(&mut options.no_delay, self.no_delay);
        if let Some(keep_alive) = &self.keep_alive {
            let before = options.keep_alive.unwrap_or_default();
            options.keep_alive = keep_alive.as_ref().map(|section| section.on(before));
        }
        if let Some(mode) = self.unix_mode {
            options.unix_mode = mode.map(|mode| mode.0);
        }
    }
}

impl KeepAliveSection {
    fn on(&self, before: TcpKeepAlive) -> TcpKeepAlive {
        TcpKeepAlive {
            time: self.time.unwrap_or(before.time),
            interval: self.interval.unwrap_or(before.interval),
            retries: self.retries.unwrap_or(before.retries),
        }
    }
}

fn check(
    reader: &Reader<'_>,
    options: &SocketOptions,
    target: &AddressTarget,
    path: &str,
) -> Result<(), ConfigurationError> {
    options.check(target).map_err(|error| {
        let path = format!("{path}:{}", key(error.name()));
        reader.configuration.invalid(&path, format_args!("it must be {}", error.wanted()))
    })
}

/// `Shared`, `PerCore`, or a number of threads of the server's own.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, with = "String", extend("type" = ["string", "number"], "pattern" = "^(Shared|PerCore)$", "patternErrorMessage" = "expected Shared, PerCore or a number of threads", "minimum" = 1, "maximum" = 1024, "multipleOf" = 1)))]
pub(super) struct ThreadsSection(Threads);

impl TryFrom<String> for ThreadsSection {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.trim() {
            text if text.eq_ignore_ascii_case("shared") => Ok(Self(Threads::Shared)),
            text if text.eq_ignore_ascii_case("percore") => Ok(Self(Threads::PerCore(None))),
            number => match number.parse::<NonZeroUsize>() {
                Ok(count) if count.get() <= MAX_THREADS => Ok(Self(Threads::PerCore(Some(count)))),
                _ => Err("it must be Shared, PerCore or a number of threads from 1 to 1024"),
            },
        }
    }
}

/// More than any machine has use for; a thread costs memory of its own.
const MAX_THREADS: usize = 1024;

impl From<ThreadsSection> for Threads {
    fn from(section: ThreadsSection) -> Self {
        section.0
    }
}
