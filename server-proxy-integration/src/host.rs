//! Hosts as a request names them, and patterns of hosts that are allowed.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::sync::OnceLock;

use crate::OptionsError;

mod punycode;

/// Splits `uri-host [ ":" port ]` into both as the original does; none if it is no such text.
///
/// A name has letters, digits and `!$&'()-._~`; an address of IPv6 stands in brackets and is not read any further; a port
/// is a number of any size.
pub(crate) fn split_host(host: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = match host {
        [b'[', rest @ ..] => {
            let length = rest.iter().position(|byte| *byte == b']')?;
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if length < 3 || !rest[..length].iter().all(is_address) {
                return None;
            }
            length + 2
        }
        name => name.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(name.len()),
    };
    match host.split_at_checked(end)? {
        ([], _) => None,
        (name, []) => Some((name, None)),
        (name, [b':', port @ ..]) if !port.is_empty() && port.iter().all(u8::is_ascii_digit) => {
            Some((name, Some(port)))
        }
        _ => None,
    }
}

#[inline]
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

/// The hosts that are allowed: names, `*.` and the end of names, or all.
#[derive(Clone, Debug)]
pub(crate) struct HostPatterns {
    /// None allows every host.
    patterns: Option<Vec<Pattern>>,
    /// The first host that was allowed, as the request has named it: nearly all others name the same one.
    usual: OnceLock<Box<[u8]>>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Name(Box<[u8]>),
    /// With the dot in front.
    End(Box<[u8]>),
}

impl HostPatterns {
    /// Every host.
    pub(crate) fn any() -> Self {
        Self { patterns: None, usual: OnceLock::new() }
    }

    /// The patterns of the option `name`, which is named in the error. `*`, `[::]` and `0.0.0.0` allow every host.
    pub(crate) fn new(name: &str, patterns: &[String]) -> Result<Self, OptionsError> {
        let mut parsed = Vec::with_capacity(patterns.len());
        let mut allows_any = false;
        for pattern in patterns {
            match pattern.trim() {
                "*" | "[::]" | "0.0.0.0" => allows_any = true,
                pattern => parsed.push(Pattern::parse(pattern).map_err(|reason| {
                    OptionsError::new(format!("{name}: the host {pattern:?} cannot be allowed: {reason}"))
                })?),
            }
        }
        Ok(Self { patterns: (!allows_any).then_some(parsed), usual: OnceLock::new() })
    }

    pub(crate) fn allow_any(&self) -> bool {
        self.patterns.is_none()
    }

    /// Whether a host, of which the port counts for nothing, is allowed. What is no host is not, unless all are.
    #[inline]
    pub(crate) fn allow(&self, host: &[u8]) -> bool {
        let Some(patterns) = &self.patterns else { return true };
        self.usual.get().is_some_and(|usual| **usual == *host) || self.allow_unusual(patterns, host)
    }

    #[inline(never)]
    fn allow_unusual(&self, patterns: &[Pattern], host: &[u8]) -> bool {
        let is_allowed =
            split_host(host).is_some_and(|(name, _)| patterns.iter().any(|pattern| pattern.matches(name)));
        if is_allowed {
            self.usual.get_or_init(|| host.into());
        }
        is_allowed
    }
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, Cow<'static, str>> {
        let (name, is_end) = match pattern.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (pattern, false),
        };
        if name.is_empty() {
            return Err("it is empty; leave it out, or write * for every host".into());
        }
        if let Some((_, host)) = name.split_once("://") {
            return Err(format!("leave out the scheme: {host:?}").into());
        }
        if name.contains(',') {
            return Err("hosts are separated by ; and not by a comma".into());
        }
        match name.trim_start_matches('.') {
            "" => return Err("it is no host name and no address".into()),
            host if host.len() < name.len() => {
                return Err(format!(
                    "it begins with a dot; write {host};*.{host} for the host and all below it"
                )
                .into());
            }
            _ => {}
        }
        if name.contains('*') {
            return Err("a * stands for every host, or as *. in front of the end of names".into());
        }
        let name = punycode::encode(name).ok_or("it has characters that no host name has")?;
        match split_host(name.as_bytes()) {
            Some((_, Some(_))) => Err("it has a port, and ports are not compared; leave it out".into()),
            None if name.parse::<Ipv6Addr>().is_ok() => {
                Err("an IPv6 address is written in brackets, as in [::1]".into())
            }
            None => Err("it is no host name and no address".into()),
            Some(_) if is_end => Ok(Self::End(format!(".{name}").into_bytes().into())),
            Some(_) => Ok(Self::Name(name.into_bytes().into())),
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Name(allowed) => allowed.eq_ignore_ascii_case(name),
            // Something must stand before the dot.
            Self::End(end) => {
                name.len() > end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_never_match_are_refused() {
        for (pattern, reason) in [
            ("", "leave it out"),
            ("a:80", "it has a port"),
            ("::1", "as in [::1]"),
            ("*.", "it is empty"),
            ("a.*", "a * stands for every host"),
            ("**", "a * stands for every host"),
            ("a b", "no host name"),
            ("[::1", "no host name"),
            ("https://a.example", "leave out the scheme: \"a.example\""),
            ("a,b", "separated by ;"),
            ("a/b", "no host name"),
            ("*.*.a", "a * stands for every host"),
            (".shop.example", "write shop.example;*.shop.example"),
            ("*..a", "write a;*.a"),
            (".", "no host name"),
        ] {
            let error = HostPatterns::new("AllowedHosts", &[pattern.to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("AllowedHosts: the host {pattern:?} ")), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        assert!(HostPatterns::new("AllowedHosts", &["a".to_owned(), " * ".to_owned()]).unwrap().allow_any());
    }
}
