//! Addresses as proxies write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`. Without a port it is 0.
pub(super) fn parse(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        if let Some(address) = rest.strip_suffix(']') {
            return address.parse::<Ipv6Addr>().ok().map(|address| SocketAddr::new(address.into(), 0));
        }
        return text.parse::<SocketAddrV6>().ok().map(SocketAddr::V6);
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, 0)),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port() {
        for (text, address) in [
            ("1.2.3.4", "1.2.3.4:0"),
            ("1.2.3.4:80", "1.2.3.4:80"),
            ("::1", "[::1]:0"),
            ("[::1]", "[::1]:0"),
            ("[::1]:80", "[::1]:80"),
            ("F::", "[f::]:0"),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:0"),
            ("[fe80::1%3]:80", "[fe80::1%3]:80"),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(address.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "1.2.3.4;80",
            "1.2.3.4.80",
            "1.2.3.4:",
            "1.2.3.4:65536",
            "1.2.3.4:+1",
            "::1:",
            "[::1",
            "[::1]:",
            "[::1]80",
            "[1.2.3.4]:80",
            "unknown",
            "_x",
            "1",
            "0x7f.1",
            "01.2.3.4",
            "1.2.3.4 ",
            "localhost",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"\xff"), None);
    }
}
