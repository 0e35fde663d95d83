//! Version 1: `PROXY TCP4 192.0.2.7 198.51.100.1 50000 443`, in one line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{ProxiedAddresses, ProxyHeader, ProxyHeaderError, ProxyVersion};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line, its end included.
pub(super) const MAX_SIZE: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let within = &bytes[..bytes.len().min(MAX_SIZE)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if within.len() < MAX_SIZE { Ok(None) } else { Err(ProxyHeaderError::TooLong) };
    };
    let line = within[..end].strip_suffix(b"\r").ok_or(ProxyHeaderError::Line)?;
    let rest = line.strip_prefix(SIGNATURE).ok_or(ProxyHeaderError::Line)?;
    let text = std::str::from_utf8(rest).map_err(|_| ProxyHeaderError::Line)?;
    let addresses = addresses(text).ok_or(ProxyHeaderError::Line)?;
    let header = ProxyHeader { version: ProxyVersion::V1, addresses, tlvs: Vec::new(), tls: None };
    Ok(Some((header, end + 1)))
}

fn addresses(text: &str) -> Option<ProxiedAddresses> {
    let mut words = text.split(' ');
    let (source, destination) = match words.next()? {
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Some(ProxiedAddresses::Own),
        "TCP4" => addresses_of::<Ipv4Addr>(&mut words)?,
        "TCP6" => addresses_of::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(ProxiedAddresses::Tcp {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    })
}

fn addresses_of<'a, A>(words: &mut impl Iterator<Item = &'a str>) -> Option<(IpAddr, IpAddr)>
where
    A: FromStr + Into<IpAddr>,
{
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    Some((address()?, address()?))
}

/// A decimal number without a sign and without zeros in front.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}
