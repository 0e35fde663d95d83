//! Distinguished names as text (RFC 4514).

use std::fmt::Write as _;

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The parts in the order of the certificate.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for (index, part) in name.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        for (index, attribute) in part.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { " + " });
            write_attribute(attribute, &mut text);
        }
    }
    text
}

pub(super) fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().filter_map(|name| name.as_str().ok()).last().map(str::to_owned)
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    match oid2abbrev(attribute.attr_type(), oid_registry()) {
        Ok(abbreviation) => text.push_str(abbreviation),
        Err(_) => {
            let _ = write!(text, "{}", attribute.attr_type());
        }
    }
    text.push('=');
    match attribute.as_str() {
        Ok(value) => write_escaped(value, text),
        // A type of text that is not read, or no text.
        Err(_) => {
            text.push('#');
            for byte in attribute.as_slice() {
                let _ = write!(text, "{byte:02X}");
            }
        }
    }
}

/// RFC 4514, section 2.4.
fn write_escaped(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', character]),
            '#' if index == 0 => text.push_str("\\#"),
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            other => text.push(other),
        }
    }
}
