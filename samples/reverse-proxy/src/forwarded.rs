//! Which proxies are believed, and for which hosts.

use std::net::{Ipv4Addr, Ipv6Addr};

use hosting::server_proxy_integration::ipnet::IpNet;
use hosting::{
    Configuration, ConfigurationError, ConfigurationMonitor, Error, ForwardedFields, ForwardedHeadersLayer,
    ForwardedHeadersOptions, HostFilteringOptions,
};
use tokio::sync::watch;

/// The sample's own section.
const SECTION: &str = "ForwardedHeaders";
/// A list of networks whose machines are proxies.
const NETWORKS: &str = "KnownNetworks";
/// How many proxies there are in a row.
const LIMIT: &str = "ForwardLimit";
/// Whether proxies tell of a prefix. A proxy that does not know the field passes on what a client says.
const PREFIX: &str = "Prefix";
/// The host's key, which it obeys itself for the field `Host`.
const HOSTS: &str = "AllowedHosts";

/// Believes the proxies of this machine, whoever may write to the application's Unix socket, and the networks that the
/// configuration names. The hosts that proxies tell of are those of `AllowedHosts`, as for the field `Host`: otherwise a
/// proxy that passes on a name which it has not looked at would open a way around that key. Follows the configuration.
pub(crate) fn layer(monitor: &ConfigurationMonitor) -> Result<ForwardedHeadersLayer, Error> {
    let changes = monitor.changes();
    let (sender, receiver) = watch::channel(options(&monitor.current())?);
    tokio::spawn(follow(changes, sender));
    Ok(ForwardedHeadersLayer::reloading(receiver)?)
}

async fn follow(mut changes: watch::Receiver<Configuration>, sender: watch::Sender<ForwardedHeadersOptions>) {
    while changes.changed().await.is_ok() && !sender.is_closed() {
        match options(&changes.borrow_and_update()) {
            Ok(options) => drop(sender.send_if_modified(|last| {
                let has_changed = *last != options;
                *last = options;
                has_changed
            })),
            Err(error) => tracing::error!(
                %error,
                "which proxies are believed has changed and cannot be used; the last state stays in force"
            ),
        }
    }
}

fn options(configuration: &Configuration) -> Result<ForwardedHeadersOptions, ConfigurationError> {
    refuse_unknown_keys(configuration)?;
    let path = format!("{SECTION}:{LIMIT}");
    let defaults = ForwardedHeadersOptions::default();
    let limit = configuration.get_parsed::<u32>(&path).ok().filter(|limit| *limit != Some(0));
    let limit = limit.ok_or_else(|| {
        configuration.invalid(&path, "expected how many proxies there are in a row: a number from 1 on")
    })?;
    let path = format!("{SECTION}:{PREFIX}");
    let fields = match configuration.get_bool(&path)?.unwrap_or(true) {
        true => ForwardedFields::ALL,
        false => ForwardedFields::FOR | ForwardedFields::PROTO | ForwardedFields::HOST,
    };
    let options = ForwardedHeadersOptions {
        fields,
        forward_limit: limit.or(defaults.forward_limit),
        known_proxies: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        known_networks: networks(configuration)?,
        trust_unix_sockets: true,
        // `*` is among the hosts that it takes, and no host at all is all of them, both as the host takes them.
        allowed_hosts: HostFilteringOptions::from_list(configuration.get(HOSTS).unwrap_or_default())
            .allowed_hosts,
        ..defaults
    };
    // What it can refuse of these are hosts.
    match ForwardedHeadersLayer::new(&options) {
        Ok(_) => Ok(options),
        Err(error) => Err(configuration.invalid(HOSTS, error)),
    }
}

/// A key that is misspelled would leave the proxies unknown, and say nothing.
fn refuse_unknown_keys(configuration: &Configuration) -> Result<(), ConfigurationError> {
    let is_known = |key: &str| [NETWORKS, LIMIT, PREFIX].iter().any(|known| known.eq_ignore_ascii_case(key));
    let section = configuration.section(SECTION);
    if section.value().is_some_and(|text| !text.is_empty()) {
        return Err(configuration
            .invalid(SECTION, format_args!("expected a section with {NETWORKS}, {LIMIT}, {PREFIX}")));
    }
    match section.children().find(|key| !is_known(key.key())) {
        Some(key) => {
            let reason = format!("it is not known; known are {NETWORKS}, {LIMIT} and {PREFIX}");
            Err(configuration.invalid(key.path(), reason))
        }
        None => Ok(()),
    }
}

fn networks(configuration: &Configuration) -> Result<Vec<IpNet>, ConfigurationError> {
    let networks = configuration.section(SECTION).section(NETWORKS);
    if networks.value().is_some_and(|text| !text.is_empty()) {
        return Err(configuration.invalid(networks.path(), r#"expected a list, such as ["10.244.0.0/16"]"#));
    }
    let network = |text: &str| text.parse().ok();
    let wrong = |path: &str| configuration.invalid(path, "expected a network, such as 10.244.0.0/16");
    let entries = networks.children();
    entries.map(|entry| entry.value().and_then(network).ok_or_else(|| wrong(entry.path()))).collect()
}
