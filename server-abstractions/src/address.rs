use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::str::FromStr;

use http::uri::Scheme;

/// An address that a server listens on, as people write it: `http://localhost:5000`, `https://*:443`,
/// `http://[::1]`, `http://unix:/run/shop.sock`, `http://unix:@shop`.
///
/// Without a port, 80 or 443 is taken by the scheme. A path is refused: an address has none; a path base is the
/// business of the application's pipeline.
///
/// ```
/// use server_abstractions::{Address, AddressTarget};
/// # fn main() -> Result<(), server_abstractions::AddressError> {
/// let address: Address = "https://+:8443".parse()?;
/// assert!(address.is_https());
/// assert!(matches!(address.target(), AddressTarget::Any { port: 8443, .. }));
/// # Ok(()) }
/// ```
#[doc(alias = "BindingAddress")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    https: bool,
    target: AddressTarget,
}

/// What an [`Address`] points at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressTarget {
    /// Both loopback addresses, for `localhost` and names that end in `.localhost` (RFC 6761).
    Localhost {
        /// The name as written.
        host: String,
        /// The port; 0 cannot be bound, since the two sockets would get different ones.
        port: u16,
    },
    /// Every address of the machine, IPv4 and IPv6: `*`, `+`, and any host name, which does not restrict the
    /// interface.
    Any {
        /// The host as written.
        host: String,
        /// The port; 0 lets the system choose.
        port: u16,
    },
    /// One IP address; `[::]` stands for IPv4 as well.
    Ip(SocketAddr),
    /// A Unix domain socket with an absolute path.
    Unix(PathBuf),
    /// A Unix domain socket in Linux's abstract namespace: `http://unix:@name`.
    Abstract(String),
    /// A Windows named pipe: `http://pipe:/name`.
    Pipe(String),
}

impl Address {
    /// An address from its parts.
    pub fn new(https: bool, target: AddressTarget) -> Self {
        Self { https, target }
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The scheme as the `http` crate writes it.
    pub fn scheme(&self) -> Scheme {
        if self.https { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// What the address points at.
    pub fn target(&self) -> &AddressTarget {
        &self.target
    }

    /// The TCP port, unless the target is not an IP endpoint.
    pub fn port(&self) -> Option<u16> {
        match &self.target {
            AddressTarget::Localhost { port, .. } | AddressTarget::Any { port, .. } => Some(*port),
            AddressTarget::Ip(address) => Some(address.port()),
            AddressTarget::Unix(_) | AddressTarget::Abstract(_) | AddressTarget::Pipe(_) => None,
        }
    }

    /// Parses a list separated by `;`, as in `ASPNETCORE_URLS`. Blank items are skipped.
    ///
    /// # Errors
    /// The first item that is not an address.
    pub fn parse_list(urls: &str) -> Result<Vec<Self>, AddressError> {
        urls.split(';').map(str::trim).filter(|url| !url.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let fail = |reason| AddressError { url: url.to_owned(), reason };
        let (scheme, rest) = url
            .trim()
            .split_once("://")
            .ok_or_else(|| fail("it has no scheme; write it like http://localhost:5000 or https://*:443"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(fail("the scheme must be http or https")),
        };
        let target = match rest.split_once(':') {
            Some((host, path)) if host.eq_ignore_ascii_case("unix") => parse_unix(path),
            Some((host, path)) if host.eq_ignore_ascii_case("pipe") => parse_pipe(path),
            _ => parse_tcp(rest, if https { 443 } else { 80 }),
        };
        Ok(Self { https, target: target.map_err(fail)? })
    }
}

const HAS_PATH: &str = "it has a path; a server listens on a host and port only, so set the path base in the application's pipeline";

fn parse_unix(path: &str) -> Result<AddressTarget, &'static str> {
    if path.contains(":/") {
        return Err(HAS_PATH);
    }
    if let Some(name) = path.strip_prefix('@') {
        return if name.is_empty() {
            Err("the name of the abstract Unix socket is empty")
        } else {
            Ok(AddressTarget::Abstract(name.to_owned()))
        };
    }
    if !path.starts_with('/') || path.len() < 2 {
        return Err("the path of a Unix socket must be absolute, like http://unix:/run/app.sock");
    }
    Ok(AddressTarget::Unix(PathBuf::from(path)))
}

fn parse_pipe(path: &str) -> Result<AddressTarget, &'static str> {
    match path.strip_prefix('/') {
        Some(name) if !name.is_empty() && !name.contains('/') => Ok(AddressTarget::Pipe(name.to_owned())),
        _ => Err("a named pipe is written http://pipe:/name"),
    }
}

fn parse_tcp(rest: &str, default_port: u16) -> Result<AddressTarget, &'static str> {
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('/') {
        return Err(HAS_PATH);
    }
    if authority.contains(['?', '#', '@', '\\']) || authority.contains(char::is_whitespace) {
        return Err("the host contains a character that no host has");
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None => default_port,
        Some(digits) => parse_port(digits)?,
    };
    if host.is_empty() {
        return Err("the host is missing; use * for every address or localhost for this machine only");
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return parse_ipv6(inner, port);
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(AddressTarget::Ip(SocketAddr::new(ip, port)));
    }
    let lower = host.to_ascii_lowercase();
    if lower == "localhost" || lower.ends_with(".localhost") {
        return Ok(AddressTarget::Localhost { host: lower, port });
    }
    Ok(AddressTarget::Any { host: host.to_owned(), port })
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("the IPv6 address lacks its closing ]")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("between ] and the port there must be a colon"),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => Err("an IPv6 address is written in brackets: [::1]"),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_port(digits: &str) -> Result<u16, &'static str> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port is not a number");
    }
    digits.parse().map_err(|_| "the port is above 65535")
}

fn parse_ipv6(inner: &str, port: u16) -> Result<AddressTarget, &'static str> {
    // The standard library reads the scope id (`%3`) only as a part of a socket address.
    match format!("[{inner}]:{port}").parse::<SocketAddrV6>() {
        Ok(address) => Ok(AddressTarget::Ip(SocketAddr::V6(address))),
        Err(_) if inner.parse::<Ipv6Addr>().is_err() => Err("between the brackets stands no IPv6 address"),
        Err(_) => Err("the scope of the IPv6 address must be an interface number"),
    }
}

