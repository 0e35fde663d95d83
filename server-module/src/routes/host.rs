use std::cmp::Ordering;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::RouteError;

/// Hosts that an application is reached by: a name or address, `*.` and the end of names, or `*` for any.
///
/// An end stands for names with one part more or several, not for itself: `*.shop.example` for `www.shop.example`. Case
/// does not matter. A name is written as requests have it, in ASCII and without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    kind: Kind,
    /// In lower case; of an end with its dot in front.
    text: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Name,
    End,
    Any,
}

impl HostPattern {
    /// Any host.
    #[must_use]
    pub fn any() -> Self {
        Self { kind: Kind::Any, text: "".into() }
    }

    /// Whether it stands for any host.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.kind == Kind::Any
    }

    /// Whether a host, without a port, is one of these.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.kind {
            Kind::Any => true,
            Kind::Name => host.eq_ignore_ascii_case(&self.text),
            Kind::End => {
                let Some(before) = host.len().checked_sub(self.text.len()) else { return false };
                before > 0 && host.as_bytes()[before..].eq_ignore_ascii_case(self.text.as_bytes())
            }
        }
    }

    pub(super) fn is_end(&self) -> bool {
        self.kind == Kind::End
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How this name and a host are ordered, regardless of the case of the host.
    pub(super) fn cmp_names(&self, host: &str) -> Ordering {
        self.text.bytes().cmp(host.bytes().map(|byte| byte.to_ascii_lowercase()))
    }
}

/// A host without its port.
pub(super) fn without_port(host: &str) -> &str {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|at| at + 2),
        None => host.find(':'),
    };
    &host[..end.unwrap_or(host.len())]
}

impl FromStr for HostPattern {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        if text == "*" {
            return Ok(Self::any());
        }
        let (kind, name) = text.strip_prefix("*.").map_or((Kind::Name, text), |end| (Kind::End, end));
        if kind == Kind::Name && name.starts_with('[') {
            let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let address = address.and_then(|address| address.parse::<Ipv6Addr>().ok());
            // As clients write it, in its shortest form.
            return address
                .map(|address| Self::new(kind, &format!("[{address}]")))
                .ok_or(RouteError::Host("it is no address of IPv6 in brackets; a host has no port here"));
        }
        match why_not(name) {
            Some(reason) => Err(RouteError::Host(reason)),
            None if kind == Kind::End => Ok(Self::new(kind, &text[1..])),
            None => Ok(Self::new(kind, name)),
        }
    }
}

impl HostPattern {
    fn new(kind: Kind, text: &str) -> Self {
        Self { kind, text: text.to_ascii_lowercase().into() }
    }
}

fn why_not(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty; write * for any host")
    } else if !name.is_ascii() {
        Some("it is not in ASCII; write it as requests have it, which begins with xn--")
    } else if name.contains("://") {
        Some("it is a url; a host has neither scheme nor path")
    } else if name.contains(':') {
        Some("it has a port; endpoints have ports, and hosts have none")
    } else if name.contains('*') {
        Some("a * stands alone, or with a dot at the beginning: *.example.org")
    } else if name.len() > 253 || name.split('.').any(str::is_empty) {
        Some("it is no name of a host; expected parts with a dot between them")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        Some("it is no name of a host; expected letters, digits, hyphens and dots")
    } else {
        None
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Any => f.write_str("*"),
            Kind::Name => f.write_str(&self.text),
            Kind::End => write!(f, "*{}", self.text),
        }
    }
}
