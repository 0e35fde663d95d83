use std::fmt;
use std::time::Duration;

use server_abstractions::{
    Address, App, FeatureCollection, IntoService, Running, Server, ServerAddressesFeature, Stopped,
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::logging::LIFETIME;
use crate::signals::StopSignals;
use crate::{ApplicationLifetime, Error, HostEnvironment, HostedService, logging, notify};

/// How a [`Host`] runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// The addresses that the server is told to listen on. Default is none: then the server has its own.
    pub urls: Vec<Address>,
    /// Whether [`urls`](Self::urls) win over endpoints that the server was configured with. Default is false.
    pub prefer_hosting_urls: bool,
    /// How long a stop may take; then what is still under way is aborted. Default is 30 seconds.
    pub shutdown_timeout: Duration,
    /// How much of [`shutdown_timeout`](Self::shutdown_timeout) passes before connections are closed, unless none is left
    /// earlier: nothing new is accepted, and each connection ends with its next answer, so that no request meets a closed
    /// connection. It is for an application whose sockets another process goes on to serve. Default is 0: idle
    /// connections are closed at once.
    pub shutdown_grace: Duration,
    /// Whether the lines about the start and the stop are left out. Default is false.
    pub suppress_status_messages: bool,
    /// Where and as what the application runs; shown at the start.
    pub environment: HostEnvironment,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            prefer_hosting_urls: false,
            shutdown_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::ZERO,
            suppress_status_messages: false,
            environment: HostEnvironment::default(),
        }
    }
}

/// Runs an app on any [`Server`], with services beside it.
///
/// It reads no arguments, no files and no launch profile: its [`HostOptions`] are what the code says. An application
/// with all of that and a server of its own is made by `WebApplicationBuilder::server`.
///
/// [`WebApplication`](crate::WebApplication) is this host with the Kestrel server and configuration.
#[doc(alias = "IHost")]
#[doc(alias = "IWebHost")]
#[must_use = "a host does nothing until it is started or run"]
pub struct Host {
    server: Box<dyn Server>,
    app: App,
    options: HostOptions,
    services: Vec<Box<dyn HostedService>>,
    lifetime: ApplicationLifetime,
}

impl Host {
    /// A host for an app on a server.
    pub fn new<M>(server: impl Server + 'static, app: impl IntoService<M>) -> Self {
        Self {
            server: Box::new(server),
            app: App::new(app),
            options: HostOptions::default(),
            services: Vec::new(),
            lifetime: ApplicationLifetime::default(),
        }
    }

    /// Sets the options.
    pub fn options(mut self, options: HostOptions) -> Self {
        self.options = options;
        self
    }

    /// Adds a service, which starts before the server and after the services added so far.
    pub fn service(mut self, service: impl HostedService + 'static) -> Self {
        self.services.push(Box::new(service));
        self
    }

    #[cfg(feature = "kestrel")]
    pub(crate) fn with_parts(
        mut self,
        services: Vec<Box<dyn HostedService>>,
        lifetime: ApplicationLifetime,
    ) -> Self {
        self.services = services;
        self.lifetime = lifetime;
        self
    }

    /// The life of the application.
    pub fn lifetime(&self) -> &ApplicationLifetime {
        &self.lifetime
    }

    /// The features of the server.
    pub fn server_features(&self) -> &FeatureCollection {
        self.server.features()
    }

    /// Starts the services, then the server.
    ///
    /// # Errors
    /// When a service or the server does not start. Services that have started are stopped again.
    ///
    /// # Cancel safety
    /// Dropping the future drops the services and the server.
    #[doc(alias = "StartAsync")]
    pub async fn start(self) -> Result<RunningHost, Error> {
        let Self { server, app, options, mut services, lifetime } = self;
        let deadline_after = options.shutdown_timeout;
        if let Err((error, started)) = start_services(&mut services, &lifetime).await {
            stop_services(&mut services[..started], Instant::now() + deadline_after).await;
            return Err(error);
        }
        let running = match start_server(server, app, &options).await {
            Ok(running) => running,
            Err(error) => {
                stop_services(&mut services, Instant::now() + deadline_after).await;
                return Err(error);
            }
        };
        lifetime.started().cancel();
        let host = RunningHost { running, services, options, lifetime };
        host.report_start();
        Ok(host)
    }

    /// Starts, waits for the end and stops. The end is Ctrl+C, SIGTERM or SIGQUIT, a call of
    /// [`ApplicationLifetime::stop`], or a server that ends by itself.
    ///
    /// A second Ctrl+C ends the process at once, with exit code 130. Without a subscriber for `tracing`, one is
    /// installed that writes to the standard output. A second SIGTERM or SIGQUIT ends the
    /// [grace](HostOptions::shutdown_grace) of the stop.
    ///
    /// A supervisor with a socket in `NOTIFY_SOCKET`, such as systemd (`Type=notify`), is told `READY=1` after the start
    /// and `STOPPING=1` when the stop begins.
    ///
    /// # Errors
    /// When the start fails, when the server ended by itself, or with the error of [`ApplicationLifetime::fail`], as
    /// by a background service that failed.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything at once.
    #[doc(alias = "RunAsync")]
    pub async fn run(self) -> Result<(), Error> {
        logging::install_default(None);
        // Before the start, so that a signal during it is heard.
        let mut signals = StopSignals::listen()?;
        let lifetime = self.lifetime.clone();
        let mut start = std::pin::pin!(self.start());
        let mut host = tokio::select! {
            started = &mut start => started?,
            () = signals.received() => return Ok(()),
            () = lifetime.stopping().cancelled() => return Ok(()),
        };
        notify::ready();
        let ended = tokio::select! {
            ended = host.wait() => ended,
            () = signals.received() => Ok(()),
        };
        notify::stopping();
        // While it stops, and no longer: the program may go on after that.
        let hurry = CancellationToken::new();
        let _impatience = AbortOnDropHandle::new(tokio::spawn(signals.impatience(hurry.clone())));
        host.stop_within(hurry.cancelled()).await;
        lifetime.take_failure().map_or(ended, Err)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("options", &self.options)
            .field("services", &self.services.len())
            .finish()
    }
}

