//! Certificates out of header fields.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;
use percent_encoding::percent_decode;
use server_abstractions::ClientCertificate;

use super::CertificateSource;

/// Padding may be left out, and its bits may be anything (RFC 8941, section 4.2.7).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A certificate, and those that follow it in DER.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) chain: Vec<Vec<u8>>,
}

/// Decodes a certificate and what follows it; the error says what is wrong.
pub(super) fn decode(
    source: &CertificateSource,
    value: &[u8],
    chain: &[HeaderValue],
) -> Result<Decoded, &'static str> {
    match source {
        CertificateSource::Base64Der { .. } => {
            Ok(Decoded { certificate: Some(parsed(from_base64(value)?)?), chain: Vec::new() })
        }
        CertificateSource::UrlEncodedPem { .. } => from_pem(value),
        CertificateSource::ClientCert => {
            let mut items = byte_sequences(value)?.into_iter();
            let (Some(certificate), None) = (items.next(), items.next()) else {
                return Err("it is not one byte sequence (RFC 9440, section 2.2)");
            };
            let mut decoded = Decoded { certificate: Some(parsed(certificate)?), chain: Vec::new() };
            for line in chain {
                decoded.chain.extend(byte_sequences(line.as_bytes())?);
            }
            Ok(decoded)
        }
    }
}

fn from_base64(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    BASE64.decode(text.trim_ascii()).map_err(|_| "it is not base64")
}

fn from_pem(value: &[u8]) -> Result<Decoded, &'static str> {
    let text: Vec<u8> = percent_decode(value).collect();
    let blocks = pem::parse_many(text).map_err(|_| "it is not PEM")?;
    let certificates = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE");
    let mut certificates =
        certificates.map(|block| checked(block.into_contents())).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err("it has no PEM block of a certificate");
    }
    let certificate = Some(parsed(certificates.remove(0))?);
    Ok(Decoded { certificate, chain: certificates })
}

/// A list of byte sequences, parameters passed over (RFC 8941, sections 3.1 and 3.3.5).
fn byte_sequences(value: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const WRONG: &str = "it is no list of byte sequences (RFC 9440, section 2.1)";
    let mut sequences = Vec::new();
    // Neither base64 nor the parameters that make sense here have a comma.
    for item in value.split(|byte| *byte == b',') {
        let inner = item.trim_ascii().strip_prefix(b":").ok_or(WRONG)?;
        let end = inner.iter().position(|byte| *byte == b':').ok_or(WRONG)?;
        let behind = inner[end + 1..].trim_ascii_start();
        if !behind.is_empty() && !behind.starts_with(b";") {
            return Err(WRONG);
        }
        sequences.push(checked(from_base64(&inner[..end])?)?);
    }
    Ok(sequences)
}

/// Passes what is a certificate and nothing else.
fn checked(der: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    parsed(der).map(|certificate| certificate.der().to_vec())
}

fn parsed(der: Vec<u8>) -> Result<ClientCertificate, &'static str> {
    ClientCertificate::from_der(der).map_err(|_| "it is no X.509 certificate in DER, or something follows it")
}
