//! What the lines of each format look like.

use hosting::{
    AccessLogField as Field, AccessLogFormat, AccessLogOptions, AccessLogUser, Body, Request, Response,
};
use http::HeaderName;
use serde_json::{Value, json};

use super::Logged;
use crate::support::{Client, Http2, Memory, hello, start_on_tcp};

/// Says hello to somebody whom it knows.
async fn to_ada(_: Request<Body>) -> Response<Body> {
    let mut response = Response::new(Body::from("Hello, Ada!"));
    response.headers_mut().insert("x-answer", "4 2".parse().unwrap());
    response.extensions_mut().insert(AccessLogUser("ada b".to_owned()));
    response
}

const REQUEST: &str = "GET /a%20b?c=d+e HTTP/1.1\r\nHost: shop.example:81\r\nUser-Agent: curl/8 (x; \"y\")\r\nReferer: http://r/?q\r\nCookie: k=v\r\nX-Own: one\r\nX-Own: two\r\n\r\n";

/// Whether a text has the form of another one, in which a `9` is any digit.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'9' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

#[tokio::test]
async fn w3c_has_its_directives_and_chosen_fields_in_their_order() {
    let log = Logged::new(&AccessLogOptions {
        fields: Some(vec![
            Field::Date,
            Field::Time,
            Field::ServerIpAddress,
            Field::ServerPort,
            Field::ClientIpAddress,
            Field::ClientPort,
            Field::UserName,
            Field::Method,
            Field::UriStem,
            Field::UriQuery,
            Field::ProtocolStatus,
            Field::ResponseBytes,
            Field::RequestBytes,
            Field::ProtocolVersion,
            Field::Host,
            Field::UserAgent,
            Field::Cookie,
            Field::Referer,
            Field::TlsVersion,
            Field::ErrorType,
        ]),
        additional_request_headers: vec![HeaderName::from_static("x-own"), HeaderName::from_static("x-none")],
        additional_response_headers: vec![HeaderName::from_static("x-answer")],
        redacted_headers: Vec::new(),
        ..AccessLogOptions::default()
    });
    let (_running, address) = start_on_tcp(log.around(to_ada)).await;
    let client = tokio::net::TcpStream::connect(address).await.unwrap();
    let peer = client.local_addr().unwrap();
    assert_eq!(Client::new(client).exchange(REQUEST).await.status, 200);
    let line = log.line().await;
    let (time, rest) = line.split_at(19);
    assert!(has_form(time, "9999-99-99 99:99:99"), "{line}");
    let expected = format!(
        " 127.0.0.1 {} 127.0.0.1 {} ada+b GET /a%20b c=d+e 200 11 0 HTTP/1.1 shop.example:81 curl/8+(x;+%22y%22) k=v http://r/?q - - one,+two - 4+2",
        address.port(),
        peer.port()
    );
    assert_eq!(rest, expected);
    let text = log.written.text();
    let head: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
    assert_eq!(head[0], "#Version: 1.0");
    assert!(has_form(head[1], "#Start-Date: 9999-99-99 99:99:99"), "{head:?}");
    assert_eq!(
        head[2],
        "#Fields: date time s-ip s-port c-ip c-port cs-username cs-method cs-uri-stem cs-uri-query sc-status sc-bytes cs-bytes cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer) x-tls-version x-error-type cs(x-own) cs(x-none) sc(x-answer)"
    );
    assert_eq!(head.len(), 3);
}

#[tokio::test]
async fn w3c_tells_time_taken_and_ids() {
    let log = Logged::of(&[Field::TimeTaken, Field::TraceIdentifier, Field::ConnectionId, Field::ServerName]);
    let server = Memory::start(log.around(hello)).await;
    server.client().await.get("/").await;
    let line = log.line().await;
    let fields: Vec<_> = line.split(' ').collect();
    let (whole, part) = fields[0].split_once('.').expect("a point");
    assert!(whole.parse::<u64>().is_ok() && part.len() == 3 && part.parse::<u64>().is_ok(), "{line}");
    assert_eq!(fields[1], format!("{}:00000001", fields[2]));
    assert_eq!(fields[2].len(), 13);
    assert!(fields[3] != "-" && fields.len() == 4, "{line}");
}

