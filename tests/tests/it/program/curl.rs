//! curl.

use serde_json::Value;

use super::tool;

/// An answer as curl shows it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `HTTP/1.1` or `HTTP/2`.
    pub(crate) version: String,
    pub(crate) status: u16,
    /// The header fields, the names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    fn parse(output: &[u8]) -> Self {
        let mut rest = output;
        loop {
            let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
            let head = String::from_utf8(rest[..end].to_vec()).expect("the head is text");
            rest = &rest[end..];
            let mut lines = head.lines();
            let mut status_line = lines.next().expect("a status line").split(' ');
            let version = status_line.next().expect("a version").to_owned();
            let status = status_line.next().and_then(|code| code.parse().ok()).expect("a status");
            if status >= 200 {
                let fields = lines.filter_map(|line| line.split_once(':'));
                let headers = fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
                return Self { version, status, headers: headers.collect(), body: rest.to_vec() };
            }
        }
    }
}

const ALWAYS: [&str; 5] = ["--disable", "--silent", "--show-error", "--max-time", "9"];

/// Runs curl, which must get an answer.
pub(crate) async fn curl<const N: usize>(arguments: [&str; N]) -> Answer {
    let output = tool("curl", ALWAYS.iter().chain(&["--include"]).chain(&arguments)).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {} {stderr}", output.status);
    Answer::parse(&output.stdout)
}

/// Runs curl and tells its exit code.
pub(crate) async fn curl_exit_code<const N: usize>(arguments: [&str; N]) -> i32 {
    let output = tool("curl", ALWAYS.iter().chain(&arguments)).await;
    output.status.code().expect("curl ends by itself")
}
