//! What the HTTP engines let through and a server must not (RFC 9110, section 7.2; RFC 9112, section 3.2).

use http::header::HOST;
use http::{Method, Request, StatusCode, Version};

/// A request that the app does not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The method that the target needs, for `Allow`.
    pub(crate) allow: Option<&'static str>,
    /// For the log.
    pub(crate) reason: &'static str,
}

const fn bad_request(reason: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, allow: None, reason }
}

pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    match request.version() {
        Version::HTTP_2 => Ok(()),
        Version::HTTP_11 | Version::HTTP_10 => check_http1(request),
        _ => Err(Refusal {
            status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            allow: None,
            reason: "the version of HTTP is not supported",
        }),
    }
}

fn check_http1<B>(request: &Request<B>) -> Result<(), Refusal> {
    check_target(request)?;
    // A walk over the fields is cheaper than a look-up, and finds a second one as well.
    let mut hosts = request.headers().iter().filter(|(name, _)| *name == HOST).map(|(_, value)| value);
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => Ok(()),
        (None, _) => Err(bad_request("the Host field is missing")),
        (Some(_), Some(_)) => Err(bad_request("there is more than one Host field")),
        (Some(host), None) if is_valid_host(host.as_bytes()) => check_authority(request, host.as_bytes()),
        (Some(_), None) => Err(bad_request("the Host field is not a host and port")),
    }
}

fn check_target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    let is_connect = *request.method() == Method::CONNECT;
    let not_allowed =
        |allow, reason| Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, allow: Some(allow), reason });
    if uri.authority().is_some() && uri.scheme().is_none() {
        return if is_connect {
            Ok(())
        } else {
            not_allowed("CONNECT", "an authority as the target belongs to CONNECT")
        };
    }
    if is_connect {
        return Err(bad_request("the target of CONNECT must be a host and port"));
    }
    if uri.path() == "*" && *request.method() != Method::OPTIONS {
        return not_allowed("OPTIONS", "the target * belongs to OPTIONS");
    }
    Ok(())
}

/// An absolute target and its Host field must name the same authority.
fn check_authority<B>(request: &Request<B>, host: &[u8]) -> Result<(), Refusal> {
    let uri = request.uri();
    let Some(authority) = uri.authority() else { return Ok(()) };
    let named = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, named)| named);
    let default_port = match uri.scheme_str() {
        Some("https") => ":443",
        _ => ":80",
    };
    let trimmed = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    let is_same = std::str::from_utf8(host).is_ok_and(|host| trimmed(host) == trimmed(named));
    if is_same { Ok(()) } else { Err(bad_request("the target and the Host field name different hosts")) }
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
        name => name.iter().position(|byte| !NAME[usize::from(*byte)]).unwrap_or(name.len()),
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
            check(&request).err().map(|refusal| (refusal.status.as_u16(), refusal.allow))
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

    #[test]
    fn the_host_field_is_there_once() {
        let mut request = Request::new(());
        assert!(check(&request).is_err());
        request.headers_mut().append(HOST, "a".parse().unwrap());
        assert!(check(&request).is_ok());
        request.headers_mut().append(HOST, "a".parse().unwrap());
        assert!(check(&request).is_err());
        *request.version_mut() = Version::HTTP_10;
        request.headers_mut().remove(HOST);
        assert!(check(&request).is_ok());
    }
}
