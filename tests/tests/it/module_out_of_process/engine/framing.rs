//! Where an answer ends (RFC 9112, sections 2 to 7).

use super::*;

use Comes::{Broken, Whole};

const HELLO_CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

/// Answers of these, each a head without its first line, and what comes of it.
async fn all_come(app: &Scripted, answers: &[(&str, Comes)]) {
    for (answer, comes) in answers {
        app.comes("GET", &send(&format!("HTTP/1.1 200 OK\r\n{answer}")), *comes).await;
    }
}

#[tokio::test]
async fn lengths_are_numbers_and_one_number() {
    let app = Scripted::start().await;
    let answers = [
        ("Content-Length: 0\r\n\r\n", Whole(200, "")),
        ("Content-Length: 5\r\n\r\nhello", Whole(200, "hello")),
        ("Content-Length:5\r\n\r\nhello", Whole(200, "hello")),
        ("Content-Length: \t005 \r\n\r\nhello", Whole(200, "hello")),
        ("Content-Length: 5, 5\r\n\r\nhello", Whole(200, "hello")),
        ("Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", Whole(200, "hello")),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", Broken),
        ("Content-Length: 5, 6\r\n\r\nhello!", Broken),
        ("Content-Length: 5,\r\n\r\nhello", Broken),
        ("Content-Length:\r\n\r\nhello", Broken),
        ("Content-Length: +5\r\n\r\nhello", Broken),
        ("Content-Length: -5\r\n\r\nhello", Broken),
        ("Content-Length: 5 5\r\n\r\nhello", Broken),
        ("Content-Length: 0x5\r\n\r\nhello", Broken),
        ("Content-Length: 5.0\r\n\r\nhello", Broken),
        ("Content-Length: \u{665}\r\n\r\nhello", Broken),
        ("Content-Length: 18446744073709551616\r\n\r\nhello", Broken),
    ];
    all_come(&app, &answers).await;
}

#[tokio::test]
async fn an_answer_shorter_than_its_length_breaks_off() {
    let app = Scripted::start().await;
    for answer in [
        "Content-Length: 6\r\n\r\nhello",
        "Content-Length: 18446744073709551615\r\n\r\nhello",
        "Content-Length: 9223372036854775808\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5",
        "Transfer-Encoding: chunked\r\n\r\n6\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n",
    ] {
        let script = format!("{}|close", send(&format!("HTTP/1.1 200 OK\r\n{answer}")));
        app.comes("GET", &script, Broken).await;
    }
}

#[tokio::test]
async fn the_only_coding_is_chunks() {
    let app = Scripted::start().await;
    let with = |coding: &str| format!("HTTP/1.1 200 OK\r\n{coding}\r\n\r\n{HELLO_CHUNKS}");
    for coding in
        ["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED ", "Transfer-Encoding: \tchunked\t"]
    {
        app.comes("GET", &send(&with(coding)), Whole(200, "hello")).await;
    }
    for coding in [
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\r\n : chunked",
    ] {
        app.comes("GET", &send(&with(coding)), Broken).await;
    }
}

#[tokio::test]
async fn an_answer_with_both_framings_is_the_last_of_its_connection() {
    let app = Scripted::start().await;
    let both = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
    ];
    let of_old = ["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"];
    let both = both.map(|fields| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
    for head in both.iter().map(String::as_str).chain(of_old) {
        let script = send(&format!("{head}{HELLO_CHUNKS}"));
        app.comes("GET", &script, Whole(200, "hello")).await;
        let before = app.next_is_answered(head).await;
        app.answer("GET", &script, "").await.unwrap();
        assert_ne!(app.next_is_answered(head).await, before, "{head}");
    }
}

#[tokio::test]
async fn sizes_of_chunks_are_hexadecimal_and_nothing_else() {
    let app = Scripted::start().await;
    let with = |size: &str| send(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}"));
    let tens = "0123456789";
    for (size, content) in [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n0\r\n\r\n", tens),
        ("a\r\n0123456789\r\n000\r\n\r\n", tens),
        ("0000000000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        ("5;name=value\r\nhello\r\n0;last\r\n\r\n", "hello"),
        ("5 ; name=\"a;b\"\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("0\r\n\r\n", ""),
    ] {
        app.comes("GET", &with(size), Whole(200, content)).await;
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000));
    for size in [
        "\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5g\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\r\nno field\r\n\r\n",
        &long,
    ] {
        app.comes("GET", &with(size), Broken).await;
    }
}

#[tokio::test]
async fn answers_without_content_end_with_their_heads() {
    let app = Scripted::start().await;
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("HEAD", 204)] {
        for fields in ["Content-Length: 5", "Transfer-Encoding: chunked", "x-none: 1"] {
            let head = format!("HTTP/1.1 {status} X\r\n{fields}\r\n\r\n");
            app.comes(method, &send(&head), Whole(status, "")).await;
            // What comes all the same is nobody's.
            app.comes(method, &send(&(head + STRAY)), Whole(status, "")).await;
        }
    }
    app.comes("GET", &send("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"), Whole(205, "")).await;
}

