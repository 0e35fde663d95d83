//! No client and no application can forge a line or a field: one request is one line, which can be read back.

use std::sync::Arc;

use hosting::{
    AccessLogField as Field, AccessLogFormat, AccessLogOptions, AccessLogUser, Body, Request, Response,
};
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use server_abstractions::{HttpRequestIdentifierFeature, RequestFeatures};

use super::Logged;

/// What a client and an application may choose.
#[derive(Clone, Debug)]
struct Hostile {
    method: String,
    path: String,
    query: Option<String>,
    agent: Vec<u8>,
    referer: Vec<u8>,
    own: Vec<u8>,
    answer: Vec<u8>,
    user: String,
}

/// Bytes that a field's value may have, with those that matter most often.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let special = proptest::sample::select(b"\"\\ \t#%+-[]{},:=\x80\xff\xc3\xa4".to_vec());
    let byte = prop_oneof![special, 0x20..=0x7e_u8, 0x80..=0xff_u8];
    vec(byte, 0..20)
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let method = "[A-Z#%+\\-|~^`.!$&'*_]{1,8}";
    let query = proptest::option::of("[!-~&&[^#<>`]]{0,12}");
    let path = "/[!-~&&[^#?<>`\\^\\\\]]{0,12}";
    let user = "[\u{0}-\u{ff}\n\r\"\\\\ #]{0,8}";
    (method, path, query, value(), value(), value(), value(), user).prop_map(
        |(method, path, query, agent, referer, own, answer, user)| Hostile {
            method,
            path,
            query,
            agent,
            referer,
            own,
            answer,
            user,
        },
    )
}

impl Hostile {
    /// The request, unless the types of HTTP refuse it already.
    fn request(&self) -> Option<Request<Body>> {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        Request::builder()
            .method(Method::from_bytes(self.method.as_bytes()).ok()?)
            .uri(format!("{}{query}", self.path))
            .header("user-agent", HeaderValue::from_bytes(&self.agent).ok()?)
            .header("referer", HeaderValue::from_bytes(&self.referer).ok()?)
            .header("x-own", HeaderValue::from_bytes(&self.own).ok()?)
            .body(Body::empty())
            .ok()
    }

    /// The lines that the log has of it.
    fn lines(&self, format: AccessLogFormat) -> Option<String> {
        let request = self.request()?;
        let own = vec![HeaderName::from_static("x-own")];
        let answer = vec![HeaderName::from_static("x-answer")];
        let has_fields = matches!(format, AccessLogFormat::W3c | AccessLogFormat::Json);
        let fields = vec![
            Field::UserAgent,
            Field::Method,
            Field::UriStem,
            Field::UriQuery,
            Field::UserName,
            Field::Referer,
        ];
        let log = Logged::new(&AccessLogOptions {
            format,
            fields: has_fields.then_some(fields),
            additional_request_headers: if has_fields { own } else { Vec::new() },
            additional_response_headers: if has_fields { answer } else { Vec::new() },
            ..AccessLogOptions::default()
        });
        let hostile = self.clone();
        let app = log.around(move |_: Request<Body>| {
            let mut response = Response::new(Body::empty());
            response.headers_mut().insert("x-answer", HeaderValue::from_bytes(&hostile.answer).unwrap());
            response.extensions_mut().insert(AccessLogUser(hostile.user.clone()));
            std::future::ready(response)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            app.handle(request).await;
            log.log.flush().await;
        });
        Some(log.written.text())
    }
}

/// What a value in W3C's format stands for; nothing and an empty value are the same.
fn from_w3c(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    percent_decode_str(&text.replace('+', " ")).collect()
}

/// The field at the beginning of a rest of a combined line, up to a space or the closing quote.
fn from_combined<'a>(rest: &mut &'a str) -> Vec<u8> {
    let quoted = rest.strip_prefix('"');
    let text: &'a str = quoted.unwrap_or(rest);
    let end = if quoted.is_some() { '"' } else { ' ' };
    let mut value = Vec::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == end {
            *rest = text[at + 1..].strip_prefix(' ').unwrap_or(&text[at + 1..]);
            if quoted.is_none() {
                *rest = &text[at + 1..];
            }
            return value;
        }
        assert!(character.is_ascii() && !character.is_ascii_control(), "{text:?}");
        if character != '\\' {
            value.push(character as u8);
            continue;
        }
        match characters.next().expect("an escape").1 {
            'n' => value.push(b'\n'),
            'r' => value.push(b'\r'),
            't' => value.push(b'\t'),
            'x' => {
                let digits: String = characters.by_ref().take(2).map(|(_, digit)| digit).collect();
                value.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            other => value.push(other as u8),
        }
    }
    *rest = "";
    value
}

