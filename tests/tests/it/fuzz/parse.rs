//! Reads answers of HTTP/1.1 as strictly as they are written, and frames of HTTP/2.

use server_abstractions::BoxError;

/// A final answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether the connection ends after it.
    pub(super) closes: bool,
}

/// What an endpoint without HTTP/2 tells a client that speaks it: `HTTP_1_1_REQUIRED`.
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];

/// All final answers; `calls` tells of each request that was handled whether it was HEAD.
pub(super) fn answers(mut bytes: &[u8], calls: &[bool]) -> Result<Vec<Answer>, String> {
    let all = bytes;
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        if bytes == GOAWAY {
            answers.push(Answer { status: 0, closes: true });
            break;
        }
        let is_head = calls.get(answers.len()).copied().unwrap_or_default();
        match answer(&mut bytes, is_head) {
            Ok(Some(answer)) => answers.push(answer),
            Ok(None) => {}
            Err(error) => return Err(format!("{error} in b\"{}\"", all.escape_ascii())),
        }
    }
    Ok(answers)
}

/// Up to and without the next CRLF.
fn line<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, BoxError> {
    let end = bytes.windows(2).position(|window| window == b"\r\n").ok_or("a line does not end")?;
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[2..];
    let line = std::str::from_utf8(line)?;
    if line.contains(|c: char| c.is_control()) { Err("a control character".into()) } else { Ok(line) }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], BoxError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("too few bytes")?;
    *bytes = rest;
    Ok(taken)
}

/// The next answer; an interim one is none.
fn answer(bytes: &mut &[u8], is_head: bool) -> Result<Option<Answer>, BoxError> {
    let first = line(bytes)?;
    let (version, rest) = first.split_at_checked(9).ok_or("a short status line")?;
    let is_old = version == "HTTP/1.0 ";
    if !is_old && version != "HTTP/1.1 " {
        return Err(format!("a status line {first:?}").into());
    }
    let status: u16 = rest.get(..3).ok_or("no status")?.parse()?;
    if rest.as_bytes().get(3) != Some(&b' ') || !(100..600).contains(&status) {
        return Err(format!("a status line {first:?}").into());
    }
    let (mut length, mut is_chunked, mut options) = (None, false, String::new());
    loop {
        let field = line(bytes)?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(": ").ok_or("a field without a colon")?;
        match name {
            "content-length" if length.replace(value.parse::<usize>()?).is_some() => {
                return Err("two lengths".into());
            }
            "transfer-encoding" if value == "chunked" && !is_chunked => is_chunked = true,
            "transfer-encoding" => return Err("two codings".into()),
            "connection" => options = value.to_ascii_lowercase(),
            _ => {}
        }
    }
    if status == 100 {
        return Ok(None);
    }
    let has_body = !is_head && status >= 200 && !matches!(status, 204 | 304);
    match (has_body, is_chunked, length) {
        (false, ..) => {}
        (true, true, None) => chunks(bytes)?,
        (true, false, Some(length)) => drop(take(bytes, length)?),
        (true, false, None) => *bytes = &[],
        (true, true, Some(_)) => return Err("a length and a coding".into()),
    }
    let closes = options == "close" || is_old && options != "keep-alive" || status == 101;
    Ok(Some(Answer { status, closes }))
}

fn chunks(bytes: &mut &[u8]) -> Result<(), BoxError> {
    loop {
        let size = usize::from_str_radix(line(bytes)?, 16)?;
        take(bytes, size)?;
        if !line(bytes)?.is_empty() {
            return Err("a chunk does not end in CRLF".into());
        }
        if size == 0 {
            return Ok(());
        }
    }
}

/// A frame that the server sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// All frames, each of them whole.
pub(super) fn frames(mut bytes: &[u8]) -> Result<Vec<Frame<'_>>, String> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let head = take(&mut bytes, 9).map_err(|error| error.to_string())?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = take(&mut bytes, length).map_err(|error| error.to_string())?;
        frames.push(Frame { kind: head[3], flags: head[4], stream, payload });
    }
    Ok(frames)
}
