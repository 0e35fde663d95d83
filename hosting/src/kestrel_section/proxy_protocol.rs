//! The keys of the PROXY protocol.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use server_kestrel::ProxyProtocolOptions;
use server_kestrel::ipnet::IpNet;

use crate::configuration::duration;

/// That the connections of an endpoint begin with a header of the PROXY protocol; `{}` for the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct ProxyProtocolSection {
    /// Which proxies are believed: addresses and networks such as `10.0.0.0/8`. Default is loopback.
    trusted_proxies: Option<Vec<Network>>,
    /// Whether whoever connects to a Unix socket is believed. Default is false.
    trust_unix_sockets: Option<bool>,
    /// How long the header may take, as `00:00:05` or seconds. Default is 5 seconds.
    #[serde(deserialize_with = "duration::optional::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Duration>"))]
    header_timeout: Option<Duration>,
}

/// An address, or a network in CIDR notation.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, with = "String", extend("pattern" = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", "patternErrorMessage" = "expected an IP address, or a network such as 10.0.0.0/8")))]
struct Network(IpNet);

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(Self).map_err(|_| "expected an IP address, or a network such as 10.0.0.0/8")
    }
}

impl ProxyProtocolSection {
    pub(super) fn options(&self) -> ProxyProtocolOptions {
        let defaults = ProxyProtocolOptions::default();
        let trusted = self.trusted_proxies.as_ref();
        ProxyProtocolOptions {
            trusted_proxies: trusted
                .map_or(defaults.trusted_proxies, |list| list.iter().map(|network| network.0).collect()),
            trust_unix_sockets: self.trust_unix_sockets.unwrap_or(defaults.trust_unix_sockets),
            header_timeout: self.header_timeout.unwrap_or(defaults.header_timeout),
        }
    }
}
