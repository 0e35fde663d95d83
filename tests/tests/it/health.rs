//! What probes are answered, by the layer alone, in an application and under `axum::serve`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hosting::{
    App, ApplicationBuilder, Body, CancellationToken, HealthCheckOptions, HealthChecks, HealthLayer,
    HealthOptions, HealthStatus, Method, Request, Response,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::layers::Captured;
use crate::support::{Client, hello, soon};

mod hosted;

fn app_with(options: HealthOptions, checks: &HealthChecks, stopping: &CancellationToken) -> App {
    let health = HealthLayer::new(options, checks, stopping.clone()).unwrap();
    ApplicationBuilder::new().layer(health).build(hello)
}

fn detailed() -> HealthOptions {
    HealthOptions { details: true, ..HealthOptions::default() }
}

fn app(checks: &HealthChecks) -> App {
    app_with(detailed(), checks, &CancellationToken::new())
}

async fn send(app: &App, method: Method, path: &str, accept: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header("accept", accept);
    app.handle(request.body(Body::empty()).unwrap()).await
}

/// Status and text.
async fn ask(app: &App, path: &str) -> (u16, String) {
    let response = send(app, Method::GET, path, "*/*").await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn ready(app: &App) -> (u16, String) {
    ask(app, "/healthz/ready").await
}

async fn ready_json(app: &App) -> Value {
    let response = send(app, Method::GET, "/healthz/ready", "application/json").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn live_only() -> HealthCheckOptions {
    HealthCheckOptions { live: true, ready: false, ..HealthCheckOptions::default() }
}

#[tokio::test]
async fn an_application_that_answers_is_well() {
    let app = app(&HealthChecks::new());
    for path in ["/healthz/live", "/healthz/ready"] {
        assert_eq!(ask(&app, path).await, (200, "Healthy".to_owned()));
        let response = send(&app, Method::GET, path, "*/*").await;
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-store, no-cache");
        assert_eq!(response.headers()["vary"], "accept");
        for method in [Method::HEAD, Method::OPTIONS] {
            assert_eq!(send(&app, method, path, "*/*").await.status(), 200);
        }
        let refused = send(&app, Method::POST, path, "*/*").await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &"GET, HEAD, OPTIONS".parse().unwrap())
        );
    }
    // Whole paths only; everything else is the application's.
    for path in ["/healthz/ready/", "/healthz", "/healthz/READY", "/"] {
        assert_eq!(ask(&app, path).await.1, "Hello, World!", "{path}");
    }
    assert_eq!(ask(&app, "/healthz/ready?x=1").await.1, "Healthy");
}

#[tokio::test]
async fn a_check_that_fails_names_itself_and_its_error() {
    let checks = HealthChecks::new()
        .check("database", async || {
            let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
            Err(Box::new(refused) as hosting::BoxError)
        })
        .check("queue", async || Ok(()));
    let app = app(&checks);
    assert_eq!(
        ready(&app).await,
        (503, "Unhealthy\ndatabase: Unhealthy, connection refused\nqueue: Healthy".to_owned())
    );
    let document = ready_json(&app).await;
    assert_eq!(document["status"], "Unhealthy");
    assert_eq!(document["checks"]["database"]["error"], "connection refused");
    assert_eq!(document["checks"]["queue"]["status"], "Healthy");
    // It is for the readiness.
    assert_eq!(ask(&app, "/healthz/live").await, (200, "Healthy".to_owned()));

    // Unless that is wanted, nobody learns more than names.
    let app = app_with(HealthOptions::default(), &checks, &CancellationToken::new());
    assert_eq!(ready(&app).await, (503, "Unhealthy".to_owned()));
    let status = |status: &str| json!({ "status": status });
    let names = json!({ "database": status("Unhealthy"), "queue": status("Healthy") });
    assert_eq!(ready_json(&app).await, json!({ "status": "Unhealthy", "checks": names }));
}

