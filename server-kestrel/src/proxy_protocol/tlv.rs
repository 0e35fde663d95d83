//! The fields behind the addresses of version 2: type, length, value.

use crc::{CRC_32_ISCSI, Crc};
use server_abstractions::ProxiedTls;

use super::ProxyHeaderError;

pub(super) const ALPN: u8 = 0x01;
pub(super) const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
pub(super) const UNIQUE_ID: u8 = 0x05;
pub(super) const SSL: u8 = 0x20;

const UNIQUE_ID_MAX: usize = 128;

/// More fields than anybody sends; each costs more memory than the bytes it came in.
const MAX_FIELDS: usize = 128;

/// A field of a header of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// What it is: 0x01 ALPN, 0x02 authority, 0x03 CRC32C, 0x05 unique id, 0x20 TLS, from 0xE0 on what proxies use for
    /// themselves.
    pub kind: u8,
    /// What it says.
    pub value: Box<[u8]>,
    /// Where the value begins behind the addresses.
    position: usize,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Tlv>, ProxyHeaderError> {
    let mut tlvs = Vec::new();
    let mut rest = bytes;
    while let Some((kind, behind)) = rest.split_first() {
        let (length, behind) = behind.split_first_chunk::<2>().ok_or(ProxyHeaderError::Field)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, behind) = behind.split_at_checked(length).ok_or(ProxyHeaderError::Field)?;
        let position = bytes.len() - behind.len() - length;
        let is_right = match *kind {
            AUTHORITY => std::str::from_utf8(value).is_ok(),
            CRC32C => length == 4,
            UNIQUE_ID => length <= UNIQUE_ID_MAX,
            _ => true,
        };
        if !is_right || tlvs.len() == MAX_FIELDS {
            return Err(ProxyHeaderError::Field);
        }
        tlvs.push(Tlv { kind: *kind, value: value.into(), position });
        rest = behind;
    }
    Ok(tlvs)
}

/// Compares the checksum, if there is one, with that of the header, in which it counts as zeros.
pub(super) fn check(header: &[u8], fields: usize, tlvs: &[Tlv]) -> Result<(), ProxyHeaderError> {
    static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    let mut sums = tlvs.iter().filter(|tlv| tlv.kind == CRC32C);
    let Some(sum) = sums.next() else { return Ok(()) };
    if sums.next().is_some() {
        return Err(ProxyHeaderError::Field);
    }
    let at = fields + sum.position;
    let mut digest = CRC.digest();
    digest.update(&header[..at]);
    digest.update(&[0; 4]);
    digest.update(&header[at + sum.value.len()..]);
    if *sum.value == digest.finalize().to_be_bytes() { Ok(()) } else { Err(ProxyHeaderError::Checksum) }
}

impl Tlv {
    /// What a field of the type [`SSL`] says of the client's TLS.
    pub(super) fn tls(&self) -> Result<ProxiedTls, ProxyHeaderError> {
        let (client, rest) = self.value.split_first().ok_or(ProxyHeaderError::Field)?;
        let (verify, rest) = rest.split_first_chunk::<4>().ok_or(ProxyHeaderError::Field)?;
        let fields = parse(rest)?;
        let text = |kind: u8| {
            let field = fields.iter().find(|field| field.kind == kind)?;
            Some(String::from_utf8_lossy(&field.value).into_owned())
        };
        const TLS: u8 = 0x01;
        const CERTIFICATE: u8 = 0x02 | 0x04;
        let has_certificate = client & CERTIFICATE != 0;
        Ok(ProxiedTls::new(client & TLS != 0)
            .with_protocol(text(0x21))
            .with_cipher(text(0x23))
            .with_client_certificate(has_certificate && u32::from_be_bytes(*verify) == 0, text(0x22)))
    }
}
