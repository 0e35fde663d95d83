//! A stop that is announced: for a while everything goes on, so that load balancers can learn of it; then it begins.

use std::time::Duration;

use futures_util::StreamExt;
use rustix::process::Signal;
use server_kestrel::{Kestrel, KestrelOptions};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::program::{Launch, Program, curl, curl_exit_code};
use crate::support::{Client, Http2, hello, loopback, options, socket_address, soon};

mod rolling;

/// What the program says when the stop is announced.
const ANNOUNCED: &str = "Application will shut down in";

/// The sample `features` with probes, and a delay that no test waits for.
fn launch() -> Launch {
    Launch::features().args(["--shutdownDelaySeconds", "60", "--Health:Enabled", "true"])
}

async fn announced(program: &mut Program) {
    program.signal(Signal::TERM);
    program.line(ANNOUNCED).await;
}

/// Whoever signals a second time does not want to wait.
async fn insisted(program: Program) -> crate::program::End {
    program.signal(Signal::TERM);
    let end = program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    end
}

#[tokio::test]
async fn requests_are_served_and_each_connection_ends_with_its_next_answer() {
    let mut program = launch().start().await;
    let mut kept = Client::tcp(program.address()).await;
    assert!(!kept.get("/plaintext").await.closes());
    assert_eq!(kept.get("/healthz/ready").await.status, 200);
    announced(&mut program).await;
    // Who was there before: the message may come a moment earlier than the announcement to each connection.
    let told = async {
        loop {
            let answer = kept.get("/plaintext").await;
            assert_eq!((answer.status, answer.text()), (200, "Hello, World!"));
            if answer.closes() {
                return kept.closed().await;
            }
        }
    };
    soon(told).await;
    // And who comes only now.
    let mut late = Client::tcp(program.address()).await;
    let answer = late.get("/plaintext").await;
    assert_eq!((answer.status, answer.text(), answer.closes()), (200, "Hello, World!", true));
    late.closed().await;
    let ready = Client::tcp(program.address()).await.get("/healthz/ready").await;
    assert_eq!((ready.status, ready.text()), (503, "Unhealthy\nthe application is about to stop"));
    assert_eq!(Client::tcp(program.address()).await.get("/healthz/live").await.status, 200);
    let address = program.address();
    let end = insisted(program).await;
    assert!(TcpStream::connect(address).await.is_err());
    let messages: Vec<_> = end.stdout.iter().filter(|line| line.contains("Application ")).collect();
    assert!(messages.iter().any(|line| line.contains(ANNOUNCED) && line.contains("60s")), "{messages:?}");
    assert!(messages.last().unwrap().contains("Application is shutting down..."), "{messages:?}");
}