/// As the log reads bytes that may be no UTF-8.
fn text(bytes: &[u8]) -> String {
    let latin = || bytes.iter().map(|&byte| char::from(byte)).collect();
    std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned)
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_request_is_one_line_of_w3c_that_can_be_read_back(hostile in hostile()) {
        let Some(written) = hostile.lines(AccessLogFormat::W3c) else { return Ok(()) };
        prop_assert!(written.is_ascii());
        let lines: Vec<_> = written.split_terminator('\n').collect();
        prop_assert_eq!(lines.len(), 4, "{}", written);
        prop_assert!(!lines[3].starts_with('#'));
        let fields: Vec<_> = lines[3].split(' ').collect();
        prop_assert_eq!(fields.len(), 8, "{}", lines[3]);
        prop_assert_eq!(from_w3c(fields[0]), hostile.agent);
        prop_assert_eq!(from_w3c(fields[1]), hostile.method.as_bytes());
        prop_assert_eq!(decoded(fields[2]), decoded(&hostile.path));
        let query = hostile.query.unwrap_or_default();
        let told = if fields[3] == "-" { "" } else { fields[3] };
        prop_assert_eq!(decoded(told), decoded(&query));
        prop_assert_eq!(from_w3c(fields[4]), hostile.user.as_bytes());
        prop_assert_eq!(from_w3c(fields[5]), hostile.referer);
        prop_assert_eq!(from_w3c(fields[6]), hostile.own);
        prop_assert_eq!(from_w3c(fields[7]), hostile.answer);
    }

    #[test]
    fn a_request_is_one_combined_line_that_can_be_read_back(hostile in hostile()) {
        let Some(written) = hostile.lines(AccessLogFormat::Combined) else { return Ok(()) };
        let lines: Vec<_> = written.split_terminator('\n').collect();
        prop_assert_eq!(lines.len(), 1, "{}", written);
        let mut rest = lines[0].strip_prefix("- - ").unwrap();
        let user = from_combined(&mut rest);
        let expected = if hostile.user.is_empty() { b"-".to_vec() } else { hostile.user.into_bytes() };
        prop_assert_eq!(user, expected, "{}", lines[0]);
        rest = rest.split_once("] ").unwrap().1;
        let query = hostile.query.map(|query| format!("?{query}")).unwrap_or_default();
        let request = format!("{} {}{query} HTTP/1.1", hostile.method, hostile.path);
        prop_assert_eq!(text(&from_combined(&mut rest)), request, "{}", lines[0]);
        prop_assert_eq!(from_combined(&mut rest), b"200".to_vec());
        prop_assert_eq!(from_combined(&mut rest), b"-".to_vec());
        prop_assert_eq!(from_combined(&mut rest), hostile.referer, "{}", lines[0]);
        prop_assert_eq!(from_combined(&mut rest), hostile.agent, "{}", lines[0]);
        prop_assert_eq!(rest, "");
    }

    #[test]
    fn a_request_is_one_object_of_json_that_can_be_read_back(hostile in hostile()) {
        let Some(written) = hostile.lines(AccessLogFormat::Json) else { return Ok(()) };
        let lines: Vec<_> = written.split_terminator('\n').collect();
        prop_assert_eq!(lines.len(), 1, "{}", written);
        let line: Value = serde_json::from_str(lines[0]).unwrap();
        prop_assert_eq!(line["user_agent"].as_str().map(str::to_owned), Some(text(&hostile.agent)));
        prop_assert_eq!(line["method"].as_str(), Some(hostile.method.as_str()));
        prop_assert_eq!(line["path"].as_str(), Some(hostile.path.as_str()));
        prop_assert_eq!(line["query"].as_str(), hostile.query.as_deref());
        prop_assert_eq!(line["user_name"].as_str(), Some(hostile.user.as_str()));
        prop_assert_eq!(line["referer"].as_str().map(str::to_owned), Some(text(&hostile.referer)));
        prop_assert_eq!(line["request_headers"]["x-own"].as_str().map(str::to_owned), Some(text(&hostile.own)));
        prop_assert_eq!(line["response_headers"]["x-answer"].as_str().map(str::to_owned), Some(text(&hostile.answer)));
    }
}