/// Writes the address so that parsing it gives the same address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.https { "https://" } else { "http://" })?;
        match &self.target {
            AddressTarget::Localhost { host, port } | AddressTarget::Any { host, port } => {
                write!(f, "{host}:{port}")
            }
            AddressTarget::Ip(address) => write!(f, "{address}"),
            AddressTarget::Unix(path) => write!(f, "unix:{}", path.display()),
            AddressTarget::Abstract(name) => write!(f, "unix:@{name}"),
            AddressTarget::Pipe(name) => write!(f, "pipe:/{name}"),
        }
    }
}

/// A text that is no [`Address`]; names the text and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    url: String,
    reason: &'static str,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid url '{}': {}", self.url, self.reason)
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(host: &str, port: u16) -> AddressTarget {
        AddressTarget::Any { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_of_the_original_is_understood() {
        let localhost = |port| AddressTarget::Localhost { host: "localhost".to_owned(), port };
        for (url, target, shown) in [
            ("http://*:80", any("*", 80), "http://*:80"),
            ("http://+:80/", any("+", 80), "http://+:80"),
            ("https://+", any("+", 443), "https://+:443"),
            ("HTTP://shop", any("shop", 80), "http://shop:80"),
            ("http://localhost:5000", localhost(5000), "http://localhost:5000"),
            ("https://LocalHost", localhost(443), "https://localhost:443"),
            ("http://127.0.0.1:0", AddressTarget::Ip(([127, 0, 0, 1], 0).into()), "http://127.0.0.1:0"),
            ("http://[::1]", AddressTarget::Ip("[::1]:80".parse().unwrap()), "http://[::1]:80"),
            ("http://[::1]:8080", AddressTarget::Ip("[::1]:8080".parse().unwrap()), "http://[::1]:8080"),
            (
                "http://[fe80::1%3]:1",
                AddressTarget::Ip("[fe80::1%3]:1".parse().unwrap()),
                "http://[fe80::1%3]:1",
            ),
            ("http://unix:/run/a.sock", AddressTarget::Unix("/run/a.sock".into()), "http://unix:/run/a.sock"),
            ("https://unix:@shop", AddressTarget::Abstract("shop".to_owned()), "https://unix:@shop"),
            ("http://pipe:/name", AddressTarget::Pipe("name".to_owned()), "http://pipe:/name"),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!(address.target(), &target, "{url}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_url_and_a_reason() {
        for url in [
            "",
            "localhost:5000",
            "ftp://x",
            "http://",
            "http://:80",
            "http://x:",
            "http://x:eighty",
            "http://x:65536",
            "http://x:+80",
            "http://x:1/base",
            "http://::1",
            "http://[::1",
            "http://[::1]80",
            "http://[nonsense]:1",
            "http://a b",
            "http://user@x",
            "http://x?q",
            "http://unix:run/a.sock",
            "http://unix:/",
            "http://unix:@",
            "http://unix:/s.sock:/base",
            "http://pipe:/",
            "http://[fe80::1%eth0]:1",
        ] {
            let error = url.parse::<Address>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid url '{url}': ")), "{error}");
        }
    }

    #[test]
    fn a_list_is_split_at_semicolons() {
        let list = Address::parse_list(" http://a:1 ;; https://b ").unwrap();
        assert_eq!(list.iter().map(ToString::to_string).collect::<Vec<_>>(), ["http://a:1", "https://b:443"]);
        assert!(Address::parse_list("http://a,b;nope").is_err());
    }
}