#[tokio::test]
async fn the_default_fields_tell_everything_but_who_the_client_is() {
    let log = Logged::format(AccessLogFormat::W3c);
    let server = Memory::start(log.around(to_ada)).await;
    server.client().await.exchange(REQUEST).await;
    let line = log.line().await;
    assert_eq!(line.split(' ').count(), Field::DEFAULT.len());
    assert!(!line.contains("ada") && !line.contains("k=v"), "{line}");
}

#[tokio::test]
async fn common_and_combined_are_those_of_apache() {
    for (format, rest) in
        [(AccessLogFormat::Common, ""), (AccessLogFormat::Combined, r#" "http://r/?q" "curl/8 (x; \"y\")""#)]
    {
        let log = Logged::format(format);
        let (_running, address) = start_on_tcp(log.around(to_ada)).await;
        Client::tcp(address).await.exchange(REQUEST).await;
        let line = log.line().await;
        let (begin, end) = line.split_once(" [").unwrap();
        let (time, end) = end.split_once("] ").unwrap();
        assert_eq!(begin, r"127.0.0.1 - ada\x20b");
        assert!(
            time.len() == 26 && time.ends_with(" +0000") && has_form(&time[11..20], ":99:99:99"),
            "{time}"
        );
        assert_eq!(end, format!(r#""GET /a%20b?c=d+e HTTP/1.1" 200 11{rest}"#));
        assert!(!log.written.text().contains('#'));
    }
    let log = Logged::format(AccessLogFormat::Combined);
    let server = Memory::start(log.around(async |_: Request<Body>| Response::new(Body::empty()))).await;
    server.client().await.get("/").await;
    let line = log.line().await;
    assert!(line.starts_with("- - - [") && line.ends_with(r#"] "GET / HTTP/1.1" 200 - "-" "-""#), "{line}");
}

#[tokio::test]
async fn json_has_an_object_in_each_line() {
    let log = Logged::new(&AccessLogOptions {
        format: AccessLogFormat::Json,
        additional_request_headers: vec![HeaderName::from_static("x-own"), HeaderName::from_static("x-none")],
        additional_response_headers: vec![HeaderName::from_static("x-answer")],
        ..AccessLogOptions::default()
    });
    let (_running, address) = start_on_tcp(log.around(to_ada)).await;
    let mut client = Client::tcp(address).await;
    client.exchange(REQUEST).await;
    client.get("/").await;
    let lines = log.lines(2).await;
    let mut line: Value = serde_json::from_str(&lines[0]).unwrap();
    let object = line.as_object_mut().unwrap();
    let time = object.remove("time").unwrap();
    assert!(has_form(time.as_str().unwrap(), "9999-99-99T99:99:99.999Z"), "{time}");
    assert!(object.remove("time_taken_ms").unwrap().is_f64());
    assert!(object.remove("server_name").unwrap().is_string());
    assert!(object.remove("request_id").unwrap().as_str().unwrap().ends_with(":00000001"));
    let expected = json!({
        "client_ip": "127.0.0.1", "server_ip": "127.0.0.1", "server_port": address.port(), "method": "GET",
        "path": "/a%20b", "query": "c=d+e", "status": 200, "response_bytes": 11, "request_bytes": 0,
        "protocol": "HTTP/1.1", "host": "shop.example:81", "user_agent": "curl/8 (x; \"y\")",
        "referer": "http://r/?q", "tls_version": null, "error_type": null,
        "request_headers": { "x-own": "one, two", "x-none": null }, "response_headers": { "x-answer": "4 2" },
    });
    assert_eq!(line, expected);
    let second: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(
        (&second["path"], &second["query"], &second["user_agent"]),
        (&json!("/"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn secrets_are_redacted_wherever_they_stand() {
    let names = ["authorization", "cookie", "proxy-authorization"].map(HeaderName::from_static);
    for format in [AccessLogFormat::W3c, AccessLogFormat::Json] {
        let log = Logged::new(&AccessLogOptions {
            format,
            additional_request_headers: names.to_vec(),
            additional_response_headers: vec![HeaderName::from_static("set-cookie")],
            redact_query: true,
            ..AccessLogOptions::default()
        });
        let app = async |_: Request<Body>| {
            Response::builder().header("set-cookie", "s3cret").body(Body::empty()).unwrap()
        };
        let server = Memory::start(log.around(app)).await;
        let secrets = "GET /p?key=s3cret HTTP/1.1\r\nHost: a\r\nAuthorization: s3cret\r\nCookie: s3cret\r\nCookie: s3cret\r\nProxy-Authorization: s3cret\r\nReferer: http://r/?s3cret\r\n\r\n";
        server.client().await.exchange(secrets).await;
        let line = log.line().await;
        assert!(!line.contains("s3cret"), "{line}");
        assert_eq!(line.matches("[redacted]").count(), 6, "{line}");
        assert!(line.contains("http://r/?[redacted]"), "{line}");
    }
    let log = Logged::new(&AccessLogOptions {
        format: AccessLogFormat::Combined,
        redact_query: true,
        ..AccessLogOptions::default()
    });
    let server = Memory::start(log.around(hello)).await;
    server.client().await.get("/p?s3cret").await;
    let line = log.line().await;
    assert!(line.contains(r#""GET /p?[redacted] HTTP/1.1""#), "{line}");
}

#[tokio::test]
async fn http2_names_the_authority_and_a_path_without_the_host() {
    let fields = [Field::ProtocolVersion, Field::Host, Field::UriStem, Field::UriQuery, Field::ResponseBytes];
    let log = Logged::of(&fields);
    let server = Memory::start(log.around(hello)).await;
    assert_eq!(server.http2().await.get("/x?y").await.status, 200);
    assert_eq!(log.line().await, "HTTP/2 a /x y 13");

    let log = Logged::format(AccessLogFormat::Common);
    let server = Memory::start(log.around(hello)).await;
    server.http2().await.get("/x?y").await;
    assert!(log.line().await.ends_with(r#""GET /x?y HTTP/2" 200 13"#));
}

#[tokio::test]
async fn targets_of_every_form_are_told() {
    for (target, expected) in [
        ("GET /", "GET / -"),
        ("GET /?", "GET / -"),
        ("GET /%41?%42", "GET /%41 %42"),
        ("GET http://a/b?c", "GET /b c"),
        ("OPTIONS *", "OPTIONS * -"),
        ("CONNECT a:80", "CONNECT a:80 -"),
        ("SE#ND /", "SE%23ND / -"),
    ] {
        let log = Logged::of(&[Field::Method, Field::UriStem, Field::UriQuery]);
        let server = Memory::start(log.around(async |_: Request<Body>| crate::support::status(404))).await;
        let host = if target.starts_with("CONNECT") { "a:80" } else { "a" };
        server.client().await.exchange(&format!("{target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(log.line().await, expected, "{target}");
    }
}

#[tokio::test]
async fn tls_is_told_by_its_version() {
    use crate::support::{
        Certificate, client_config, connect_tls, loopback, options, socket_address, soon, start,
    };

    let certificate = Certificate::new();
    let log = Logged::of(&[Field::TlsVersion, Field::ProtocolVersion]);
    let running = start(options([loopback().https(certificate.https())]), log.around(hello)).await;
    let address = socket_address(&running.addresses()[0]);
    let io = soon(tokio::net::TcpStream::connect(address)).await.unwrap();
    let io = connect_tls(io, client_config(&certificate, &["h2"])).await.unwrap();
    assert_eq!(Http2::over_tls(io).await.get("/").await.status, 200);
    assert_eq!(log.line().await, "TLSv1.3 HTTP/2");
}
