//! What the HTTP engines let through and a server must not (RFC 9110, section 7.2; RFC 9112, section 3.2).

use http::header::{CONNECTION, COOKIE, HOST};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use memchr::memmem;

use crate::refusal::Refusal;
use crate::scanner::HeadLimits;

/// A Host that was found to be good, so that the next request with the same one need not be judged.
#[derive(Debug, Default)]
pub(crate) struct KnownHost(Vec<u8>);

impl KnownHost {
    /// Longer ones are judged each time.
    const MAX_LENGTH: usize = 256;

    fn check(&mut self, host: &[u8]) -> Result<(), Refusal> {
        if self.0 == host {
            return Ok(());
        }
        if !is_valid_host(host) {
            return Err(Refusal::InvalidHost);
        }
        if host.len() <= Self::MAX_LENGTH {
            self.0.clear();
            self.0.extend_from_slice(host);
        }
        Ok(())
    }
}

/// Judges a request of HTTP/1.1 or HTTP/1.0.
pub(crate) fn check<B>(request: &Request<B>, known: &mut KnownHost) -> Result<(), Refusal> {
    check_target(request)?;
    // A walk over the fields is cheaper than a look-up, and finds a second one as well.
    let mut hosts = request.headers().iter().filter(|(name, _)| *name == HOST).map(|(_, value)| value);
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Refusal::MissingHost),
        (Some(_), Some(_)) => Err(Refusal::SeveralHosts),
        (Some(host), None) => {
            known.check(host.as_bytes())?;
            check_authority(request, host.as_bytes())
        }
    }
}

/// Whether the client asks for another protocol: the `Upgrade` field counts only if `Connection` names it (RFC 9110,
/// section 7.8), and only in HTTP/1.1; CONNECT asks by its method.
pub(crate) fn asks_for_upgrade<B>(request: &Request<B>) -> bool {
    let mut options = request.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let is_named = |value: &str| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    *request.method() == Method::CONNECT || request.version() == Version::HTTP_11 && options.any(is_named)
}

/// What becomes of a request of HTTP/2 that the app does not see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Its stream is reset.
    Reset(&'static str),
    /// It is answered.
    Refuse(Refusal),
}

impl From<&'static str> for Malformed {
    fn from(reason: &'static str) -> Self {
        Self::Reset(reason)
    }
}

/// Holds the limits of a head over HTTP/2: the line is the sum of what stands in the pseudo-header fields.
pub(crate) fn check_http2_size<B>(request: &Request<B>, limits: &HeadLimits) -> Result<(), Malformed> {
    let uri = request.uri();
    let line = request.method().as_str().len()
        + uri.scheme_str().map_or(0, str::len)
        + uri.authority().map_or(0, |authority| authority.as_str().len())
        + uri.path_and_query().map_or(0, |path| path.as_str().len());
    if line > limits.line {
        return Err(Malformed::Reset(Refusal::RequestLineTooLong.reason()));
    }
    let headers = request.headers();
    if headers.len() > limits.count {
        return Err(Malformed::Refuse(Refusal::TooManyHeaders));
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > limits.fields { Err(Malformed::Refuse(Refusal::HeadersTooLarge)) } else { Ok(()) }
}

/// Judges a request of HTTP/2 (RFC 9113, section 8.3.1), and settles what the app sees of it: `:authority` stands in
/// the place of a Host field, and several cookie fields become one (section 8.2.3). The error says what is wrong; such
/// a request is malformed and its stream reset.
pub(crate) fn settle_http2<B>(
    request: &mut Request<B>,
    required_scheme: Option<&Scheme>,
) -> Result<(), &'static str> {
    let uri = request.uri();
    let is_mismatch = uri.scheme().zip(required_scheme).is_some_and(|(scheme, required)| scheme != required);
    if *request.method() != Method::CONNECT && is_mismatch {
        return Err(":scheme is not that of the connection");
    }
    let path = uri.path();
    let is_asterisk = path == "*" && *request.method() == Method::OPTIONS;
    if *request.method() != Method::CONNECT && !is_asterisk && !path.starts_with('/') {
        return Err(":path is not rooted");
    }
    if !path.is_ascii() || memmem::find(path.as_bytes(), b"%00").is_some() {
        return Err(":path has bytes that no path has");
    }
    if uri.authority().is_some_and(|authority| !is_valid_host(authority.as_str().as_bytes())) {
        return Err(":authority is not a host and port");
    }
    settle_host(request)?;
    if request.headers().keys().any(|name| *name == COOKIE) {
        join_cookies(request.headers_mut());
    }
    Ok(())
}

