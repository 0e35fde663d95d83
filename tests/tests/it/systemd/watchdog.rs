//! Pings come as long as the application lives, and no longer.

use super::*;

/// Pings are due each 200 ms.
const TIME: &str = "400000";

fn watched(supervisor: &Supervisor, launch: Launch) -> Launch {
    supervisor.watch(launch).env("WATCHDOG_USEC", TIME)
}

async fn pings(supervisor: &Supervisor, count: usize) {
    for _ in 0..count {
        assert_eq!(supervisor.next().await, ["WATCHDOG=1"]);
    }
}

#[tokio::test]
async fn pings_come_twice_in_the_time_and_during_the_stop() {
    let supervisor = Supervisor::new();
    let launch = Launch::features().args(["--shutdownDelaySeconds", "60"]);
    let mut program = watched(&supervisor, launch).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    pings(&supervisor, 1).await;
    let begun = Instant::now();
    pings(&supervisor, 5).await;
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    let mut slow = Client::tcp(program.address()).await;
    slow.send("GET /delay/60000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    program.signal(Signal::TERM);
    assert_eq!(supervisor.next_state().await[0], "STOPPING=1");
    pings(&supervisor, 3).await;
    // What is under way is waited for, and the accept loops have ended.
    program.signal(Signal::TERM);
    program.line("Application is shutting down").await;
    assert_eq!(supervisor.next_state().await[0], "STOPPING=1");
    pings(&supervisor, 5).await;
    assert!(!program.seen().iter().any(|line| line.contains("ERROR")), "{:?}", program.seen());
}

#[tokio::test]
async fn nobody_is_pinged_who_does_not_wait_for_this_process() {
    for (name, value) in [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "soon")] {
        let supervisor = Supervisor::new();
        let program = watched(&supervisor, Launch::hello()).env(name, value).start().await;
        assert_eq!(supervisor.next().await[0], "READY=1");
        assert!(supervisor.hears_nothing_for(Duration::from_millis(600)).await, "{name}={value}");
        let end = program.stop().await;
        let told = end.stdout.iter().filter(|line| line.contains("WATCHDOG_USEC is no number")).count();
        assert_eq!(told, usize::from(value == "soon"), "{end:?}");
    }
}

#[tokio::test]
async fn a_runtime_that_hangs_sends_no_pings() {
    let supervisor = Supervisor::new();
    let mut program = watched(&supervisor, Launch::of("watched-app")).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    pings(&supervisor, 2).await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").await;
    program.line("the thread hangs").await;
    supervisor.forget();
    assert!(supervisor.hears_nothing_for(Duration::from_secs(1)).await);
    // It turns again, and says so.
    assert_eq!(client.response().await.status, 200);
    pings(&supervisor, 3).await;
}

#[tokio::test]
async fn an_accept_loop_that_has_died_ends_the_pings() {
    let supervisor = Supervisor::new();
    let mut program = watched(&supervisor, Launch::of("watched-app")).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    let mut client = Client::tcp(program.address()).await;
    assert_eq!(client.get("/break").await.status, 200);
    // It still lives, until somebody connects.
    supervisor.forget();
    pings(&supervisor, 3).await;
    let _last = Client::tcp(program.address()).await;
    program.line("the server does not accept connections any more").await;
    supervisor.forget();
    assert!(supervisor.hears_nothing_for(Duration::from_secs(1)).await);
    // Those that were there are served.
    assert_eq!(client.get("/").await.status, 200);
    program.signal(Signal::TERM);
    assert_eq!(supervisor.next_state().await[0], "STOPPING=1");
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout.iter().filter(|line| line.contains("does not accept")).count(), 1, "{end:?}");
}