#[tokio::test]
async fn a_degraded_application_is_ready() {
    let degraded =
        HealthCheckOptions { failure_status: HealthStatus::Degraded, ..HealthCheckOptions::default() };
    let checks = HealthChecks::new().check_with("cache", degraded, async || Err("cold".into())).check_with(
        "disk",
        live_only(),
        async || Err("broken".into()),
    );
    let app = app(&checks);
    assert_eq!(ready(&app).await, (200, "Degraded\ncache: Degraded, cold".to_owned()));
    assert_eq!(ask(&app, "/healthz/live").await, (503, "Unhealthy\ndisk: Unhealthy, broken".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn checks_run_side_by_side_under_their_timeouts() {
    let short = HealthCheckOptions { timeout: Some(Duration::from_secs(2)), ..HealthCheckOptions::default() };
    let second = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    };
    let checks = HealthChecks::new()
        .check("one", second)
        .check("two", second)
        .check_with("hangs", short, async || std::future::pending().await)
        .check("hangs too", async || std::future::pending().await);
    let app = app(&checks);
    let begun = Instant::now();
    let (status, text) = ready(&app).await;
    assert_eq!(status, 503);
    let expected = "Unhealthy\none: Healthy\ntwo: Healthy\nhangs: Unhealthy, it did not answer within 2s\n\
                    hangs too: Unhealthy, it did not answer within 5s";
    assert_eq!(text, expected);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_check_that_panics_is_named_and_the_others_go_on() {
    let checks =
        HealthChecks::new().check("clumsy", async || panic!("on purpose")).check("calm", async || Ok(()));
    let app = app(&checks);
    for _ in 0..2 {
        assert_eq!(
            ready(&app).await,
            (503, "Unhealthy\nclumsy: Unhealthy, it panicked: on purpose\ncalm: Healthy".to_owned())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_that_blocks_its_thread_is_not_begun_again() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let (blocked, begun) = (Arc::new(std::sync::Mutex::new(blocked)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&begun);
    let checks = HealthChecks::new().check_with(
        "rude",
        HealthCheckOptions { timeout: Some(Duration::from_millis(50)), ..HealthCheckOptions::default() },
        move || {
            let (blocked, count) = (Arc::clone(&blocked), Arc::clone(&count));
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                blocked.lock().unwrap().recv().map_err(Into::into)
            }
        },
    );
    let app = app(&checks);
    let late = "Unhealthy\nrude: Unhealthy, it did not answer within 50ms";
    for _ in 0..3 {
        assert_eq!(soon(ready(&app)).await.1, late, "kept for a second");
    }
    for _ in 0..2 {
        tokio::time::sleep(KEPT).await;
        assert_eq!(soon(ready(&app)).await.1, "Unhealthy\nrude: Unhealthy, its last run has not ended yet");
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    // The run that was given up, and the one that comes after it.
    release.send(()).unwrap();
    release.send(()).unwrap();
    soon(async { while ready(&app).await.0 != 200 {} }).await;
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_a_check_runs_once_in_a_second() {
    let runs = Arc::new(AtomicUsize::new(0));
    let (go, gone) = oneshot::channel::<()>();
    let (count, gone) = (Arc::clone(&runs), Arc::new(tokio::sync::Mutex::new(Some(gone))));
    let checks = HealthChecks::new().check("slow", move || {
        let (count, gone) = (Arc::clone(&count), Arc::clone(&gone));
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            if let Some(gone) = gone.lock().await.take() {
                gone.await?;
            }
            Ok(())
        }
    });
    let app = app(&checks);
    let ask = || {
        let app = app.clone();
        tokio::spawn(async move { ready(&app).await })
    };
    // The first one leaves before there is an answer; the round goes on for the others.
    let leaves = ask();
    soon(async {
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    leaves.abort();
    let asking: Vec<_> = (0..50).map(|_| ask()).collect();
    crate::support::settle().await;
    go.send(()).unwrap();
    for answer in asking {
        assert_eq!(soon(answer).await.unwrap(), (200, "Healthy\nslow: Healthy".to_owned()));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    // What comes within a second gets the same report; what comes later runs anew, for an answer or for nobody.
    tokio::time::sleep(KEPT - Duration::from_millis(100)).await;
    for _ in 0..1000 {
        assert_eq!(ready(&app).await.0, 200);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    for round in 2..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ready_json(&app).await["status"], "Healthy");
        assert_eq!(runs.load(Ordering::SeqCst), round);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_of_both_probes_runs_once_for_both() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let both = HealthCheckOptions { live: true, ..HealthCheckOptions::default() };
    let checks = HealthChecks::new().check_with("both", both, move || {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(())
        }
    });
    let app = app(&checks);
    let live = send(&app, Method::GET, "/healthz/live", "*/*");
    let (live, ready) = tokio::join!(live, ready(&app));
    assert_eq!((live.status().as_u16(), ready.0), (200, 200), "{}", ready.1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_is_about_to_stop_is_not_ready() {
    let stopping = CancellationToken::new();
    let hangs = HealthChecks::new().check("hangs", async || std::future::pending().await);
    let app = app_with(HealthOptions::default(), &hangs, &stopping);
    let asked = app.clone();
    let waiting = tokio::spawn(async move { ready(&asked).await });
    crate::support::settle().await;
    stopping.cancel();
    let expected = (503, "Unhealthy\nthe application is about to stop".to_owned());
    // Also who waits for a check already, and without one.
    assert_eq!(soon(waiting).await.unwrap(), expected);
    assert_eq!(soon(ready(&app)).await, expected);
    assert_eq!(ready_json(&app).await["reason"], "the application is about to stop");
    // A good report of a moment ago does not count any more.
    let stopping = CancellationToken::new();
    let app = app_with(HealthOptions::default(), &HealthChecks::new().check("a", async || Ok(())), &stopping);
    assert_eq!(ready(&app).await.0, 200);
    stopping.cancel();
    assert_eq!(ready(&app).await, expected);
    assert_eq!(ask(&app, "/healthz/live").await.0, 200);
}

#[test]
fn what_cannot_be_obeyed_is_refused() {
    let fine = async || Ok(());
    let with = |options: HealthCheckOptions| HealthChecks::new().check_with("a", options, fine);
    let nobody = HealthCheckOptions { ready: false, ..HealthCheckOptions::default() };
    let never = HealthCheckOptions { timeout: Some(Duration::ZERO), ..HealthCheckOptions::default() };
    let vain = HealthCheckOptions { failure_status: HealthStatus::Healthy, ..HealthCheckOptions::default() };
    for (checks, expected) in [
        (HealthChecks::new().check("a", fine).check("a", fine), "another one of this name"),
        (with(nobody), "for no probe"),
        (with(never), "no time at all"),
        (with(vain), "could never fail"),
    ] {
        let error =
            HealthLayer::new(HealthOptions::default(), &checks, CancellationToken::new()).unwrap_err();
        assert!(error.to_string().contains(expected) && error.to_string().contains("\"a\""), "{error}");
    }
}

/// How long a report is kept.
const KEPT: Duration = Duration::from_secs(1);

/// The events about the check.
fn lines(captured: &Captured) -> Vec<String> {
    captured.text().lines().filter(|line| line.contains("health check")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_an_event_when_it_begins_and_when_it_is_over() {
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&fails);
    let checks = HealthChecks::new().check("database", move || {
        let fails = flag.load(Ordering::SeqCst);
        async move { if fails { Err("gone".into()) } else { Ok(()) } }
    });
    let app = app(&checks);
    let captured = Captured::default();
    let _guard = captured.start();
    for (is_failing, count) in [(false, 0), (true, 1), (true, 1), (false, 2), (false, 2)] {
        fails.store(is_failing, Ordering::SeqCst);
        tokio::time::sleep(KEPT).await;
        ready(&app).await;
        let lines = lines(&captured);
        assert_eq!(lines.len(), count, "{lines:?}");
    }
    let lines = lines(&captured);
    assert!(lines[0].contains("a health check fails") && lines[0].contains("gone"), "{lines:?}");
    assert!(lines[1].contains("is well again"), "{lines:?}");
}

#[tokio::test]
async fn under_axum_serve() {
    let checks = HealthChecks::new().check("database", async || Err("gone".into()));
    let health = HealthLayer::new(detailed(), &checks, CancellationToken::new()).unwrap();
    let router = Router::new().route("/", axum::routing::get(async || "Hello")).layer(health);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server =
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(
            async move { axum::serve(listener, router).await },
        ));
    let mut client = Client::tcp(address).await;
    let answer = client.get("/healthz/ready").await;
    assert_eq!((answer.status, answer.text()), (503, "Unhealthy\ndatabase: Unhealthy, gone"));
    assert_eq!(client.get("/healthz/live").await.status, 200);
    assert_eq!(client.get("/").await.text(), "Hello");
}
