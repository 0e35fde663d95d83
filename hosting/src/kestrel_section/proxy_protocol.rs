//! The keys of the PROXY protocol.

use std::net::IpAddr;
use std::time::Duration;

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use server_abstractions::AddressTarget;
use server_kestrel::ProxyProtocolOptions;
use server_kestrel::ipnet::IpNet;

use super::https::Reader;
use super::limits::required_duration;
use crate::ConfigurationError;

/// That the connections of an endpoint begin with a header of the PROXY protocol; `{}` for the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a section: {} switches it on with its defaults; leave the key out to leave it off"
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct ProxyProtocolSection {
    /// Which proxies are believed: addresses and networks such as `10.0.0.0/8`, in the place of the default. Default is
    /// loopback.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<Network>>"))]
    trusted_proxies: Option<Networks>,
    /// Whether whoever connects to a Unix socket is believed; an endpoint on one needs it. Default is false.
    trust_unix_sockets: Option<bool>,
    /// How long the header may take, as `00:00:05` or seconds; more than 0. Default is 5 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 0, "default" = "00:00:05")))]
    header_timeout: Option<Duration>,
}

/// A list of them.
#[derive(Clone, Debug)]
pub(crate) struct Networks(pub(crate) Vec<IpNet>);

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Networks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a list, such as ["10.0.0.0/8", "192.0.2.7"]"#)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Networks, A::Error> {
                let mut networks = Vec::new();
                while let Some(network) = list.next_element::<Network>()? {
                    networks.push(network.0);
                }
                Ok(Networks(networks))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// An address, or a network in CIDR notation.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, with = "String", extend("pattern" = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", "patternErrorMessage" = "expected an IP address, or a network such as 10.0.0.0/8")))]
pub(crate) struct Network(IpNet);

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(Self).map_err(|_| "expected an IP address, or a network such as 10.0.0.0/8")
    }
}

impl ProxyProtocolSection {
    /// The options of the endpoint at `path`. Those with which it would cut off every connection are refused.
    pub(super) fn options(
        &self,
        reader: &Reader<'_>,
        target: Option<&AddressTarget>,
        path: &str,
    ) -> Result<ProxyProtocolOptions, ConfigurationError> {
        let defaults = ProxyProtocolOptions::default();
        let options = ProxyProtocolOptions {
            trusted_proxies: self.trusted_proxies.clone().map_or(defaults.trusted_proxies, |list| list.0),
            trust_unix_sockets: self.trust_unix_sockets.unwrap_or(defaults.trust_unix_sockets),
            header_timeout: self.header_timeout.unwrap_or(defaults.header_timeout),
        };
        let is_unix = matches!(target, Some(AddressTarget::Unix(_) | AddressTarget::Abstract(_)));
        let (key, reason) = if options.header_timeout.is_zero() {
            ("HeaderTimeout", "it must be more than 0")
        } else if is_unix && !options.trust_unix_sockets {
            (
                "TrustUnixSockets",
                "every connection of the Unix socket would be cut off; set it to true, so that whoever may write to the file is believed",
            )
        } else if !is_unix && options.trusted_proxies.is_empty() {
            (
                "TrustedProxies",
                r#"nobody would be believed and every connection cut off; name the proxies, such as ["10.0.0.0/8"], or leave the key out for those on this machine"#,
            )
        } else {
            return Ok(options);
        };
        Err(reader.configuration.invalid(&format!("{path}:ProxyProtocol:{key}"), reason))
    }
}
