use std::borrow::Cow;

/// Decodes a request path as the original does: percent-decoded once as UTF-8, then without dot segments
/// (RFC 3986, section 5.2.4).
///
/// `%2F` and `%00` stay encoded, so do escapes that are invalid or not UTF-8; `+` and doubled slashes are kept; `..`
/// at the root goes nowhere. A path that needs no change is borrowed.
///
/// ```
/// use server_abstractions::decode_path;
/// assert_eq!(decode_path("/caf%C3%A9/./a%2Fb/%2E%2E/c"), "/café/c");
/// ```
#[doc(alias = "PathNormalizer")]
pub fn decode_path(raw: &str) -> Cow<'_, str> {
    if is_plain(raw) {
        return Cow::Borrowed(raw);
    }
    let decoded = if raw.contains('%') { Cow::Owned(percent_decode(raw)) } else { Cow::Borrowed(raw) };
    if !has_dot_segments(&decoded) {
        return decoded;
    }
    Cow::Owned(remove_dot_segments(&decoded))
}

/// Whether a path has nothing to decode and no dot, as most have none.
fn is_plain(raw: &str) -> bool {
    !raw.bytes().any(|byte| matches!(byte, b'%' | b'.'))
}

fn percent_decode(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut decoded = String::with_capacity(raw.len());
    let mut at = 0;
    while at < bytes.len() {
        match decode_char(&bytes[at..]) {
            Some((character, length)) => {
                decoded.push(character);
                at += length;
            }
            None => {
                // Not an escape: one whole character of the text as it stands.
                let length = raw[at..].chars().next().map_or(1, char::len_utf8);
                decoded.push_str(&raw[at..at + length]);
                at += length;
            }
        }
    }
    decoded
}

/// The character that the escapes at the front stand for, and their length in the text.
fn decode_char(bytes: &[u8]) -> Option<(char, usize)> {
    let first = decode_byte(bytes)?;
    if first == b'/' || first == 0 {
        return None;
    }
    let length = match first {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut utf8 = [0; 4];
    for (index, byte) in utf8.iter_mut().enumerate().take(length) {
        *byte = decode_byte(bytes.get(index * 3..)?)?;
    }
    let character = std::str::from_utf8(&utf8[..length]).ok()?.chars().next()?;
    Some((character, length * 3))
}

fn decode_byte(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn has_dot_segments(path: &str) -> bool {
    path.starts_with('/') && path.split('/').any(|segment| segment == "." || segment == "..")
}

fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::decode_path;

    #[test]
    fn paths_are_decoded_as_the_original_does() {
        for (raw, decoded) in [
            ("/", "/"),
            ("", ""),
            ("/plain/path", "/plain/path"),
            ("/a%20b", "/a b"),
            ("/%C3%A5", "/å"),
            ("/%25%30%30", "/%00"),
            ("/%%2000", "/% 00"),
            ("/%2F", "/%2F"),
            ("/%2f", "/%2f"),
            ("/%00", "/%00"),
            ("/%c3", "/%c3"),
            ("/%C0%AF", "/%C0%AF"),
            ("/%E2%82", "/%E2%82"),
            ("/%F0%9F%A6%80", "/🦀"),
            ("/%ED%A0%80", "/%ED%A0%80"),
            ("/%zz%4", "/%zz%4"),
            ("/a+b//c", "/a+b//c"),
            ("/a/../b", "/b"),
            ("/a/%2E%2E/b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/../../x", "/x"),
            ("/..", "/"),
            ("/a/...", "/a/..."),
            ("*", "*"),
        ] {
            assert_eq!(decode_path(raw), decoded, "{raw}");
        }
        assert!(matches!(decode_path("/plain"), std::borrow::Cow::Borrowed(_)));
    }
}
