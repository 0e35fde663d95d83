//! The field `traceparent` (W3C Trace Context, section 3.2).

use std::fmt;

/// What the field tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) flags: u8,
}

/// The span was recorded by whoever sent it.
pub(super) const SAMPLED: u8 = 1;
/// The trace id is random (level 2 of the recommendation).
pub(super) const RANDOM: u8 = 2;

/// The length of a field of version 00.
const LENGTH: usize = 55;

impl Parent {
    /// Reads the field. None if it must be ignored: then a new trace begins.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let (head, rest) = text.split_at_checked(LENGTH)?;
        if head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
            return None;
        }
        let version = hex(&head[..2])?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => return None,
            // A later version may say more behind it.
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let trace_id = hex(&head[3..35])?;
        let span_id = u64::try_from(hex(&head[36..52])?).ok()?;
        let flags = u8::try_from(hex(&head[53..])?).ok()?;
        let known = if version == 0 { SAMPLED | RANDOM } else { SAMPLED };
        (is_whole && trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            flags: flags & known,
        })
    }
}

/// As it is sent, in version 00.
impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// At most 32 digits in lower case, and nothing else.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_field_is_read_and_written() {
        let parent = Parent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(parent.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((parent.span_id, parent.flags), (0xb7ad_6b71_6920_3331, SAMPLED));
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(Parent::parse(format!(" \t{GOOD} ").as_bytes()), Some(parent));
    }

    #[test]
    fn versions_are_handled_as_the_recommendation_says() {
        let with =
            |version: &str, end: &str| Parent::parse(format!("{version}{}{end}", &GOOD[2..]).as_bytes());
        assert!(with("00", "").is_some() && with("00", "-").is_none() && with("00", "-00").is_none());
        assert!(with("cc", "").is_some() && with("cc", "-what-it-says").is_some());
        assert!(with("cc", ".what").is_none() && with("ff", "").is_none());
        assert!(with("0", "").is_none() && with("0F", "").is_none() && with("", "").is_none());
    }

    #[test]
    fn only_known_flags_are_kept() {
        let flags = |version: &str, flags: &str| {
            let text = format!("{version}{}{flags}", &GOOD[2..53]);
            Parent::parse(text.as_bytes()).map(|parent| parent.flags)
        };
        assert_eq!(flags("00", "ff"), Some(SAMPLED | RANDOM));
        assert_eq!(flags("01", "ff"), Some(SAMPLED));
        assert_eq!(flags("00", "00"), Some(0));
        assert_eq!((flags("00", ".0"), flags("00", "0A"), flags("00", "1")), (None, None, None));
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for wrong in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Parent::parse(&[0xff; LENGTH]), None);
    }
}
