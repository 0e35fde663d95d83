//! Content on its way through the module, both ways, and what becomes of it when one side does not go on.

use super::*;

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// In chunks of these lengths, over and over.
fn in_chunks(mut data: &[u8], lengths: &[usize]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for length in lengths.iter().cycle() {
        if data.is_empty() {
            break;
        }
        let (piece, rest) = data.split_at(data.len().min(*length));
        chunks.extend(chunk(piece));
        data = rest;
    }
    [&chunks[..], b"0\r\n\r\n"].concat()
}

fn sum(data: &[u8]) -> String {
    data.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte))).to_string()
}

#[tokio::test]
async fn bodies_in_odd_pieces_arrive_as_they_are() {
    let app = Scripted::start().await;
    let data = data(60_000);
    let head = "POST /x HTTP/1.1\r\nHost: a\r\n";
    for lengths in [&[1, 2, 3, 4095, 4096, 4097][..], &[60_000], &[7], &[16_384, 1]] {
        let mut client = app.client().await;
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
        for piece in in_chunks(&data, lengths).chunks(1003) {
            client.send(piece).await;
        }
        let answer = client.response().await;
        assert_eq!((of(answer.text(), "length"), of(answer.text(), "sum")), ("60000", &*sum(&data)));
    }
    for size in [1, 17, 4096, 4097, 60_000] {
        let mut client = app.client().await;
        client.send(format!("{head}Content-Length: {}\r\n\r\n", data.len())).await;
        for piece in data.chunks(size.max(100)) {
            client.send(piece).await;
        }
        let answer = client.response().await;
        assert_eq!((of(answer.text(), "length"), of(answer.text(), "sum")), ("60000", &*sum(&data)));
        let fields = format!("x-piece: {size}\r\nContent-Length: {}\r\n", data.len());
        client.send(request("POST", "echo", &fields)).await;
        client.send(&data).await;
        assert!(client.response().await.body == data, "{size}");
    }
}

#[tokio::test]
async fn ten_megabytes_in_chunks_go_both_ways_at_once() {
    let app = Scripted::start().await;
    for lengths in [&[65_536][..], &[1000, 4096, 4097, 100_000]] {
        let data = data(10 << 20);
        let stream = TcpStream::connect(("127.0.0.1", app.module.port)).await.unwrap();
        let (read, mut write) = tokio::io::split(stream);
        let sent = [
            request("POST", "echo", "Transfer-Encoding: chunked\r\n").into_bytes(),
            in_chunks(&data, lengths),
        ];
        let sending = async move {
            write.write_all(&sent.concat()).await.unwrap();
            write
        };
        let mut client = Client::new(tokio::io::join(read, tokio::io::sink()));
        let both = async { tokio::join!(sending, client.response_whenever()) };
        let (_write, answer) = within(Duration::from_secs(40), both).await;
        assert!(answer.status == 200 && answer.body == data, "{} bytes", answer.body.len());
        app.next_is_answered("an echo").await;
    }
}

