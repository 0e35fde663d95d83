//! The section `RequestIds` of the configuration.

use http::HeaderName;
use serde::Deserialize;

use super::{RequestIdLayer, RequestIdOptions};
use crate::kestrel_section::Networks;
use crate::traces::section::{BelievedKeys, BelievedName};
use crate::{Configuration, ConfigurationError};

const ROOT: &str = "RequestIds";

/// Ids of requests in responses. A key that is not understood is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct RequestIdsSection {
    /// Whether each response tells the id of its request. Default is false.
    enabled: Option<bool>,
    /// The field that tells it. Default is `x-request-id`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("pattern" = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "default" = "x-request-id", "patternErrorMessage" = "expected the name of a header field")))]
    header: Option<Field>,
    /// Whose ids are taken as they are. Default is `Never`, nobody's.
    incoming: Option<BelievedName>,
    /// The peers of `Trusted`: addresses and networks such as `10.0.0.0/8`, in the place of the default. Default is
    /// loopback.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<crate::kestrel_section::Network>>"))]
    trusted_peers: Option<Networks>,
    /// Whether `Trusted` means whoever connects to a Unix socket, too. Default is false.
    trust_unix_sockets: Option<bool>,
}

/// The name of a header field.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Field(HeaderName);

impl TryFrom<String> for Field {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_| "expected the name of a header field, such as x-request-id")
    }
}

/// The layer that the configuration asks for.
pub(crate) fn layer(configuration: &Configuration) -> Result<Option<RequestIdLayer>, ConfigurationError> {
    let section = configuration.bind::<RequestIdsSection>(ROOT)?;
    let defaults = RequestIdOptions::default();
    let keys = BelievedKeys {
        root: ROOT,
        key: "Incoming",
        name: section.incoming,
        peers: section.trusted_peers,
        unix_sockets: section.trust_unix_sockets,
    };
    let options = RequestIdOptions {
        header: section.header.map_or(defaults.header, |field| field.0),
        incoming: keys.read(configuration, defaults.incoming)?,
    };
    Ok(section.enabled.unwrap_or_default().then(|| RequestIdLayer::new(options)))
}