fn settle_host<B>(request: &mut Request<B>) -> Result<(), &'static str> {
    let mut hosts = request.headers().iter().filter(|(name, _)| *name == HOST).map(|(_, value)| value);
    match (hosts.next(), hosts.next(), request.uri().authority()) {
        (None, _, _) => Ok(()),
        (Some(_), Some(_), _) => Err("there is more than one Host field"),
        (Some(host), None, None) if !is_valid_host(host.as_bytes()) => {
            Err("the Host field is not a host and port")
        }
        (Some(_), None, None) => Ok(()),
        (Some(_), None, Some(authority)) => {
            let host =
                HeaderValue::from_str(authority.as_str()).map_err(|_| ":authority is no field value")?;
            request.headers_mut().insert(HOST, host);
            Ok(())
        }
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

fn check_target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    let is_connect = *request.method() == Method::CONNECT;
    match (uri.scheme_str(), uri.authority()) {
        (None, Some(authority)) => match authority.port_u16() {
            _ if !is_valid_host(authority.as_str().as_bytes()) => Err(Refusal::InvalidRequestTarget),
            _ if !is_connect => Err(Refusal::ConnectRequired),
            None | Some(0) => Err(Refusal::InvalidConnectTarget),
            Some(_) => Ok(()),
        },
        _ if is_connect => Err(Refusal::InvalidConnectTarget),
        (None, None) if uri.path() == "*" && *request.method() != Method::OPTIONS => {
            Err(Refusal::OptionsRequired)
        }
        (Some("http" | "https") | None, _) => Ok(()),
        (Some(_), _) => Err(Refusal::UnsupportedScheme),
    }
}

/// An absolute target and its Host field must name the same authority.
fn check_authority<B>(request: &Request<B>, host: &[u8]) -> Result<(), Refusal> {
    let uri = request.uri();
    let Some(authority) = uri.authority() else { return Ok(()) };
    let default_port = match uri.scheme_str() {
        None => {
            return if host == authority.as_str().as_bytes() { Ok(()) } else { Err(Refusal::HostMismatch) };
        }
        Some("https") => ":443",
        Some(_) => ":80",
    };
    let named = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, named)| named);
    let trimmed = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    let is_same = std::str::from_utf8(host).is_ok_and(|host| trimmed(host) == trimmed(named));
    if is_same { Ok(()) } else { Err(Refusal::HostMismatch) }
}

/// The characters of a host name: the original's set.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

