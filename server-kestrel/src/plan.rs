//! Which endpoints a server listens on: the rules between its own endpoints, the host's addresses and the default.

use std::fmt::Display;

use server_abstractions::{Address, StartError};

use crate::{Endpoint, HttpsOptions, KestrelOptions};

/// The address without any configuration.
const DEFAULT_PORT: u16 = 5000;

/// The endpoints in force, each `https` one with its TLS options. With nothing configured they are those of the
/// inherited sockets.
pub(crate) fn endpoints(
    options: &KestrelOptions,
    urls: Vec<Address>,
    prefer_urls: bool,
    inherited: &[Endpoint],
) -> Result<Vec<Endpoint>, StartError> {
    let chosen = match (options.endpoints.is_empty(), urls.is_empty()) {
        (false, false) if prefer_urls => {
            tracing::info!(urls = %list(&urls), "the urls win over the configured endpoints, as preferHostingUrls says");
            from_urls(urls, options)
        }
        (false, no_urls) => {
            if !no_urls {
                tracing::warn!(urls = %list(&urls), "the urls are overridden by the configured endpoints");
            }
            options.endpoints.clone()
        }
        (true, false) => from_urls(urls, options),
        (true, true) if !inherited.is_empty() => inherited.to_vec(),
        (true, true) => {
            tracing::debug!(port = DEFAULT_PORT, "no address is configured; listening on localhost");
            vec![with_defaults(Endpoint::localhost(DEFAULT_PORT), options)]
        }
    };
    chosen.into_iter().map(|endpoint| complete(endpoint, options)).collect()
}

fn from_urls(urls: Vec<Address>, options: &KestrelOptions) -> Vec<Endpoint> {
    urls.into_iter().map(|url| with_defaults(Endpoint::new(url), options)).collect()
}

fn with_defaults(endpoint: Endpoint, options: &KestrelOptions) -> Endpoint {
    let socket =
        endpoint.address().map(|address| options.default_socket_options.for_target(address.target()));
    endpoint.protocols(options.default_protocols).socket_options(socket.unwrap_or_default())
}

/// An endpoint whose options can be held, with the certificate that it needs.
fn complete(endpoint: Endpoint, options: &KestrelOptions) -> Result<Endpoint, StartError> {
    let fail = |why: &dyn Display| {
        StartError::configuration(format!("cannot listen on {}: {why}", endpoint.in_full()))
    };
    endpoint.check_socket().map_err(|error| fail(&error))?;
    endpoint.check_proxies().map_err(|why| fail(&why))?;
    with_certificate(endpoint, options)
}

fn list(urls: &[Address]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

fn with_certificate(mut endpoint: Endpoint, options: &KestrelOptions) -> Result<Endpoint, StartError> {
    let Some(https) = &mut endpoint.https else { return Ok(endpoint) };
    let defaults = options.https_defaults.as_ref();
    if *https == HttpsOptions::default() {
        // It has said nothing at all.
        *https = defaults.cloned().unwrap_or_default();
    } else if https.needs_certificate() {
        // The endpoint's own options stay.
        https.certificate = defaults.and_then(|defaults| defaults.certificate.clone());
    }
    if https.needs_certificate() {
        return Err(StartError::configuration(format!(
            "cannot listen on {}: no certificate is configured; set Kestrel:Certificates:Default:Path and :KeyPath, give the endpoint one in code, or run in the environment Development (ASPNETCORE_ENVIRONMENT=Development), which has its own: cargo host dev-certs https --trust",
            endpoint.in_full()
        )));
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(endpoints_in_code: &[&str], urls: &str, prefer: bool) -> Vec<String> {
        let options = KestrelOptions {
            endpoints: endpoints_in_code.iter().map(|url| Endpoint::url(url).unwrap()).collect(),
            ..KestrelOptions::default()
        };
        let urls = Address::parse_list(urls).unwrap();
        let chosen = endpoints(&options, urls, prefer, &[]).unwrap();
        chosen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn endpoints_win_over_urls_unless_the_urls_are_preferred() {
        assert_eq!(plan(&["http://a:1"], "http://b:2", false), ["http://a:1"]);
        assert_eq!(plan(&["http://a:1"], "http://b:2", true), ["http://b:2"]);
        assert_eq!(plan(&["http://a:1"], "", true), ["http://a:1"]);
        assert_eq!(plan(&[], "http://b:2;http://c:3", false), ["http://b:2", "http://c:3"]);
        assert_eq!(plan(&[], "", false), ["http://localhost:5000"]);
    }

    #[test]
    fn https_without_a_certificate_is_refused_with_what_to_do() {
        let urls = Address::parse_list("https://a:1").unwrap();
        let error = endpoints(&KestrelOptions::default(), urls, false, &[]).unwrap_err();
        assert!(error.is_configuration());
        assert!(
            error.to_string().contains("https://a:1")
                && error.to_string().contains("Kestrel:Certificates:Default")
        );
    }
}