#[tokio::test]
async fn an_early_answer_to_a_large_upload_arrives() {
    let app = Scripted::start().await;
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnever";
    let closing = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 5\r\n\r\nnever";
    let chunks = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nnever\r\n0\r\n\r\n";
    let upload = vec![b'u'; 20 << 20];
    for script in [
        format!("{}|close", send(refusal)),
        format!("{}|close", send(closing)),
        format!("{}|read", send(refusal)),
        format!("{}|read", send(chunks)),
        format!(
            "{}|wait 50|{}|read",
            send("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\n"),
            "send never"
        ),
    ] {
        let stream = TcpStream::connect(("127.0.0.1", app.module.port)).await.unwrap();
        let (read, mut write) = tokio::io::split(stream);
        let head = request("POST", &script, &format!("Content-Length: {}\r\n", upload.len()));
        let mut client = Client::new(tokio::io::join(read, tokio::io::sink()));
        let sending = async {
            write.write_all(head.as_bytes()).await.unwrap();
            // The module may well not want all of it.
            let _ = write.write_all(&upload).await;
        };
        let receiving = async {
            let answer = last(&mut client).await.unwrap();
            assert_eq!((answer.status, answer.text()), (403, "never"), "{script}");
        };
        // It comes whether or not the upload goes on.
        tokio::select! {
            () = receiving => {}
            () = async { sending.await; std::future::pending().await } => {}
        }
        drop((write, client));
        app.script_has_ended().await;
        app.next_is_answered(&script).await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_whole() {
    let app = Scripted::start().await;
    let chunks = "Transfer-Encoding: chunked\r\n\r\n";
    for (number, body) in [
        "Content-Length: 10\r\n\r\n".to_owned(),
        "Content-Length: 10\r\n\r\nabc".to_owned(),
        chunks.to_owned(),
        format!("{chunks}3\r\nabc\r\n"),
        format!("{chunks}5\r\nabc"),
        format!("{chunks}3\r\nabc\r\n0\r\n"),
        format!("{chunks}3\r\nabc\r\nnot hexadecimal\r\n"),
        format!("{chunks}not hexadecimal\r\n"),
        format!("{chunks}3\r\nabcde\r\n0\r\n\r\n"),
    ]
    .iter()
    .enumerate()
    {
        // Not the first request of its connection.
        app.next_is_answered("the start").await;
        let mut client = app.client().await;
        client.send(format!("POST /broken HTTP/1.1\r\nHost: a\r\n{body}")).await;
        client.finish_sending().await;
        let _ = client.try_response().await;
        drop(client);
        app.next_is_answered(body).await;
        let broken = app.state("broken").await;
        assert!(broken <= number + 1, "{body:?}");
        assert_eq!(app.state("whole").await, 2 * (number + 1), "{body:?}");
    }
}

#[tokio::test]
async fn an_upload_that_http2_takes_back_is_never_taken_for_whole() {
    let app = Scripted::start().await;
    let stream = TcpStream::connect(("127.0.0.1", app.module.port)).await.unwrap();
    let client = Http2::new(stream).await;
    client.settled().await;
    for number in 1..=20 {
        app.next_is_answered("the start").await;
        let request = http::Request::builder().method("PUT").uri("http://shop.example/x").body(()).unwrap();
        let (response, mut up) = client.send(request, false).await;
        up.send_reset(h2::Reason::CANCEL);
        assert!(soon(response).await.is_err());
        client.settled().await;
        assert_eq!(app.state("whole").await, number);
    }
    app.next_is_answered("uploads that were taken back").await;
}

#[tokio::test]
async fn an_answer_that_streams_does_not_gather_the_upload_that_nobody_reads() {
    const MOST: usize = 100 << 20;
    let app = Scripted::start_with(&json!({ "MaxAllowedContentLength": 1_000_000_000 })).await;
    let head = send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    // An end of the connection would take along what was not read of the answer.
    let script = format!("{head}|repeat 30000 {}|{}|wait 60000", escaped("1\r\na\r\n"), send("0\r\n\r\n"));
    let stream = TcpStream::connect(("127.0.0.1", app.module.port)).await.unwrap();
    let (read, mut write) = tokio::io::split(stream);
    let mut client = Client::new(tokio::io::join(read, tokio::io::sink()));
    let sent = AtomicUsize::new(0);
    let sending = async {
        let head = request("POST", &script, "x-piece: 6\r\nTransfer-Encoding: chunked\r\n");
        write.write_all(head.as_bytes()).await.unwrap();
        let chunks = chunk(&[b'u'; 4096]).repeat(16);
        while sent.load(Ordering::Relaxed) < MOST && write.write_all(&chunks).await.is_ok() {
            sent.fetch_add(chunks.len(), Ordering::Relaxed);
        }
        std::future::pending().await
    };
    let receiving = within(Duration::from_secs(50), client.try_response_whenever());
    let answer = tokio::select! {
        answer = receiving => answer,
        () = sending => unreachable!("it waits for ever"),
    };
    // Sockets take some of it, the module a few pieces.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 40 << 20, "{sent} bytes were taken");
    assert_eq!(answer.unwrap().body.len(), 30_000);
}

#[tokio::test]
async fn trailers_go_both_ways_and_do_not_speak_for_anybody() {
    let app = Scripted::start().await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, connection\r\n\r\n";
    let trailers = "0\r\nx-sum: 1\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\nConnection: close\r\nKeep-Alive: 1\r\nSet-Cookie: a=b\r\n\r\n";
    let mut client = app.client().await;
    client
        .send(request("GET", &send(&format!("{answer}5\r\nhello\r\n{trailers}")), "TE: trailers\r\n"))
        .await;
    let answer = client.response().await;
    assert_eq!(answer.text(), "hello");
    let names: Vec<_> = answer.trailers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-sum"]);
    let trailers =
        "x-sum: 2\r\nms-aspnetcore-clientcert: x\r\nx-forwarded-for: 8.8.8.8\r\nhost: b\r\nx-other: 1";
    let named = "x-sum, ms-aspnetcore-clientcert, x-forwarded-for, host";
    let fields = format!("Host: a\r\nTransfer-Encoding: chunked\r\nTrailer: {named}");
    let request = format!("POST /x HTTP/1.1\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n{trailers}\r\n\r\n");
    let answer = client.exchange(&request).await;
    let trailers: Vec<_> = answer.text().lines().filter(|line| line.starts_with("trailer ")).collect();
    assert_eq!(trailers, ["trailer x-sum: 2"]);
}
