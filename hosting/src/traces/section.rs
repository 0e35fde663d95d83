//! The section `Tracing` of the configuration.

use serde::Deserialize;

use super::{Believed, RequestTraceLayer, RequestTraceOptions, TrustedPeers};
use crate::kestrel_section::Networks;
use crate::{Configuration, ConfigurationError};

const ROOT: &str = "Tracing";

/// A span for each request. A key that is not understood is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct TracingSection {
    /// Whether each request has a span. Default is false, and true if the application has set up its traces in code.
    enabled: Option<bool>,
    /// Whose `traceparent` is continued. Default is `Always`, everyone's.
    parents: Option<BelievedName>,
    /// The peers of `Trusted`: addresses and networks such as `10.0.0.0/8`, in the place of the default. Default is
    /// loopback.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<crate::kestrel_section::Network>>"))]
    trusted_peers: Option<Networks>,
    /// Whether `Trusted` means whoever connects to a Unix socket, too. Default is false.
    trust_unix_sockets: Option<bool>,
    /// Whether all values of queries are shown as `REDACTED`. Default is true.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    redact_query: Option<bool>,
    /// The keys of queries whose values are shown as `REDACTED` if `RedactQuery` is false, in the place of the default.
    /// Default is those with which storage services sign addresses.
    redacted_query_keys: Option<Vec<String>>,
}

/// Whose word is taken.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum BelievedName {
    Always,
    Trusted,
    Never,
}

/// What the three keys say together.
pub(crate) struct BelievedKeys {
    pub(crate) root: &'static str,
    pub(crate) key: &'static str,
    pub(crate) name: Option<BelievedName>,
    pub(crate) peers: Option<Networks>,
    pub(crate) unix_sockets: Option<bool>,
}

impl BelievedKeys {
    /// A list of peers has nobody who obeys it unless it is asked for.
    pub(crate) fn read(
        self,
        configuration: &Configuration,
        default: Believed,
    ) -> Result<Believed, ConfigurationError> {
        let Self { root, key, name, peers, unix_sockets } = self;
        if matches!(name, Some(BelievedName::Trusted)) {
            let defaults = TrustedPeers::default();
            return Ok(Believed::Peers(TrustedPeers {
                networks: peers.map_or(defaults.networks, |peers| peers.0),
                unix_sockets: unix_sockets.unwrap_or(defaults.unix_sockets),
            }));
        }
        let unused = [("TrustedPeers", peers.is_some()), ("TrustUnixSockets", unix_sockets == Some(true))];
        if let Some((unused, _)) = unused.into_iter().find(|(_, is_given)| *is_given) {
            let reason =
                format!("it has no effect unless {root}:{key} is Trusted; set that, or leave this out");
            return Err(configuration.invalid(&format!("{root}:{unused}"), reason));
        }
        Ok(match name {
            Some(BelievedName::Always) => Believed::Everyone,
            Some(BelievedName::Never) => Believed::Nobody,
            Some(BelievedName::Trusted) | None => default,
        })
    }
}

/// The layer that code or configuration ask for; what the configuration says wins.
pub(super) fn layer(
    configuration: &Configuration,
    code: Option<RequestTraceLayer>,
) -> Result<Option<RequestTraceLayer>, ConfigurationError> {
    let section = configuration.bind::<TracingSection>(ROOT)?;
    let is_enabled = section.enabled.unwrap_or(code.is_some());
    let code = code.unwrap_or_default();
    let defaults = code.options().clone();
    let keys = BelievedKeys {
        root: ROOT,
        key: "Parents",
        name: section.parents,
        peers: section.trusted_peers,
        unix_sockets: section.trust_unix_sockets,
    };
    let redact_query = section.redact_query.unwrap_or(defaults.redact_query);
    if redact_query && section.redacted_query_keys.is_some() {
        let reason = format!(
            "it has no effect unless {ROOT}:RedactQuery is false, since all values are left out; set that, or leave this out"
        );
        return Err(configuration.invalid(&format!("{ROOT}:RedactedQueryKeys"), reason));
    }
    let options = RequestTraceOptions {
        redact_query,
        parents: keys.read(configuration, defaults.parents)?,
        redacted_query_keys: section.redacted_query_keys.unwrap_or(defaults.redacted_query_keys),
    };
    Ok(is_enabled.then(|| code.with_options(options)))
}
