//! The host with servers that only tell what happens.

use std::sync::{Arc, Mutex};

use server_abstractions::{Body, BoxError, BoxFuture, Lifetime, StartError, Stopped};

use super::*;

type Log = Arc<Mutex<Vec<String>>>;

struct Named(&'static str, Log, bool);

impl HostedService for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        self.1.lock().unwrap().push(format!("start {}", self.0));
        Box::pin(std::future::ready(if self.2 { Ok(()) } else { Err("on purpose".into()) }))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.1.lock().unwrap().push(format!("stop {}", self.0));
        Box::pin(std::future::ready(Ok(())))
    }
}

struct LoggedServer(Log, FeatureCollection, bool);

impl Server for LoggedServer {
    fn features(&self) -> &FeatureCollection {
        &self.1
    }

    fn start(self: Box<Self>, _: App) -> BoxFuture<'static, Result<Running, StartError>> {
        self.0.lock().unwrap().push("start server".to_owned());
        if !self.2 {
            return Box::pin(std::future::ready(Err(StartError::new("no luck"))));
        }
        let (lifetime, guard) = Lifetime::new();
        let draining = lifetime.draining();
        Box::pin(std::future::ready(Ok(Running::new(FeatureCollection::new(), lifetime, async move {
            draining.await;
            self.0.lock().unwrap().push("stop server".to_owned());
            drop(guard);
            Ok(())
        }))))
    }
}

fn host(log: &Log, second_starts: bool, server_starts: bool) -> Host {
    let server = LoggedServer(log.clone(), FeatureCollection::new(), server_starts);
    Host::new(server, async |_: http::Request<Body>| http::Response::new(Body::empty()))
        .service(Named("one", log.clone(), true))
        .service(Named("two", log.clone(), second_starts))
}

#[tokio::test]
async fn services_surround_the_server() {
    let log = Log::default();
    let running = host(&log, true, true).start().await.unwrap();
    let lifetime = running.lifetime().clone();
    assert!(lifetime.started().is_cancelled() && !lifetime.stopping().is_cancelled());
    assert_eq!(running.stop().await, Stopped::Drained);
    assert!(lifetime.stopping().is_cancelled() && lifetime.stopped().is_cancelled());
    let expected = ["start one", "start two", "start server", "stop server", "stop two", "stop one"];
    assert_eq!(*log.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_failed_start_stops_what_had_started() {
    let log = Log::default();
    let error = host(&log, false, true).start().await.unwrap_err();
    assert_eq!(format!("{error:?}"), "the service 'two' did not start: on purpose");
    assert_eq!(*log.lock().unwrap(), ["start one", "start two", "stop one"]);

    let log = Log::default();
    let error = host(&log, true, false).start().await.unwrap_err();
    assert_eq!(format!("{error:?}"), "the server did not start: no luck");
    assert_eq!(*log.lock().unwrap(), ["start one", "start two", "start server", "stop two", "stop one"]);
}

#[tokio::test]
async fn a_background_service_that_fails_stops_the_application() {
    let log = Log::default();
    let failing = crate::background("failing", async |_| Err("on purpose".into()));
    let running = host(&log, true, true).service(failing).start().await.unwrap();
    running.lifetime().stopping().cancelled().await;
    running.stop().await;
}

#[tokio::test]
async fn a_run_ends_with_the_failure_of_a_background_service() {
    let failing = crate::background("failing", async |_| Err("on purpose".into()));
    let error = host(&Log::default(), true, true).service(failing).run().await.unwrap_err();
    assert_eq!(format!("{error:?}"), "the service 'failing' failed: on purpose");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_stop_is_left_at_the_deadline() {
    let log = Log::default();
    let stuck = crate::background("stuck", async |_| std::future::pending().await);
    let running = host(&log, true, true).service(stuck).start().await.unwrap();
    let begun = Instant::now();
    running.stop().await;
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(log.lock().unwrap().last().unwrap(), "stop one");
}

fn delayed(log: &Log, delay: u64) -> Host {
    let shutdown_delay = Duration::from_secs(delay);
    host(log, true, true).options(HostOptions { shutdown_delay, ..HostOptions::default() })
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_announced_and_begins_after_the_delay() {
    let log = Log::default();
    let mut running = delayed(&log, 20).start().await.unwrap();
    let lifetime = running.lifetime().clone();
    assert!(!lifetime.announced().is_cancelled());
    lifetime.stop();
    assert!(lifetime.announced().is_cancelled() && !lifetime.stopping().is_cancelled());
    running.wait().await.unwrap();
    let begun = Instant::now();
    let stopping = lifetime.stopping().clone();
    let told = tokio::spawn(async move {
        stopping.cancelled().await;
        begun.elapsed().as_secs()
    });
    assert_eq!(running.stop().await, Stopped::Drained);
    assert_eq!((told.await.unwrap(), begun.elapsed().as_secs()), (20, 20));
    assert_eq!(log.lock().unwrap()[3], "stop server");
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_timeout_begins_after_the_delay() {
    let stuck = crate::background("stuck", async |_| std::future::pending().await);
    let running = delayed(&Log::default(), 20).service(stuck).start().await.unwrap();
    let begun = Instant::now();
    running.stop().await;
    assert_eq!(begun.elapsed().as_secs(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_ended_by_itself_is_not_waited_for() {
    struct Short(FeatureCollection);

    impl Server for Short {
        fn features(&self) -> &FeatureCollection {
            &self.0
        }

        fn start(self: Box<Self>, _: App) -> BoxFuture<'static, Result<Running, StartError>> {
            let (lifetime, guard) = Lifetime::new();
            Box::pin(std::future::ready(Ok(Running::new(FeatureCollection::new(), lifetime, async move {
                drop(guard);
                Err("the cable is gone".into())
            }))))
        }
    }

    let app = async |_: http::Request<Body>| http::Response::new(Body::empty());
    let shutdown_delay = Duration::from_secs(20);
    let host = Host::new(Short(FeatureCollection::new()), app)
        .options(HostOptions { shutdown_delay, ..HostOptions::default() });
    let mut running = host.start().await.unwrap();
    let begun = Instant::now();
    let error = running.wait().await.unwrap_err();
    assert!(format!("{error:?}").contains("the cable is gone"), "{error:?}");
    running.stop().await;
    assert!(begun.elapsed().as_secs() < 1);
}

#[test]
fn without_a_host_that_delays_it_a_stop_begins_at_once() {
    let lifetime = ApplicationLifetime::default();
    lifetime.stop();
    assert!(lifetime.announced().is_cancelled() && lifetime.stopping().is_cancelled());
}

#[tokio::test]
async fn whoever_cancels_a_token_asks_for_the_stop() {
    for token in [ApplicationLifetime::announced, ApplicationLifetime::stopping] {
        let mut running = host(&Log::default(), true, true).start().await.unwrap();
        let lifetime = running.lifetime().clone();
        token(&lifetime).cancel();
        lifetime.announced().cancelled().await;
        lifetime.stopping().cancelled().await;
        running.wait().await.unwrap();
        assert_eq!(running.stop().await, Stopped::Drained);
    }
}
