//! What becomes of a connection to the process between two requests.

use super::*;

#[tokio::test]
async fn requests_one_after_the_other_have_one_connection() {
    let app = Scripted::start().await;
    let first = app.next_is_answered("the start").await;
    for _ in 0..10 {
        assert_eq!(app.answer("GET", &send(HELLO), "").await.unwrap().text(), "hello");
        assert_eq!(app.next_is_answered("a good answer").await, first);
    }
}

#[tokio::test]
async fn a_connection_that_has_ended_while_it_waited_fails_no_request() {
    let app = Scripted::start().await;
    for method in ["GET", "POST"] {
        for _ in 0..10 {
            let before = app.next_is_answered("the start").await;
            let script = format!("{}|close", send(HELLO));
            assert_eq!(app.answer(method, &script, "").await.unwrap().text(), "hello");
            assert_ne!(app.next_is_answered("an end").await, before);
        }
    }
}

#[tokio::test]
async fn a_body_is_sent_once_after_a_connection_that_has_ended() {
    let app = Scripted::start().await;
    let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (number, body) in ["Content-Length: 5\r\n\r\nabcde", chunks].into_iter().cycle().take(10).enumerate()
    {
        app.answer("GET", &format!("{}|close", send(HELLO)), "").await.unwrap();
        let answer = app.client().await.exchange(&format!("PUT /x HTTP/1.1\r\nHost: a\r\n{body}")).await;
        assert_eq!((answer.status, of(answer.text(), "length")), (200, "5"));
        assert_eq!((app.state("whole").await, app.state("broken").await), (number + 1, 0));
    }
}

#[tokio::test]
async fn what_nobody_has_asked_for_is_nobodys_answer() {
    let app = Scripted::start().await;
    let again = format!("{HELLO}{STRAY}");
    let chunks =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{STRAY}");
    let late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    for script in [
        send(&again),
        send(&chunks),
        send(&format!("{HELLO}\r\n")),
        send(&format!("{HELLO}x")),
        send(&format!("{HELLO}HTTP/1.1 200 OK\r\n")),
        send(&format!("{HELLO}HTTP/1.1 100 Continue\r\n\r\n")),
        format!("{}|wait 20|{}", send(HELLO), send(STRAY)),
        format!("{}|wait 20|{}", send(HELLO), send("HTTP/1.1 103 Early Hints\r\n\r\n")),
        format!("{}|wait 20|{}|close", send(HELLO), send(late)),
        format!("{}|wait 20|{}|close", send(HELLO), send(STRAY)),
    ] {
        app.comes("GET", &script, Comes::Whole(200, "hello")).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_is_not_tried_again() {
    let app = Scripted::start().await;
    for (number, script) in
        ["read|close".to_owned(), format!("read|{}|close", send("HTTP/1.1 200 OK\r\nCont"))]
            .iter()
            .enumerate()
    {
        let before = app.state("whole").await;
        let mut client = app.client().await;
        client.send(request("POST", script, "Content-Length: 5\r\n")).await;
        client.send("abcde").await;
        assert_eq!(client.response().await.status, 502, "{script}");
        app.script_has_ended().await;
        // The process had it once.
        assert_eq!(app.state("whole").await, before + 1, "{script}");
        assert_eq!(app.state("scripts").await, number + 1);
        app.next_is_answered(script).await;
        // The content of that was one more.
        app.state_is("whole", before + 2).await;
    }
}

#[tokio::test]
async fn many_clients_at_once_get_their_own_answers() {
    let app = Scripted::start_on_all(&json!({})).await;
    let strange = [
        send(HELLO),
        send(&format!("{HELLO}{STRAY}")),
        format!("{}|close", send(HELLO)),
        send("HTTP/1.1 204 No Content\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx"),
    ];
    let clients = (0..20).map(|number: usize| {
        let (app, strange) = (&app, &strange);
        async move {
            let mut own = app.client().await;
            for round in 0..20 {
                let mut other = app.client().await;
                other.send(request("GET", &strange[(number + round) % strange.len()], "")).await;
                let _ = other.try_response().await;
                let path = format!("/own/{number}/{round}");
                let answer = own.get(&path).await;
                // A connection may end just when the request goes out, but nobody gets what is not theirs.
                let is_own = answer.status == 200 && answer.text().contains(&format!("GET {path} HTTP/1.1"));
                assert!(is_own || answer.status == 502, "{path}: {answer:?}");
            }
        }
    });
    within(Duration::from_secs(40), futures_util::future::join_all(clients)).await;
}

#[tokio::test]
async fn a_target_begins_with_a_slash() {
    let app = Scripted::start().await;
    for (target, expected) in [
        ("/", "/"),
        ("/a?b=c", "/a?b=c"),
        ("/?b", "/?b"),
        ("http://shop.example", "/"),
        ("http://shop.example/a?b", "/a?b"),
        ("http://shop.example?b=/../c", "/?b=/../c"),
    ] {
        let mut client = app.client().await;
        let answer = client.exchange(&format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n")).await;
        let line = format!("\nGET {expected} HTTP/1.1\n");
        assert!(answer.status == 200 && answer.text().contains(&line), "{target}: {answer:?}");
    }
}