/// `uri-host [ ":" port ]`, or nothing (RFC 9110, section 7.2).
fn is_valid_host(host: &[u8]) -> bool {
    let end = match host {
        [] => return true,
        [b'[', rest @ ..] => {
            let Some(length) = rest.iter().position(|byte| *byte == b']') else { return false };
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if length < 2 || !rest[..length].iter().all(is_address) {
                return false;
            }
            length + 2
        }
        name => {
            let mut end = 0;
            while end < name.len() && NAME[usize::from(name[end])] {
                end += 1;
            }
            end
        }
    };
    match &host[end..] {
        _ if end == 0 => false,
        [] => true,
        [b':', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_judged_by_their_grammar() {
        for host in ["", "a", "a.b:80", "[::1]", "[::1]:80", "xn--c1yn36f:134", "1:1", "a_b", "127.0.0.1:80"]
        {
            assert!(is_valid_host(host.as_bytes()), "{host}");
        }
        for host in [
            " ", "a b", "a,b", "a;b", "a/b", "a@b", ":80", "a:", "a:b", "a:80:80", "[]", "[", "[::1",
            "[::1]80", "[g]", "[::1]:", "a%20b", "a#b", "a?b", "\"a\"", "a\\b",
        ] {
            assert!(!is_valid_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn each_form_of_target_has_its_method_and_host() {
        let status = |method: &str, target: &str, host: &str| {
            let request = Request::builder().method(method).uri(target).header(HOST, host).body(()).unwrap();
            check(&request, &mut KnownHost::default())
                .err()
                .map(|refusal| (refusal.status().as_u16(), refusal.allow()))
        };
        assert_eq!(status("GET", "/", "a"), None);
        assert_eq!(status("OPTIONS", "*", "a"), None);
        assert_eq!(status("GET", "*", "a"), Some((405, Some("OPTIONS"))));
        assert_eq!(status("GET", "a:80", "a:80"), Some((405, Some("CONNECT"))));
        assert_eq!(status("CONNECT", "a:80", "a:80"), None);
        assert_eq!(status("CONNECT", "/", "a"), Some((400, None)));
        assert_eq!(status("GET", "http://a/x", "a"), None);
        assert_eq!(status("GET", "http://a:80/x", "A"), None);
        assert_eq!(status("GET", "http://u@a/x", "a"), None);
        assert_eq!(status("GET", "http://b/x", "a"), Some((400, None)));
    }

    fn http2(method: &str, uri: &str) -> Request<()> {
        Request::builder().method(method).version(Version::HTTP_2).uri(uri).body(()).unwrap()
    }

    #[test]
    fn a_request_of_http2_has_the_scheme_of_its_connection_and_a_rooted_path() {
        assert_eq!(settle_http2(&mut http2("GET", "http://a/x"), Some(&Scheme::HTTP)), Ok(()));
        assert_eq!(settle_http2(&mut http2("GET", "https://a/x"), Some(&Scheme::HTTPS)), Ok(()));
        assert!(settle_http2(&mut http2("GET", "https://a/x"), Some(&Scheme::HTTP)).is_err());
        assert_eq!(settle_http2(&mut http2("GET", "https://a/x"), None), Ok(()));
        assert!(settle_http2(&mut http2("GET", "ws://a/x"), Some(&Scheme::HTTP)).is_err());
        assert!(settle_http2(&mut http2("GET", "*"), Some(&Scheme::HTTP)).is_err());
        assert_eq!(settle_http2(&mut http2("OPTIONS", "*"), Some(&Scheme::HTTP)), Ok(()));
        assert_eq!(settle_http2(&mut http2("CONNECT", "a:80"), Some(&Scheme::HTTPS)), Ok(()));
        assert!(settle_http2(&mut http2("GET", "http://u@a/x"), Some(&Scheme::HTTP)).is_err());
    }

    #[test]
    fn the_authority_stands_in_the_place_of_host_and_cookies_are_one() {
        let mut request = http2("GET", "http://a:1/x");
        request.headers_mut().append(HOST, "b".parse().unwrap());
        request.headers_mut().append(COOKIE, "c=1".parse().unwrap());
        request.headers_mut().append(COOKIE, "d=2".parse().unwrap());
        assert_eq!(settle_http2(&mut request, Some(&Scheme::HTTP)), Ok(()));
        assert_eq!(request.headers()[HOST], "a:1");
        assert_eq!(request.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), ["c=1; d=2"]);
        request.headers_mut().append(HOST, "b".parse().unwrap());
        assert!(settle_http2(&mut request, Some(&Scheme::HTTP)).is_err());
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_fields() {
        let asks = |connection: &str, version| {
            let request =
                Request::builder().version(version).header(CONNECTION, connection).body(()).unwrap();
            asks_for_upgrade(&request)
        };
        assert!(asks("keep-alive, Upgrade", Version::HTTP_11));
        assert!(!asks("keep-alive", Version::HTTP_11));
        assert!(!asks("upgrade", Version::HTTP_10));
    }

    #[test]
    fn the_host_field_is_there_once() {
        let mut request = Request::new(());
        assert!(check(&request, &mut KnownHost::default()).is_err());
        request.headers_mut().append(HOST, "a".parse().unwrap());
        assert!(check(&request, &mut KnownHost::default()).is_ok());
        request.headers_mut().append(HOST, "a".parse().unwrap());
        assert!(check(&request, &mut KnownHost::default()).is_err());
        *request.version_mut() = Version::HTTP_10;
        request.headers_mut().remove(HOST);
        assert!(check(&request, &mut KnownHost::default()).is_ok());
    }
}
