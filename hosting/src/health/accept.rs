//! Which of two kinds of content a client would rather have (RFC 9110, section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// Whether JSON is wanted rather than text. Text is for whoever says nothing, or takes neither: a probe wants an answer.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let (mut text, mut json) = (Wish::default(), Wish::default());
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for (place, range) in lines.flat_map(|line| line.split(',')).enumerate() {
        if let Some((kind, quality)) = parse(range) {
            text.hear(kind, ("text", "plain"), quality, place);
            json.hear(kind, ("application", "json"), quality, place);
        }
    }
    json.quality > text.quality
        || json.quality == text.quality && json.quality > 0 && json.rank() > text.rank()
}

/// What is said of one kind of content. The most specific range counts.
#[derive(Default)]
struct Wish {
    /// 0: not named, 1: `*/*`, 2: `type/*`, 3: the kind itself.
    specificity: u8,
    /// In thousandths; 0 is not wanted.
    quality: u16,
    place: usize,
}

impl Wish {
    fn hear(&mut self, range: (&str, &str), kind: (&str, &str), quality: u16, place: usize) {
        let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let specificity = match range {
            ("*", "*") => 1,
            (main, "*") if is(main, kind.0) => 2,
            (main, sub) if is(main, kind.0) && is(sub, kind.1) => 3,
            _ => return,
        };
        if specificity > self.specificity {
            *self = Self { specificity, quality, place };
        }
    }

    /// Of two that are wanted alike: the one that is named more exactly, then the one that is named first.
    fn rank(&self) -> (u8, std::cmp::Reverse<usize>) {
        (self.specificity, std::cmp::Reverse(self.place))
    }
}

/// A range and its quality; none if it is malformed.
fn parse(range: &str) -> Option<((&str, &str), u16)> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next()?.split_once('/')?;
    let mut quality = 1000;
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            quality = thousandths(value.trim())?;
        }
    }
    Some((kind, quality))
}

/// `0`, `1`, with three digits behind the point at the most.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if !matches!(whole, "0" | "1")
        || fraction.len() > 3
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_that_is_wanted_more_is_chosen() {
        let wants = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT, line.parse().unwrap());
            }
            wants_json(&headers)
        };
        for json in [
            &["application/json"][..],
            &["Application/JSON; charset=utf-8"],
            &["application/*"],
            &["application/json, text/plain, */*"],
            &["application/json, */*"],
            &["text/plain;q=0.5, application/json"],
            &["text/plain;q=0.999", "application/json;q=1.000"],
            &["*/*, text/plain;q=0.1"],
            &["text/html, application/json;q=0.001"],
            &["text/*;q=0, */*;q=0.1"],
        ] {
            assert!(wants(json), "{json:?}");
        }
        for text in [
            &[][..],
            &["*/*"],
            &["text/plain"],
            &["text/plain, application/json"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["application/json;q=0"],
            &["application/json;q=0, text/plain;q=0"],
            &["application/json;q=1.001"],
            &["application/json;q=0.1234"],
            &["application/json;q=x"],
            &["json"],
            &["*/*, application/json;q=0.2"],
            &["application/*;q=0.9, text/plain;q=0.91"],
        ] {
            assert!(!wants(text), "{text:?}");
        }
    }
}
