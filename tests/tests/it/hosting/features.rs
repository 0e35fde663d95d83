//! The sample `features`: every route over HTTP/1.1, HTTP/2 in cleartext and HTTP/2 over TLS.

use std::path::Path;

use crate::program::{Answer, Launch, Program, curl, curl_exit_code};
use crate::support::{Client, Http2, soon};

/// A way to ask: options of curl, the address, and the version that the answer has.
pub(crate) struct Way {
    options: [&'static str; 2],
    pub(crate) base: String,
    pub(crate) version: &'static str,
}

impl Way {
    pub(crate) async fn ask<const N: usize>(&self, path: &str, options: [&str; N]) -> Answer {
        let arguments = self.arguments(path, options);
        let answer = curl::<8>(arguments.each_ref().map(String::as_str)).await;
        assert_eq!(answer.version, self.version, "{path}");
        answer
    }

    async fn exit_code(&self, path: &str) -> i32 {
        curl_exit_code([self.options[0], self.options[1], &format!("{}{path}", self.base)]).await
    }

    fn is_http1(&self) -> bool {
        self.version == "HTTP/1.1"
    }

    /// Eight arguments, the last ones empty options that say nothing new.
    fn arguments<const N: usize>(&self, path: &str, options: [&str; N]) -> [String; 8] {
        let mut arguments = vec![format!("{}{path}", self.base)];
        arguments.extend(self.options.iter().chain(&options).map(|option| (*option).to_owned()));
        arguments.resize(8, "--silent".to_owned());
        arguments.try_into().expect("at most five options")
    }
}

/// The sample on a cleartext and a TLS port.
pub(crate) async fn start() -> (Program, [Way; 4]) {
    let launch = Launch::features().args(["--urls", "http://127.0.0.1:0;https://127.0.0.1:0"]);
    let program = launch.env("ASPNETCORE_ENVIRONMENT", "Development").start().await;
    let [http, https] = <[String; 2]>::try_from(program.urls()).expect("two addresses");
    let way = |options, base: &String, version| Way { options, base: base.clone(), version };
    let ways = [
        way(["-k", "--http1.1"], &http, "HTTP/1.1"),
        way(["-k", "--http2-prior-knowledge"], &http, "HTTP/2"),
        way(["-k", "--http2"], &https, "HTTP/2"),
        way(["-k", "--http1.1"], &https, "HTTP/1.1"),
    ];
    (program, ways)
}

#[tokio::test]
async fn small_answers() {
    let (_program, ways) = start().await;
    for way in &ways {
        let answer = way.ask("/plaintext", []).await;
        assert_eq!((answer.status, answer.text()), (200, "Hello, World!"));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("content-length"), Some("13"));
        assert_eq!(way.ask("/json", []).await.json()["message"], "Hello, World!");
        let page = way.ask("/", []).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().starts_with("<!doctype html>") && page.text().contains("trace_id"));
        assert_eq!(way.ask("/nope", []).await.status, 404);
        assert_eq!(way.ask("/delay/10", []).await.text(), "after 10 ms");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_answer() {
    let (_program, ways) = start().await;
    for way in &ways {
        for (path, length) in [("/plaintext", Some("13")), ("/file/1000", Some("1000")), ("/bytes/9", None)] {
            let answer = way.ask(path, ["--head"]).await;
            assert_eq!((answer.status, answer.header("content-length")), (200, length), "{path}");
            assert_eq!(answer.body, b"", "{path}");
        }
    }
}

#[tokio::test]
async fn every_status() {
    let (_program, ways) = start().await;
    for way in &ways {
        for status in [200, 204, 304, 404, 418, 500, 599] {
            let answer = way.ask(&format!("/status/{status}"), []).await;
            assert_eq!((answer.status, answer.text()), (status, ""));
        }
        for bad in ["/status/100", "/status/99", "/status/1000"] {
            assert_eq!(way.ask(bad, []).await.status, 400, "{bad}");
        }
        assert_eq!(way.ask("/status/x", []).await.status, 404);
        assert_eq!(way.ask("/status/204", []).await.header("content-length"), None);
    }
}

fn upload(path: &Path) -> String {
    format!("@{}", path.display())
}

#[tokio::test]
async fn bodies_are_echoed_and_counted() {
    let (program, ways) = start().await;
    let body: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    let file = upload(&program.folder().write("upload", &body));
    for way in &ways {
        let answer = way.ask("/echo", ["--data-binary", &file, "-H", "content-type: a/b"]).await;
        assert_eq!(answer.header("content-type"), Some("a/b"));
        assert!(answer.body == body, "{}: {} bytes came back", way.version, answer.body.len());
        let answer = way.ask("/count", ["--data-binary", &file]).await;
        assert_eq!(answer.text(), "5000000");
        assert_eq!(way.ask("/count", []).await.text(), "0");
    }
    let chunked = ["--data-binary", &file, "-H", "transfer-encoding: chunked"];
    for way in ways.iter().filter(|way| way.is_http1()) {
        assert!(way.ask("/echo", chunked).await.body == body);
        assert_eq!(way.ask("/count", chunked).await.text(), "5000000");
    }
}

#[tokio::test]
async fn trailers_are_echoed() {
    let program = Launch::features().start().await;
    let mut client = Client::tcp(program.address()).await;
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: check\r\nTE: trailers\r\n\r\n\
                   5\r\nhello\r\n0\r\ncheck: sum\r\n\r\n";
    let response = client.exchange(request).await;
    assert_eq!(response.text(), "hello");
    assert_eq!(response.trailers, [("check".to_owned(), "sum".to_owned())]);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_streamed() {
    let (_program, ways) = start().await;
    for way in &ways {
        let answer = way.ask("/bytes/1000000", []).await;
        assert!(answer.body.len() == 1_000_000 && answer.body.iter().all(|byte| *byte == b'a'));
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("transfer-encoding"), way.is_http1().then_some("chunked"));
        assert_eq!(way.ask("/bytes/0", []).await.body, b"");
    }
}

#[tokio::test]
async fn a_file_has_its_length() {
    let (_program, ways) = start().await;
    for way in &ways {
        let answer = way.ask("/file/300000", []).await;
        assert_eq!(answer.header("content-length"), Some("300000"));
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_eq!(answer.body.len(), 300_000);
        assert_eq!(way.ask("/file/0", []).await.header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_process_lives() {
    let (program, ways) = start().await;
    for way in &ways {
        assert_eq!(way.ask("/panic", []).await.status, 500);
        assert_eq!(way.ask("/plaintext", []).await.status, 200);
    }
    let end = program.stop().await;
    assert_eq!(end.code, Some(0));
    assert_eq!(end.stderr.matches("the sample panics on request").count(), 4, "{}", end.stderr);
}

/// curl's "empty reply from server", "failure when receiving" and "stream error in the HTTP/2 framing layer".
const GOT_NOTHING: [i32; 3] = [52, 56, 92];

#[tokio::test]
async fn an_aborted_request_gets_nothing() {
    let (_program, ways) = start().await;
    for way in &ways {
        let code = way.exit_code("/abort").await;
        assert!(GOT_NOTHING.contains(&code), "{}: {code}", way.version);
        assert_eq!(way.ask("/plaintext", []).await.status, 200);
    }
}

#[tokio::test]
async fn the_connection_is_described() {
    let (program, ways) = start().await;
    let tls_port = ways[2].base.rsplit(':').next().expect("a port").to_owned();
    for way in &ways {
        let facts = way.ask("/connection?a=b", []).await.json();
        let is_tls = way.base.starts_with("https");
        assert_eq!(facts["protocol"], way.version);
        assert_eq!(facts["scheme"], if is_tls { "https" } else { "http" });
        assert_eq!(facts["method"], "GET");
        assert_eq!((&facts["path"], &facts["path_base"]), (&"/connection".into(), &"".into()));
        assert_eq!(facts["raw_target"], "/connection?a=b");
        let port = if is_tls { tls_port.clone() } else { program.address().port().to_string() };
        assert_eq!(facts["local"], format!("127.0.0.1:{port}"));
        let remote = facts["remote"].as_str().expect("a peer");
        assert!(remote.starts_with("127.0.0.1:") && remote != facts["local"]);
        assert_eq!(facts["endpoint"], way.base);
        let id = facts["connection_id"].as_str().expect("an id");
        let trace = facts["trace_id"].as_str().expect("an id");
        assert_eq!(trace, format!("{id}:00000001"));
        assert_eq!(facts["max_request_body_size"], 30_000_000);
        let tls = &facts["tls"];
        assert_eq!(tls.is_object(), is_tls, "{tls}");
        if is_tls {
            assert!(tls["version"].as_str().is_some_and(|version| version.contains("1.3")), "{tls}");
            assert!(tls["cipher"].as_str().is_some_and(|cipher| cipher.starts_with("TLS13_")), "{tls}");
            assert_eq!(tls["alpn"], if way.is_http1() { "http/1.1" } else { "h2" });
        }
        let features: Vec<_> = facts["features"].as_array().expect("a list").iter().collect();
        let has = |name: &str| features.iter().any(|feature| **feature == name);
        assert_eq!((has("TlsHandshake"), has("HttpReset")), (is_tls, !way.is_http1()), "{features:?}");
        assert!(has("HttpConnection") && has("ConnectionLifetime") && has("ServerAddresses"), "{features:?}");
    }
}

#[tokio::test]
async fn header_fields_are_shown_as_they_came() {
    let (_program, ways) = start().await;
    for way in &ways {
        let answer = way.ask("/headers", ["-H", "X-Twice: one", "-H", "X-Twice: two"]).await;
        assert_eq!(answer.json()["x-twice"], serde_json::json!(["one", "two"]));
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let (program, ways) = start().await;
    let limit = upload(&program.folder().zeros("limit", 30_000_000));
    let above = upload(&program.folder().zeros("above", 30_000_001));
    for way in &ways {
        assert_eq!(way.ask("/count", ["--data-binary", &limit]).await.text(), "30000000");
    }
    let chunked = ["--data-binary", &above, "-H", "transfer-encoding: chunked"];
    for way in ways.iter().filter(|way| way.is_http1()) {
        assert_eq!(way.ask("/count", ["--data-binary", &above]).await.status, 413);
        assert_eq!(way.ask("/count", chunked).await.status, 413);
    }
    // curl 7.88 takes an answer that comes before it has sent everything (RFC 9113, section 8.1) for an error.
    let stream = tokio::net::TcpStream::connect(program.address()).await.expect("connects");
    let http2 = Http2::new(stream).await;
    let request = http::Request::post("http://a/count").header("content-length", "30000001");
    let (response, _unfinished) = http2.send(request.body(()).expect("a request"), false).await;
    assert_eq!(soon(response).await.expect("an answer").status(), 413);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_read_is_not_lost() {
    let program = Launch::features().start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("POST /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n").await;
    client.send(vec![0; 5_000_000]).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on_only_if_the_body_is_read() {
    let program = Launch::features().start().await;
    let head = |path: &str, length: u32| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = Client::tcp(program.address()).await;
    assert_eq!(client.exchange(&head("/count", 5)).await.status, 100);
    assert_eq!(client.exchange("hello").await.text(), "5");
    assert_eq!(client.exchange(&head("/nope", 5)).await.status, 404);
    let mut client = Client::tcp(program.address()).await;
    assert_eq!(client.exchange(&head("/count", 30_000_001)).await.status, 413);
    let answer = curl(["-H", "expect: 100-continue", "--data-binary", "hello", &program.url("/echo")]).await;
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn server_sent_events_come_one_by_one() {
    let program = Launch::features().start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.take_until("\r\n\r\n").await;
    assert!(String::from_utf8_lossy(&head).contains("content-type: text/event-stream"));
    for tick in 0..3 {
        client.take_until(&format!("data: {tick}\n\n")).await;
    }
    // The program goes on when the client leaves.
    drop(client);
    assert_eq!(curl([program.url("/plaintext").as_str()]).await.status, 200);
}
