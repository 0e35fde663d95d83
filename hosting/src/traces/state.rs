//! The field `tracestate` (W3C Trace Context, section 3.3).

use std::sync::Arc;

use http::HeaderMap;

/// The field's name.
pub(super) const TRACESTATE: &str = "tracestate";

/// As many members as there may be.
const MOST_MEMBERS: usize = 32;

/// The members of all lines in their order, with a comma between them; none if one is malformed, or there are too many.
pub(super) fn read(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut lines = headers.get_all(TRACESTATE).iter().peekable();
    lines.peek()?;
    let (mut text, mut members) = (String::new(), Vec::<&str>::new());
    for line in lines {
        let line = std::str::from_utf8(line.as_bytes()).ok()?;
        for member in line.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            // Empty ones are allowed, and say nothing.
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            if !is_key(key) || !is_value(value) || members.len() == MOST_MEMBERS {
                return None;
            }
            members.push(key);
            // The first one is the newest.
            if members[..members.len() - 1].contains(&key) {
                continue;
            }
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(member);
        }
    }
    (!text.is_empty()).then(|| text.into())
}

/// Section 3.3.1.3.1.
fn is_key(key: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
    let is_name = |name: &str, length: usize| name.len() <= length && name.bytes().all(is_word);
    let begins_with = |name: &str, is_begin: fn(&u8) -> bool| name.as_bytes().first().is_some_and(is_begin);
    match key.split_once('@') {
        None => {
            is_name(key, 256) && begins_with(key, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        }
        Some((tenant, system)) => {
            is_name(tenant, 241)
                && begins_with(tenant, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                && is_name(system, 14)
                && begins_with(system, u8::is_ascii_lowercase)
        }
    }
}

/// Section 3.3.1.3.2. It does not end in a space, since those around a member were cut off.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=' && byte != b',')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn state(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(TRACESTATE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        read(&headers).map(|state| state.to_string())
    }

    #[test]
    fn lines_are_one_list() {
        assert_eq!(state(&["a=1, b=2\t,c=3"]).as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(state(&["a=1,", "", " b=x y,,c=3"]).as_deref(), Some("a=1,b=x y,c=3"));
        assert_eq!(state(&["t61@sys=1,0n=2"]).as_deref(), Some("t61@sys=1,0n=2"));
        assert_eq!((state(&[]), state(&[" ,, "])), (None, None));
    }

    #[test]
    fn a_key_that_comes_again_counts_once() {
        assert_eq!(state(&["a=1,b=2", "a=3"]).as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn there_are_32_members_at_the_most() {
        let members = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(state(&[&members(32)]).as_deref(), Some(&*members(32)));
        assert_eq!(state(&[&members(33)]), None);
        assert_eq!(state(&[&members(32), "one=more"]), None);
    }

    #[test]
    fn what_is_malformed_costs_the_whole_list() {
        let long = "a".repeat(257);
        for wrong in [
            "a=1,B=2",
            "a",
            "a=",
            "=1",
            "a=1=2",
            "a b=1",
            "a@=1",
            "@a=1",
            "a@1b=1",
            "a@b@c=1",
            "_a=1",
            "a=\u{e9}",
            &format!("{long}=1"),
            &format!("a={long}"),
            &format!("a@{}=1", &long[..15]),
            &format!("{}@a=1", &long[..242]),
        ] {
            assert_eq!(state(&["ok=1", wrong]), None, "{wrong}");
        }
        assert!(state(&[&format!("{}={}", &long[..256], &long[..256])]).is_some());
        assert!(state(&[&format!("{}@{}=1", &long[..241], &long[..14])]).is_some());
    }
}