/// Longer than a line may be.
const LONG: usize = 100_000;

/// The line of a request of which every value is as long as HTTP lets it be, and of what has to be escaped.
async fn longest(format: AccessLogFormat, queue_size: usize) -> String {
    let has_fields = matches!(format, AccessLogFormat::W3c | AccessLogFormat::Json);
    let names: Vec<_> = (0..20).map(|number| HeaderName::try_from(format!("x-{number}")).unwrap()).collect();
    let log = Logged::new(&AccessLogOptions {
        format,
        queue_size,
        additional_request_headers: if has_fields { names.clone() } else { Vec::new() },
        additional_response_headers: if has_fields { names.clone() } else { Vec::new() },
        ..AccessLogOptions::default()
    });
    let bytes = |byte: u8| HeaderValue::from_bytes(&vec![byte; LONG]).unwrap();
    let answered = names.clone();
    let app = log.around(move |_: Request<Body>| {
        let mut response = Response::new(Body::empty());
        answered.iter().for_each(|name| drop(response.headers_mut().insert(name, bytes(0x85))));
        response.extensions_mut().insert(AccessLogUser("\u{202e}".repeat(LONG)));
        std::future::ready(response)
    });
    let query = "%".repeat(30_000);
    let mut request = Request::builder().method("#".repeat(3_000).as_str()).uri(format!("/{query}?{query}"));
    for name in names.iter().map(HeaderName::as_str).chain(["user-agent", "referer", "host"]) {
        request = request.header(name, bytes(0x85));
    }
    app.handle(request.body(Body::empty()).unwrap()).await;
    log.line().await
}

#[tokio::test]
async fn a_line_has_a_bound_and_is_never_too_long_for_the_queue() {
    use AccessLogFormat::{Combined, Common, Json, W3c};

    for format in [W3c, Json, Common, Combined] {
        let line = longest(format, 64 * 1024).await;
        assert!(line.len() < 64 * 1024 && line.contains('…'), "{format:?}: {} bytes", line.len());
        let line = longest(format, 1024 * 1024).await;
        assert!(line.len() < 1024 * 1024, "{format:?}: {} bytes", line.len());
        // What is cut has 2 KiB.
        let method = "#".repeat(2048);
        let method = if format == W3c { method.replace('#', "%23") } else { method };
        assert!(line.contains(&format!("{method}…")), "{format:?}: {}", &line[..200]);
    }
    let line: Value = serde_json::from_str(&longest(Json, 64 * 1024).await).unwrap();
    assert!(line["path"].as_str().is_some_and(|path| path.ends_with('…')), "{line}");
}

#[tokio::test]
async fn nothing_hides_or_turns_around_what_stands_in_a_line() {
    let hidden = "a\u{202e}b\u{2066}c\u{2028}d\u{85}e\u{9b}f\u{7f}g\u{feff}h\u{200f}ä";
    for format in [AccessLogFormat::W3c, AccessLogFormat::Json, AccessLogFormat::Combined] {
        let has_fields = format != AccessLogFormat::Combined;
        let fields = vec![Field::UserName, Field::UserAgent, Field::TraceIdentifier];
        let log = Logged::new(&AccessLogOptions {
            format,
            fields: has_fields.then_some(fields),
            ..AccessLogOptions::default()
        });
        let app = log.around(move |_: Request<Body>| {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(AccessLogUser(hidden.to_owned()));
            std::future::ready(response)
        });
        let agent = HeaderValue::from_bytes(hidden.replace('\u{7f}', "").as_bytes()).unwrap();
        let mut request = Request::get("/").header("user-agent", agent).body(Body::empty()).unwrap();
        request.features_mut().set::<dyn HttpRequestIdentifierFeature>(Arc::new(Id(hidden)));
        app.handle(request).await;
        let line = log.line().await;
        let shown = |character: char| (' '..='~').contains(&character) || character == 'ä';
        assert!(line.chars().all(shown), "{format:?}: {line:?}");
        if format == AccessLogFormat::Json {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (line["user_name"].as_str(), line["request_id"].as_str()),
                (Some(hidden), Some(hidden))
            );
        }
    }
}

/// An id that an application has given to a request.
struct Id(&'static str);

impl HttpRequestIdentifierFeature for Id {
    fn trace_identifier(&self) -> String {
        self.0.to_owned()
    }
}
