//! Connections that are no longer HTTP.

use server_abstractions::ServerDrainFeature;

use super::*;

async fn upgraded(server: &Memory) -> Client {
    let mut client = server.client().await;
    assert_eq!(client.exchange(UPGRADE).await.status, 101);
    client
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_waited_for() {
    for server in [Memory::start(by_feature).await, Memory::start(by_hyper).await] {
        let mut client = upgraded(&server).await;
        let drain = server.running.features().get::<dyn ServerDrainFeature>().unwrap();
        let stop = stop(server.running, LONG);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(drain.requests_left(), 1);
        client.send("still here").await;
        assert_eq!(client.take(10).await, "STILL HERE");
        assert!(!stop.is_finished());
        client.finish_sending().await;
        client.closed().await;
        assert_eq!(ended(stop).await, (Stopped::Drained, Duration::from_secs(600)));
        assert_eq!(drain.requests_left(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_aborted_at_the_deadline() {
    for server in [Memory::start(by_feature).await, Memory::start(by_hyper).await] {
        let mut client = upgraded(&server).await;
        let stop = stop(server.running, Duration::from_secs(5));
        assert_eq!(ended(stop).await, (Stopped::Aborted, Duration::from_secs(5)));
        client.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_hears_that_the_server_stops() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let stopping = request.features().get::<dyn ConnectionLifetimeFeature>().unwrap().stopping();
        let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade().unwrap();
        tokio::spawn(async move {
            let mut io = upgrade.await.unwrap();
            stopping.cancelled().await;
            io.write_all(b"goodbye").await.unwrap();
            io.shutdown().await.unwrap();
        });
        switching()
    }
    let server = Memory::start(app).await;
    let mut client = upgraded(&server).await;
    let stop = stop(server.running, LONG);
    assert_eq!(client.rest().await, "goodbye");
    assert_eq!(ended(stop).await, AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_whose_app_writes_to_nobody_is_aborted_at_the_deadline() {
    let (send, mut ended_with) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade().unwrap();
        let send = send.clone();
        tokio::spawn(async move {
            let mut io = upgrade.await.unwrap();
            let mut written = Ok(());
            while written.is_ok() {
                written = io.write_all(&[0; 10_000]).await;
            }
            let _ = send.send((written.unwrap_err().kind(), io.read(&mut [0]).await.is_err()));
        });
        async { switching() }
    })
    .await;
    let _client = upgraded(&server).await;
    settle().await;
    let stop = stop(server.running, Duration::from_secs(5));
    assert_eq!(ended(stop).await, (Stopped::Aborted, Duration::from_secs(5)));
    let ended_with = soon(ended_with.recv()).await.unwrap();
    assert_eq!(ended_with, (std::io::ErrorKind::ConnectionAborted, true));
}

/// Flushes for a while, then writes more than anybody takes.
async fn flush_and_write(mut io: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    for _ in 0..100 {
        io.flush().await?;
        sleep(Duration::from_millis(100)).await;
    }
    io.write_all(&[0; 1_000_000]).await
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_was_answered_late_and_is_split_reads_while_it_is_flushed_and_hears_the_abort() {
    let (send, mut reads) = mpsc::unbounded_channel();
    let (send_write, mut written) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade().unwrap();
        let (send, send_write) = (send.clone(), send_write.clone());
        tokio::spawn(async move {
            let (mut reader, writer) = tokio::io::split(upgrade.await.unwrap());
            let writing = tokio::spawn(flush_and_write(writer));
            for _ in 0..3 {
                let mut message = [0; 5];
                send.send(reader.read_exact(&mut message).await.map(|_| message)).unwrap_or_default();
            }
            send_write.send(writing.await.unwrap()).unwrap_or_default();
        });
        async {
            sleep(Duration::from_millis(1500)).await;
            switching()
        }
    })
    .await;
    let mut client = upgraded(&server).await;
    for message in [b"one..", b"two.."] {
        sleep(Duration::from_secs(2)).await;
        client.send(message).await;
        assert_eq!(soon(reads.recv()).await.unwrap().unwrap(), *message);
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(ended(stop(server.running, LONG)).await, (Stopped::Aborted, LONG));
    assert!(soon(reads.recv()).await.unwrap().is_err());
    assert!(soon(written.recv()).await.unwrap().is_err());
}
