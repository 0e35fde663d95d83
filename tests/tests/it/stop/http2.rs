//! Connections with several requests.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_idle_http_2_connection_is_told_and_closes_at_once() {
    let server = Memory::start(hello).await;
    let client = server.http2().await;
    client.get("/").await;
    assert_eq!(ended(stop(server.running, LONG)).await, AT_ONCE);
    client.closed().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_http_2_peer_that_does_not_answer_delays_the_stop_by_a_second_at_most() {
    for has_asked in [false, true] {
        let server = Memory::start(hello).await;
        let mut client = server.client().await;
        client.send(PREFACE).await;
        if has_asked {
            let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
            client.send(frame(HEADERS, END, 1, &header_block(&fields))).await;
            client.frame_of(&[HEADERS]).await;
        }
        settle().await;
        let (stopped, after) = ended(stop(server.running, LONG)).await;
        assert_eq!(stopped, Stopped::Drained);
        assert!(after <= Duration::from_secs(1), "{after:?}");
        let goaway = client.frame_of(&[GOAWAY]).await;
        assert_eq!((goaway.error_code(), &goaway.payload[..4]), (0, &[0x7f, 0xff, 0xff, 0xff][..]));
        client.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_2_peer_that_only_sends_pings_does_not_delay_the_stop() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    settle().await;
    let stop = stop(server.running, LONG);
    // It never acknowledges the PING that comes with the goodbye.
    while client.try_send(frame(6, 0, 0, &[7; 8])).await.is_ok() {
        sleep(Duration::from_millis(300)).await;
    }
    let (stopped, after) = ended(stop).await;
    assert!(stopped == Stopped::Drained && after <= Duration::from_secs(2), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn http_2_streams_under_way_are_finished() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let (first, _) = client.send(Request::get("http://a/1").body(()).unwrap(), true).await;
    let (second, _) = client.send(Request::get("http://a/2").body(()).unwrap(), true).await;
    let (one, two) = (soon(calls.recv()).await.unwrap(), soon(calls.recv()).await.unwrap());
    let stop = stop(server.running, LONG);
    sleep(Duration::from_secs(600)).await;
    assert!(!stop.is_finished());
    one.answer(Response::new(Body::from("one")));
    assert_eq!(collect(first).await.unwrap().body, "one");
    sleep(Duration::from_secs(600)).await;
    two.answer(Response::new(Body::from("two")));
    assert_eq!(collect(second).await.unwrap().body, "two");
    assert_eq!(ended(stop).await, (Stopped::Drained, Duration::from_secs(1200)));
    client.closed().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_http_2_body_on_its_way_to_the_app_is_finished() {
    let server = Memory::start_with(without_rates, crate::support::count).await;
    let client = server.http2().await;
    let (response, mut body) = client.send(Request::post("http://a/").body(()).unwrap(), false).await;
    body.send_data(Bytes::from("abc"), false).unwrap();
    settle().await;
    let stop = stop(server.running, LONG);
    sleep(Duration::from_secs(600)).await;
    body.send_data(Bytes::from("def"), true).unwrap();
    assert_eq!(collect(response).await.unwrap().body, "6");
    assert_eq!(ended(stop).await, (Stopped::Drained, Duration::from_secs(600)));
}

#[tokio::test(start_paused = true)]
async fn an_extended_connect_is_waited_for_and_aborted_at_the_deadline() {
    for is_ended in [true, false] {
        let app = |request: Request<Body>| async move {
            let feature =
                request.features().get::<dyn server_abstractions::HttpExtendedConnectFeature>().unwrap();
            let stream = feature.accept().unwrap();
            tokio::spawn(async move { crate::upgrade::shout(stream.await.unwrap()).await });
            status(200)
        };
        let server = Memory::start(app).await;
        let client = server.http2().await;
        client.settled().await;
        let mut connect = Request::connect("http://a/").body(()).unwrap();
        connect.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, mut up) = client.send(connect, false).await;
        let mut down = soon(response).await.unwrap().into_body();
        let stop = stop(server.running, Duration::from_secs(600));
        sleep(Duration::from_secs(300)).await;
        up.send_data(Bytes::from("still here"), is_ended).unwrap();
        assert_eq!(soon(down.data()).await.unwrap().unwrap(), "STILL HERE");
        if is_ended {
            assert_eq!(soon(read_to_end(&mut down)).await.unwrap(), "");
            assert_eq!(ended(stop).await, (Stopped::Drained, Duration::from_secs(300)));
        } else {
            assert_eq!(ended(stop).await, (Stopped::Aborted, Duration::from_secs(600)));
            assert!(soon(down.data()).await.is_none_or(|data| data.is_err()));
        }
    }
}
