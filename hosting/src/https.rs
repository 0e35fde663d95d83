//! The layers that keep clients on https, and what both ask of a request.

mod hsts;
mod redirection;

use std::net::Ipv6Addr;

use http::Request;
use http::header::HOST;
use http::uri::Scheme;
use server_abstractions::{HttpSchemeFeature, RequestFeatures};

pub use hsts::{Hsts, HstsFuture, HstsLayer, HstsOptions};
pub use redirection::{
    HttpsRedirection, HttpsRedirectionFuture, HttpsRedirectionLayer, HttpsRedirectionOptions,
};

/// Whether the client used https. What the server knows, or a trusted layer, counts before what the target says.
fn is_https<B>(request: &Request<B>) -> bool {
    match request.features().get::<dyn HttpSchemeFeature>() {
        Some(feature) => feature.scheme() == Scheme::HTTPS,
        None => request.uri().scheme() == Some(&Scheme::HTTPS),
    }
}

/// The host that a request names, without its port; `None` if it names none, more than one, or something that is no
/// host.
fn host_name<B>(request: &Request<B>) -> Option<&str> {
    // An authority in the target goes before the field (RFC 9112, section 3.2.2, and RFC 9113, section 8.3.1).
    if let Some(authority) = request.uri().authority() {
        return name_of(authority.as_str());
    }
    let mut fields = request.headers().get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => name_of(field.to_str().ok()?),
        _ => None,
    }
}

/// The name in `uri-host [ ":" port ]` (RFC 9110, section 7.2).
fn name_of(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            is_port.then_some(name)?
        }
        _ => host,
    };
    is_name(name).then_some(name)
}

/// Whether this is the name of a host, or its address: of the characters that the server takes, or IPv6 in brackets.
fn is_name(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix('[') {
        return rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!$&'()-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_may_have_a_port() {
        for (host, name) in [
            ("a", "a"),
            ("a.B:80", "a.B"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:db8::7]:8080", "[2001:db8::7]"),
        ] {
            assert_eq!(name_of(host), Some(name), "{host}");
        }
        for host in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:+1",
            "a:80:80",
            "a b",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "a\\b",
            "a%20b",
            "é",
            "::1",
            "[]",
            "[",
            "[::1",
            "[::1]80",
            "[::1]:",
            "[g]",
            "[.]",
            "[::1%25eth0]",
            "[127.0.0.1]",
        ] {
            assert_eq!(name_of(host), None, "{host}");
        }
    }

    #[test]
    fn the_target_goes_before_the_field_and_two_fields_are_none() {
        let request = |uri: &str, hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get(uri), |request, host| request.header(HOST, *host));
            host_name(&request.body(()).unwrap()).map(str::to_owned)
        };
        assert_eq!(request("/", &["a:1"]).as_deref(), Some("a"));
        assert_eq!(request("http://b:2/", &["a:1"]).as_deref(), Some("b"));
        assert_eq!(request("http://user@b/", &["b"]), None);
        assert_eq!(request("/", &["a", "a"]), None);
        assert_eq!(request("/", &[]), None);
    }
}
