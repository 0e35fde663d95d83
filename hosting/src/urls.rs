//! The addresses that the configuration asks for.

use server_abstractions::Address;
use tracing::Level;

use crate::{Configuration, ConfigurationError};

/// `urls`; without it `http_ports` and `https_ports`, which stand for every address of the machine. What is passed
/// over is told in `messages`.
pub(crate) fn from(
    configuration: &Configuration,
    messages: &mut Vec<(Level, String)>,
) -> Result<Vec<Address>, ConfigurationError> {
    let ports = [("http_ports", "http"), ("https_ports", "https")];
    let is_given = |key: &str| configuration.get(key).is_some_and(|value| !value.trim().is_empty());
    if is_given("urls") {
        let overridden = ports.iter().filter(|(key, _)| is_given(key));
        messages.extend(
            overridden.map(|(key, _)| (Level::WARN, format!("{key} is overridden by the configured urls"))),
        );
        let urls = configuration.get("urls").unwrap_or_default();
        return Address::parse_list(urls).map_err(|error| configuration.invalid("urls", error));
    }
    let mut addresses = Vec::new();
    for (key, scheme) in ports {
        let list = configuration.get(key).unwrap_or_default();
        for port in list.split(';').map(str::trim).filter(|port| !port.is_empty()) {
            let address = port
                .parse::<u16>()
                .ok()
                .and_then(|port| format!("{scheme}://*:{port}").parse().ok())
                .ok_or_else(|| {
                    configuration.invalid(key, "expected ports between 0 and 65535, separated by ;")
                })?;
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(values: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let configuration = Configuration::builder().values(values.iter().copied()).build().unwrap();
        from(&configuration, &mut Vec::new())
            .map(|urls| urls.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn ports_count_only_without_urls() {
        let both = [("urls", "http://a:1;https://b:2"), ("http_ports", "80")];
        assert_eq!(urls(&both).unwrap(), ["http://a:1", "https://b:2"]);
        let ports = [("HTTP_PORTS", "80; 81"), ("https_ports", "443"), ("urls", " ")];
        assert_eq!(urls(&ports).unwrap(), ["http://*:80", "http://*:81", "https://*:443"]);
        assert!(urls(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_address_is_named_with_its_key() {
        assert!(urls(&[("urls", "nope")]).unwrap_err().contains("urls = \"nope\""));
        assert!(urls(&[("http_ports", "eighty")]).unwrap_err().contains("http_ports = \"eighty\""));
    }
}