/// A host whose server accepts requests. Dropping it ends everything at once; [`stop`](Self::stop) ends it in order.
pub struct RunningHost {
    running: Running,
    services: Vec<Box<dyn HostedService>>,
    options: HostOptions,
    lifetime: ApplicationLifetime,
}

impl RunningHost {
    /// The addresses that the server listens on.
    pub fn addresses(&self) -> Vec<Address> {
        self.running.addresses()
    }

    /// The features of the running server.
    pub fn server_features(&self) -> &FeatureCollection {
        self.running.features()
    }

    /// The life of the application.
    pub fn lifetime(&self) -> &ApplicationLifetime {
        &self.lifetime
    }

    /// Waits for a reason to stop: [`ApplicationLifetime::stop`], or a server that has ended by itself.
    ///
    /// # Errors
    /// What the server ended with.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    #[doc(alias = "WaitForShutdownAsync")]
    pub async fn wait(&mut self) -> Result<(), Error> {
        tokio::select! {
            ended = self.running.finished() => {
                ended.map_err(|error| Error::new("the server failed").with_source(error))
            }
            () = self.lifetime.stopping().cancelled() => Ok(()),
        }
    }

    /// Stops: the server finishes what is under way, then the services stop in reverse order, all within the
    /// shutdown timeout.
    ///
    /// # Cancel safety
    /// Dropping the future ends at once what has not stopped yet.
    #[doc(alias = "StopAsync")]
    pub async fn stop(self) -> Stopped {
        self.stop_within(std::future::pending()).await
    }

    /// The same; `hurry` ends the grace.
    async fn stop_within(mut self, hurry: impl Future<Output = ()>) -> Stopped {
        self.lifetime.stop();
        if !self.options.suppress_status_messages {
            tracing::info!(target: LIFETIME, "Application is shutting down...");
        }
        let deadline = Instant::now() + self.options.shutdown_timeout;
        let grace = self.options.shutdown_grace.min(self.options.shutdown_timeout);
        if !grace.is_zero() {
            let over = async {
                tokio::select! {
                    () = sleep(grace) => {}
                    () = hurry => {}
                }
            };
            self.running.retire(over).await;
        }
        let stopped = self.running.stop(sleep_until(deadline)).await;
        if stopped == Stopped::Aborted {
            tracing::warn!(timeout = ?self.options.shutdown_timeout, "the shutdown timeout has passed; what was under way is aborted");
        }
        stop_services(&mut self.services, deadline).await;
        self.lifetime.stopped().cancel();
        stopped
    }

    fn report_start(&self) {
        if self.options.suppress_status_messages {
            return;
        }
        for address in self.addresses() {
            tracing::info!(target: LIFETIME, "Now listening on: {address}");
        }
        tracing::info!(target: LIFETIME, "Application started. Press Ctrl+C to shut down.");
        let environment = &self.options.environment;
        tracing::info!(target: LIFETIME, "Hosting environment: {}", environment.name);
        tracing::info!(target: LIFETIME, "Content root path: {}", environment.content_root.display());
    }
}

impl fmt::Debug for RunningHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningHost").field("running", &self.running).field("options", &self.options).finish()
    }
}

async fn start_server(server: Box<dyn Server>, app: App, options: &HostOptions) -> Result<Running, Error> {
    if !options.urls.is_empty() {
        match server.features().get::<dyn ServerAddressesFeature>() {
            Some(addresses) => addresses
                .set_addresses(options.urls.clone(), options.prefer_hosting_urls)
                .map_err(|error| Error::new("the server cannot be told its addresses").with_source(error))?,
            None => {
                tracing::warn!("the configured urls have no effect: the server does not listen on addresses")
            }
        }
    }
    Ok(server.start(app).await?)
}

/// Starts the services in order; an error comes with the count of those that had started.
async fn start_services(
    services: &mut [Box<dyn HostedService>],
    lifetime: &ApplicationLifetime,
) -> Result<(), (Error, usize)> {
    for (started, service) in services.iter_mut().enumerate() {
        if let Err(error) = service.start(lifetime).await {
            let message = format!("the service '{}' did not start", service.name());
            return Err((Error::new(message).with_source(error), started));
        }
    }
    Ok(())
}

async fn stop_services(services: &mut [Box<dyn HostedService>], deadline: Instant) {
    for service in services.iter_mut().rev() {
        match timeout_at(deadline, service.stop()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(service = service.name(), error, "the service failed to stop"),
            Err(_) => tracing::warn!(service = service.name(), "the service did not stop in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use server_abstractions::{Body, BoxError, BoxFuture, Lifetime, StartError};

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
}
