//! Which proxies are believed.

use std::net::{Ipv4Addr, Ipv6Addr};

use hosting::{Configuration, Error, ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions};

/// A list of networks whose machines are proxies.
const NETWORKS: &str = "ForwardedHeaders:KnownNetworks";

/// Believes the proxies of this machine, whoever may write to the application's Unix socket, and the networks that the
/// configuration names.
pub(crate) fn layer(configuration: &Configuration) -> Result<ForwardedHeadersLayer, Error> {
    let networks = configuration.section(NETWORKS);
    if networks.value().is_some_and(|text| !text.is_empty()) {
        return Err(configuration.invalid(NETWORKS, r#"expected a list, such as ["10.244.0.0/16"]"#).into());
    }
    let mut known_networks = Vec::new();
    for entry in networks.children() {
        let network = entry.value().and_then(|text| text.parse().ok());
        let wrong = || configuration.invalid(entry.path(), "expected a network, such as 10.244.0.0/16");
        known_networks.push(network.ok_or_else(wrong)?);
    }
    Ok(ForwardedHeadersLayer::new(&ForwardedHeadersOptions {
        fields: ForwardedFields::ALL,
        known_proxies: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        known_networks,
        trust_unix_sockets: true,
        ..ForwardedHeadersOptions::default()
    })?)
}
