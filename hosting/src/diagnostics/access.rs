//! Who may see the page.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Request};
use server_abstractions::{EndpointFeature, ProxyProtocolFeature, RequestFeatures};

use super::DiagnosticsOptions;
use crate::peer::{self, Peer};

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Who it is must not learn that there is a page: the application answers.
    Stranger(&'static str),
    /// Somebody on this machine, who is told what to do.
    Local(&'static str),
}

/// Fields that proxies write, and beginnings of such.
const PROXIED: [&str; 7] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
];
const PROXIED_BEGINNINGS: [&str; 2] = ["x-forwarded-", "x-original-"];

/// Judges by the peer of the socket and by what was asked for, before any layer for proxies has changed the request.
pub(super) fn judge<B>(request: &Request<B>, options: &DiagnosticsOptions) -> Result<(), Refused> {
    if let Some(wanted) = &options.endpoint {
        let endpoint = request.features().get::<dyn EndpointFeature>();
        if endpoint.as_ref().and_then(|endpoint| endpoint.name()) != Some(wanted) {
            return Err(Refused::Stranger("the request came through another endpoint"));
        }
    }
    if options.allow_remote {
        return Ok(());
    }
    let is_local = match peer::of_the_socket(request) {
        Peer::Ip(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix | Peer::Unknown => false,
    };
    if !is_local {
        return Err(Refused::Stranger("the peer is not on this machine"));
    }
    let is_proxied = request.features().get::<dyn ProxyProtocolFeature>().is_some()
        || request.headers().keys().any(|name| is_of_a_proxy(name.as_str()));
    if is_proxied {
        return Err(Refused::Stranger("the request came through a proxy"));
    }
    if !is_named_locally(request) {
        // A page of somebody else's whose name leads here now (DNS rebinding).
        return Err(Refused::Local("ask for this page by localhost, 127.0.0.1 or [::1]"));
    }
    if is_of_another_site(request.headers()) {
        return Err(Refused::Local("a page of another site may not ask for this one"));
    }
    Ok(())
}

fn is_of_a_proxy(name: &str) -> bool {
    PROXIED.contains(&name) || PROXIED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

fn is_named_locally<B>(request: &Request<B>) -> bool {
    let mut fields = request.headers().get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(field), None) => match Authority::try_from(field.as_bytes()) {
            Ok(authority) => Some(authority),
            Err(_) => return false,
        },
        (Some(_), Some(_)) => return false,
    };
    let target = request.uri().authority();
    let mut names = field.iter().chain(target).peekable();
    names.peek().is_some() && names.all(|name| is_loopback(name.host()))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// As browsers say (Fetch Metadata).
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_local(uri: &str, hosts: &[&str]) -> bool {
        let request = hosts.iter().fold(Request::get(uri), |request, host| request.header(HOST, *host));
        is_named_locally(&request.body(()).unwrap())
    }

    #[test]
    fn only_names_of_loopback_are_local() {
        for host in ["localhost", "LocalHost:5000", "127.0.0.1", "127.9.0.1:1", "[::1]", "[::1]:5000"] {
            assert!(is_local("/", &[host]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "localhost.",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "[::]",
            "10.0.0.1",
            "",
            "evil.example:localhost",
            "user@localhost:80:80",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(!is_local("/", &[host]), "{host}");
        }
        assert!(!is_local("/", &[]) && !is_local("/", &["localhost", "localhost"]));
        assert!(is_local("http://localhost/", &[]) && !is_local("http://evil.example/", &["localhost"]));
        assert!(!is_local("http://localhost/", &["evil.example"]));
    }

    #[test]
    fn a_request_without_a_known_peer_is_a_strangers() {
        let request = Request::get("/").header(HOST, "localhost").body(()).unwrap();
        let judged = judge(&request, &DiagnosticsOptions::default());
        assert_eq!(judged, Err(Refused::Stranger("the peer is not on this machine")));
        let open = DiagnosticsOptions { allow_remote: true, ..DiagnosticsOptions::default() };
        assert_eq!(judge(&request, &open), Ok(()));
        let elsewhere = DiagnosticsOptions { endpoint: Some("Admin".to_owned()), ..open };
        assert!(matches!(judge(&request, &elsewhere), Err(Refused::Stranger(_))));
    }
}