#[tokio::test]
async fn over_http2_a_connection_is_told_at_once_and_new_ones_are_served() {
    let mut program = launch().start().await;
    let connect =
        async |program: &Program| Http2::new(TcpStream::connect(program.address()).await.unwrap()).await;
    let kept = connect(&program).await;
    assert_eq!(kept.get("/plaintext").await.status, 200);
    let requests = kept.requests.clone();
    let request = http::Request::get("http://a/delay/1500").body(()).unwrap();
    let (slow, _) = kept.send(request, true).await;
    kept.settled().await;
    announced(&mut program).await;
    // GOAWAY: nothing new is sent on it, and what is under way is answered.
    soon(async {
        while requests.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(crate::support::collect(slow).await.unwrap().status, 200);
    soon(kept.closed()).await.unwrap();
    for _ in 0..3 {
        let answer = curl(["--http2-prior-knowledge", &program.url("/plaintext")]).await;
        assert_eq!(answer.text(), "Hello, World!");
    }
    insisted(program).await;
}

#[tokio::test]
async fn what_has_no_end_goes_on_until_the_delay_is_over() {
    let mut program = launch().start().await;
    let mut events = Client::tcp(program.address()).await;
    events.send("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n").await;
    events.take_until("data: 0\n\n").await;
    let mut poll = Client::tcp(program.address()).await;
    poll.send("GET /poll/60000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let stream = TcpStream::connect(program.address()).await.unwrap();
    let url = format!("ws://{}/ws", program.address());
    let (mut socket, _) = soon(tokio_tungstenite::client_async(url, stream)).await.unwrap();
    announced(&mut program).await;
    // Whoever ended now would come back at once, to the instance that it should leave.
    events.take_until("data: 2\n\n").await;
    assert!(poll.is_silent().await);
    // Also what begins only now.
    let mut late = Client::tcp(program.address()).await;
    late.send("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n").await;
    late.take_until("data: 1\n\n").await;

    let insisting = Instant::now();
    program.signal(Signal::TERM);
    let Message::Close(Some(frame)) = soon(socket.next()).await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Away);
    let answer = poll.response().await;
    assert_eq!((answer.status, answer.closes()), (204, true));
    for stream in [&mut events, &mut late] {
        assert!(stream.rest().await.ends_with(b"0\r\n\r\n"));
    }
    assert!(soon(socket.next()).await.is_none_or(|end| end.is_err()));
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    // All of them end at once: nothing is waited for.
    assert!(insisting.elapsed() < Duration::from_secs(2), "{:?}", insisting.elapsed());
}

#[tokio::test]
async fn the_delay_ends_by_itself_and_comes_before_the_time_of_the_stop() {
    let program = Launch::features().env("ASPNETCORE_SHUTDOWNDELAYSECONDS", "2").start().await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET /delay/2500 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(client.response().await.status, 200);
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    let took = stopping.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn without_a_delay_nothing_is_announced() {
    let mut program = Launch::features().start().await;
    program.signal(Signal::TERM);
    program.line("Application is shutting down").await;
    let url = program.url("/");
    assert_eq!(curl_exit_code([url.as_str()]).await, 7, "connection refused");
    let end = program.end().await;
    assert!(!end.stdout.iter().any(|line| line.contains(ANNOUNCED)), "{end:?}");
}

#[tokio::test]
async fn a_second_ctrl_c_ends_a_delay_at_once() {
    let mut program = launch().start().await;
    program.signal(Signal::INT);
    program.line(ANNOUNCED).await;
    program.signal(Signal::INT);
    assert_eq!(program.end().await.code, Some(130));
}

#[tokio::test]
async fn a_delay_that_is_none_is_refused_with_its_key() {
    for value in ["soon", "-1", "1.5"] {
        let settings = format!(r#"{{ "shutdownDelaySeconds": "{value}" }}"#);
        let error = Launch::hello().file("appsettings.json", settings).fail().await;
        assert!(error.contains("shutdownDelaySeconds") && error.contains("appsettings.json:1:"), "{error}");
        assert!(error.contains("a whole number of seconds"), "{error}");
    }
}

#[tokio::test]
async fn connections_of_a_reload_after_the_announcement_end_with_their_answer_too() {
    let first = loopback();
    let (change, receiver) = watch::channel(options([first.clone()]));
    let running = soon(Kestrel::reloading(receiver).start(hello)).await.unwrap();
    let before = socket_address(&running.addresses()[0]);
    running.announce();
    soon(async { while !Client::tcp(before).await.get("/").await.closes() {} }).await;
    change.send_modify(|options: &mut KestrelOptions| {
        options.add_server_header = false;
        options.endpoints.push(loopback());
    });
    soon(async {
        while running.addresses().len() < 2 {
            tokio::task::yield_now().await
        }
    })
    .await;
    for address in running.addresses() {
        let answer = Client::tcp(socket_address(&address)).await.get("/").await;
        assert_eq!((answer.status, answer.closes(), answer.header("server")), (200, true, None), "{address}");
    }
    let stopping = Instant::now();
    running.stop(std::future::pending()).await;
    assert!(stopping.elapsed() < Duration::from_secs(2));
}
