//! One element of the field `Forwarded` (RFC 7239, section 4).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::read::{Entry, Node};

/// More than any proxy writes.
const MAX_PARAMETERS: usize = 32;

/// Reads an element; none if it does not follow the grammar. White space around `;` passes, since many write it.
pub(super) fn parse(element: &[u8]) -> Option<Entry<'_>> {
    let mut entry = Entry::default();
    // Of the parameters that are not read as well, none may stand there twice.
    let mut names: Vec<&[u8]> = Vec::new();
    let mut rest = element;
    loop {
        rest = rest.trim_ascii_start();
        if !rest.is_empty() && rest[0] != b';' {
            let (name, value, behind) = parse_pair(rest)?;
            if names.len() == MAX_PARAMETERS || names.iter().any(|seen| seen.eq_ignore_ascii_case(name)) {
                return None;
            }
            names.push(name);
            entry.take(name, value);
            rest = behind.trim_ascii_start();
        }
        match rest {
            [] => return Some(entry),
            [b';', behind @ ..] => rest = behind,
            _ => return None,
        }
    }
}

impl<'h> Entry<'h> {
    fn take(&mut self, name: &[u8], value: Cow<'h, [u8]>) {
        match name.to_ascii_lowercase().as_slice() {
            b"for" => self.node = parse_node(&value),
            b"proto" => self.proto = Some(value),
            b"host" => self.host = Some(value),
            _ => {}
        }
    }
}

type Pair<'h> = (&'h [u8], Cow<'h, [u8]>, &'h [u8]);

/// `token "=" ( token / quoted-string )`, and what stands behind it.
fn parse_pair(text: &[u8]) -> Option<Pair<'_>> {
    let (name, rest) = parse_token(text)?;
    let rest = rest.strip_prefix(b"=")?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, rest) = parse_quoted(quoted)?;
        return Some((name, value, rest));
    }
    let (value, rest) = parse_token(rest)?;
    Some((name, Cow::Borrowed(value), rest))
}

fn parse_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
    if end == 0 { None } else { Some(text.split_at(end)) }
}

/// What stands before the closing quote, without backslashes (RFC 9110, section 5.6.4).
fn parse_quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut plain: Option<Vec<u8>> = None;
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => {
                let value = plain.map_or(Cow::Borrowed(&text[..at]), Cow::Owned);
                return Some((value, &text[at + 1..]));
            }
            b'\\' => {
                let escaped = *text.get(at + 1)?;
                plain.get_or_insert_with(|| text[..at].to_vec()).push(escaped);
                at += 2;
            }
            byte => {
                if let Some(plain) = &mut plain {
                    plain.push(byte);
                }
                at += 1;
            }
        }
    }
}

/// `node = nodename [ ":" node-port ]` (section 6): an address, `unknown` or a name that hides one.
fn parse_node(node: &[u8]) -> Node {
    let (name, port) = match node {
        [b'[', ..] => match node.iter().position(|byte| *byte == b']') {
            Some(end) => node.split_at(end + 1),
            None => return Node::Unparsable,
        },
        _ => node.split_at(node.iter().position(|byte| *byte == b':').unwrap_or(node.len())),
    };
    let port = match port {
        [] => Some(0),
        [b':', port @ ..] => parse_port(port),
        _ => None,
    };
    let Some(port) = port else { return Node::Unparsable };
    if name.eq_ignore_ascii_case(b"unknown") || is_obfuscated(name) {
        return Node::Hidden;
    }
    parse_address(name).map_or(Node::Unparsable, |address| Node::Address(SocketAddr::new(address, port)))
}

fn parse_address(name: &[u8]) -> Option<IpAddr> {
    let name = std::str::from_utf8(name).ok()?;
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// One to five digits, or a hidden one, which is 0.
fn parse_port(port: &[u8]) -> Option<u16> {
    if is_obfuscated(port) {
        return Some(0);
    }
    let is_number = matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(port).ok().filter(|_| is_number)?.parse().ok()
}

/// `"_" 1*( ALPHA / DIGIT / "." / "_" / "-" )`
fn is_obfuscated(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    matches!(name, [b'_', rest @ ..] if !rest.is_empty() && rest.iter().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Option<Node> {
        parse(text.as_bytes()).map(|entry| entry.node)
    }

    #[test]
    fn nodes_are_addresses_or_hide_them() {
        let address = |text: &str| Some(Node::Address(text.parse().unwrap()));
        assert_eq!(node("for=192.0.2.43"), address("192.0.2.43:0"));
        assert_eq!(node("FOR=\"192.0.2.43:47011\""), address("192.0.2.43:47011"));
        assert_eq!(node("for=\"[2001:db8:cafe::17]\""), address("[2001:db8:cafe::17]:0"));
        assert_eq!(node("For=\"[2001:db8:cafe::17]:4711\""), address("[2001:db8:cafe::17]:4711"));
        assert_eq!(node("for=\"192.0.2.43:_port\""), address("192.0.2.43:0"));
        assert_eq!(node("for=\"1\\92.0.2.43\""), address("192.0.2.43:0"));
        for hidden in ["unknown", "UnKnown", "_gazonk", "_SEVKISEK", "\"_mdn:80\"", "\"unknown:_p\""] {
            assert_eq!(node(&format!("for={hidden}")), Some(Node::Hidden), "{hidden}");
        }
        for bad in [
            "\"2001:db8::17\"",
            "\"[::1\"",
            "\"[::1]80\"",
            "\"[1.2.3.4]\"",
            "_",
            "hidden",
            "\"1.2.3.4:\"",
            "\"\"",
            "\"1.2.3.4:70000\"",
            "\"1.2.3.4:999999\"",
            "\"_a b\"",
        ] {
            assert_eq!(node(&format!("for={bad}")), Some(Node::Unparsable), "{bad}");
        }
        assert_eq!(node("proto=http"), Some(Node::Missing));
    }

    #[test]
    fn pairs_are_separated_by_semicolons() {
        let entry =
            parse(b"for=192.0.2.60;proto=https;by=203.0.113.43; Host=\"a.example:8080\";ext=\"x;,\\\"\"")
                .unwrap();
        assert_eq!(entry.proto.as_deref(), Some(&b"https"[..]));
        assert_eq!(entry.host.as_deref(), Some(&b"a.example:8080"[..]));
        assert!(parse(b";;proto=http;").is_some());
        for bad in [
            "for",
            "for=",
            "=a",
            "for =a",
            "for= a",
            "for=a b",
            "for=a;for=b",
            "by=a;BY=b",
            "for=\"a",
            "for=\"a\\",
            "for=\"a\"b",
            "for=[::1]",
            "for=a:80",
            "a",
            "\"a\"",
            "for=é",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
