//! PINGs of the server, and connections that are idle.

use server_kestrel::KestrelOptions;

use super::*;

fn ping_every_10_seconds(options: &mut KestrelOptions) {
    options.limits.http2.keep_alive_ping_delay = Some(Duration::from_secs(10));
    options.limits.http2.keep_alive_ping_timeout = Duration::from_secs(3);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_ping_is_given_up() {
    let server = Memory::start_with(ping_every_10_seconds, hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let before = Instant::now();
    let ping = within(DAY, client.frame_whenever(&[PING])).await;
    assert_eq!((ping.stream, ping.payload.len(), before.elapsed().as_secs()), (0, 8, 10));
    let before = Instant::now();
    within(DAY, client.rest_whenever()).await;
    assert!((3..=4).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_is_kept_as_long_as_a_stream_is_open() {
    let (app, mut calls) = manual();
    let server = Memory::start_with(ping_every_10_seconds, app).await;
    let client = server.http2().await;
    let (response, _) = client.send(Request::get("http://a/").body(()).unwrap(), true).await;
    let call = soon(calls.recv()).await.unwrap();
    sleep(DAY).await;
    call.answer(status(204));
    assert_eq!(soon(response).await.unwrap().status(), 204);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_and_asks_for_nothing_is_idle() {
    let server = Memory::start_with(ping_every_10_seconds, hello).await;
    let client = server.http2().await;
    client.get("/").await;
    let before = Instant::now();
    within(DAY, client.connection).await.unwrap().unwrap();
    assert!((130..=131).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_there_are_no_pings() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    // The first thing that the server says after its settings is that the connection is idle.
    assert_eq!(within(DAY, client.frame_whenever(&[PING, GOAWAY])).await.kind, GOAWAY);
}
