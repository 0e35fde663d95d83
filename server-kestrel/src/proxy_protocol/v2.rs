//! Version 2: sixteen bytes, then addresses, then fields.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tlv::{self, Tlv};
use super::{ProxiedAddresses, ProxyHeader, ProxyHeaderError, ProxyVersion};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family and protocol, and the length of the rest.
const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// How many bytes are missing in a header of version 2, as far as can be told.
pub(super) fn missing(bytes: &[u8]) -> usize {
    total(bytes).unwrap_or(FIXED).saturating_sub(bytes.len())
}

fn total(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(FIXED - 2..FIXED)?;
    Some(FIXED + usize::from(u16::from_be_bytes([length[0], length[1]])))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    if bytes.get(12).is_some_and(|command| ![LOCAL, PROXY].contains(command)) {
        return Err(ProxyHeaderError::Kind);
    }
    let Some(total) = total(bytes) else { return Ok(None) };
    if total > ProxyHeader::MAX_SIZE {
        return Err(ProxyHeaderError::TooLarge);
    }
    let Some(header) = bytes.get(..total) else { return Ok(None) };
    Ok(Some((complete(header)?, total)))
}

fn complete(header: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let own = ProxyHeader {
        version: ProxyVersion::V2,
        addresses: ProxiedAddresses::Own,
        tlvs: Vec::new(),
        tls: None,
    };
    if header[12] == LOCAL {
        // A health check of the proxy's: the rest means nothing.
        return Ok(own);
    }
    let rest = &header[FIXED..];
    let (addresses, length) = match header[13] {
        0x00 => (ProxiedAddresses::Own, 0),
        0x11 => (tcp4(rest).ok_or(ProxyHeaderError::Length)?, 12),
        0x21 => (tcp6(rest).ok_or(ProxyHeaderError::Length)?, 36),
        0x31 => (unix(rest).ok_or(ProxyHeaderError::Length)?, 216),
        _ => return Err(ProxyHeaderError::Kind),
    };
    let tlvs = tlv::parse(&rest[length..])?;
    tlv::check(header, FIXED + length, &tlvs)?;
    let tls = tlvs.iter().find(|tlv| tlv.kind == tlv::SSL).map(Tlv::tls).transpose()?;
    Ok(ProxyHeader { addresses, tlvs, tls, ..own })
}

fn tcp4(bytes: &[u8]) -> Option<ProxiedAddresses> {
    let (source, rest) = bytes.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    let (from, to) = ports(rest)?;
    Some(ProxiedAddresses::Tcp {
        source: SocketAddr::new(Ipv4Addr::from(*source).into(), from),
        destination: SocketAddr::new(Ipv4Addr::from(*destination).into(), to),
    })
}

fn tcp6(bytes: &[u8]) -> Option<ProxiedAddresses> {
    let (source, rest) = bytes.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let (from, to) = ports(rest)?;
    Some(ProxiedAddresses::Tcp {
        source: SocketAddr::new(Ipv6Addr::from(*source).into(), from),
        destination: SocketAddr::new(Ipv6Addr::from(*destination).into(), to),
    })
}

fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let ports = bytes.first_chunk::<4>()?;
    Some((u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])))
}

fn unix(bytes: &[u8]) -> Option<ProxiedAddresses> {
    let (source, rest) = bytes.split_first_chunk::<108>()?;
    let destination = rest.first_chunk::<108>()?;
    // Filled with zeros; a name without a file begins with one.
    let path = |bytes: &[u8]| {
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes[..end].to_vec()
    };
    Some(ProxiedAddresses::Unix { source: path(source), destination: path(destination) })
}
