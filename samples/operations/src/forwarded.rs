//! Which proxies are believed when they tell who the client is: the section `ForwardedHeaders`, read at the start.

use hosting::{
    Configuration, ConfigurationError, ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions,
    HostFilteringOptions,
};
use serde::Deserialize;

const SECTION: &str = "ForwardedHeaders";
/// The host's key: what a proxy says the host is must be allowed as well.
const HOSTS: &str = "AllowedHosts";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Section {
    /// The proxies' addresses. Default is none.
    #[serde(default)]
    known_proxies: Vec<String>,
    /// Networks of which every machine is a proxy. Default is none.
    #[serde(default)]
    known_networks: Vec<String>,
    /// How many proxies there are in a row. Default is 1.
    forward_limit: Option<u32>,
}

/// The layer, if there is such a section.
pub(crate) fn layer(
    configuration: &Configuration,
) -> Result<Option<ForwardedHeadersLayer>, ConfigurationError> {
    let section = configuration.section(SECTION);
    if !section.exists() {
        return Ok(None);
    }
    let Section { known_proxies, known_networks, forward_limit } = section.bind()?;
    let defaults = ForwardedHeadersOptions::default();
    let options = ForwardedHeadersOptions {
        // Not the prefix: a proxy that does not know the field passes on what a client says.
        fields: ForwardedFields::FOR | ForwardedFields::PROTO | ForwardedFields::HOST,
        known_proxies: parsed(configuration, "KnownProxies", &known_proxies, "an address, such as 10.0.0.5")?,
        known_networks: parsed(
            configuration,
            "KnownNetworks",
            &known_networks,
            "a network, such as 10.0.0.0/8",
        )?,
        forward_limit: forward_limit.or(defaults.forward_limit),
        allowed_hosts: HostFilteringOptions::from_list(configuration.get(HOSTS).unwrap_or_default())
            .allowed_hosts,
        ..defaults
    };
    if options.known_proxies.is_empty() && options.known_networks.is_empty() {
        let reason = "it names no proxy, which would believe everybody; give KnownProxies or KnownNetworks";
        return Err(configuration.invalid(SECTION, reason));
    }
    let layer = ForwardedHeadersLayer::new(&options);
    Ok(Some(layer.map_err(|error| configuration.invalid(SECTION, error))?))
}

fn parsed<T: std::str::FromStr>(
    configuration: &Configuration,
    key: &str,
    texts: &[String],
    expected: &str,
) -> Result<Vec<T>, ConfigurationError> {
    let wrong = |number: usize, text: &str| {
        let path = format!("{SECTION}:{key}:{number}");
        configuration.invalid(&path, format_args!("{text:?} is not {expected}"))
    };
    let texts = texts.iter().enumerate();
    texts.map(|(number, text)| text.parse().map_err(|_| wrong(number, text))).collect()
}