#[tokio::test]
async fn an_answer_of_unknown_length_ends_with_the_connection() {
    let app = Scripted::start().await;
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
    ] {
        for content in ["hello", "", HELLO] {
            let script = format!("{}|close", send(&format!("{head}{content}")));
            app.comes("GET", &script, Whole(200, content)).await;
        }
    }
}

#[tokio::test]
async fn a_connection_goes_on_when_both_sides_want_it() {
    let app = Scripted::start().await;
    for (line, connection, is_kept) in [
        ("HTTP/1.1 200 OK", "x-none: 1", true),
        ("HTTP/1.1 200 OK", "Connection: Keep-Alive", true),
        ("HTTP/1.1 200 OK", "Connection: CLOSE", false),
        ("HTTP/1.1 200 OK", "Connection: x-a,close", false),
        ("HTTP/1.1 200 OK", "Connection: keep-alive\r\nConnection: close", false),
        ("HTTP/1.1 200 OK", "Connection: closes", true),
        ("HTTP/1.0 200 OK", "x-none: 1", false),
        ("HTTP/1.0 200 OK", "Connection: x-a , keep-alive", true),
        ("HTTP/1.0 200 OK", "Connection: keep-alive, close", false),
    ] {
        let about = format!("{line} {connection}");
        let before = app.next_is_answered(&about).await;
        let script = send(&format!("{line}\r\n{connection}\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(app.answer("GET", &script, "").await.unwrap().text(), "hello", "{about}");
        assert_eq!(app.next_is_answered(&about).await == before, is_kept, "{about}");
    }
}

#[tokio::test]
async fn steps_on_the_way_are_no_answers() {
    let app = Scripted::start().await;
    for steps in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nConnection: x\r\nx: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 199 X\r\n\r\nHTTP/1.1 199 X\r\n\r\nHTTP/1.1 199 X\r\n\r\n",
    ] {
        app.comes("GET", &send(&format!("{steps}{HELLO}")), Whole(200, "hello")).await;
        let length = "Content-Length: 3\r\nExpect: 100-continue\r\n";
        let script = format!("{}|read|{}", send(steps), send(HELLO));
        let mut client = app.client().await;
        client.send(request("POST", &script, length)).await;
        client.send("abc").await;
        assert_eq!(last(&mut client).await.unwrap().text(), "hello", "{steps}");
        app.script_has_ended().await;
        app.next_is_answered(steps).await;
    }
    // Nobody has asked for another protocol.
    let other = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    app.comes("GET", &send(&format!("{other}{HELLO}")), Broken).await;
}

#[tokio::test]
async fn heads_are_those_of_http_1() {
    let app = Scripted::start().await;
    let end = "Content-Length: 5\r\n\r\nhello";
    for head in [
        format!("HTTP/1.1 200\r\n{end}"),
        format!("HTTP/1.1 200 \r\n{end}"),
        format!("HTTP/1.1 200 all is well\r\n{end}"),
        format!("\r\n\r\nHTTP/1.1 200 OK\r\n{end}"),
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello".to_owned(),
        format!("HTTP/1.1 200 OK\r\nx-empty:\r\nx-blank: \t \r\n{end}"),
        format!("HTTP/1.1 200 OK\r\nx-text: b\u{fc}cher\r\n{end}"),
    ] {
        app.comes("GET", &send(&head), Whole(200, "hello")).await;
    }
    for head in [
        format!("HTTP/1.1 200 OK\r\nx-fold: a\r\n b\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\n x: a\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\nx y: a\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\nx : a\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\n: a\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\nno field\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\nx: a\0b\r\n{end}"),
        format!("HTTP/1.1 200 OK\r\nx: a\rb\r\n{end}"),
        format!("HTTP/1.1 200 O\rK\r\n{end}"),
        format!("HTTP/2.0 200 OK\r\n{end}"),
        format!("HTTP/1.1 099 OK\r\n{end}"),
        format!("HTTP/1.1 20 OK\r\n{end}"),
        format!("HTTP/1.1 2000 OK\r\n{end}"),
        format!("HTTP/1.1 +20 OK\r\n{end}"),
        format!("HTTP/1.1  200 OK\r\n{end}"),
        format!("ICY 200 OK\r\n{end}"),
        format!("hello\r\nHTTP/1.1 200 OK\r\n{end}"),
        format!("GET / HTTP/1.1\r\n{end}"),
    ] {
        app.comes("GET", &send(&head), Broken).await;
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_not_kept() {
    let app = Scripted::start().await;
    for piece in ["x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", "a"] {
        let script = format!("{}|repeat 200000 {}", send("HTTP/1.1 200 OK\r\nx: "), escaped(piece));
        let answer = app.answer("GET", &script, "").await;
        assert_eq!(answer.unwrap().status, 502);
        app.next_is_answered(piece).await;
    }
    // Trailers have no end either.
    let head = send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    let answer = app.answer("GET", &format!("{head}|repeat 200000 {}", escaped("x: a\r\n")), "").await;
    assert!(answer.is_err_and(|_| true));
    app.next_is_answered("trailers without an end").await;
}
