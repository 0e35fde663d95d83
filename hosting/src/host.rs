mod running;

use std::fmt;
use std::time::Duration;

use server_abstractions::{
    Address, App, FeatureCollection, IntoService, Running, Server, ServerAddressesFeature,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::running::RunningHost;
use self::running::stop_services;
use crate::reload::{Reload, Reloading};
use crate::signals::{StopSignals, Tidy};
use crate::watchdog::Watchdog;
use crate::{ApplicationLifetime, Error, HostEnvironment, HostedService, logging, notify};

/// The exit code of a program that Ctrl+C has ended.
const INTERRUPTED: i32 = 130;

/// How a [`Host`] runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// The addresses that the server is told to listen on. Default is none: then the server has its own.
    pub urls: Vec<Address>,
    /// Whether [`urls`](Self::urls) win over endpoints that the server was configured with. Default is false.
    pub prefer_hosting_urls: bool,
    /// How long the application goes on after a stop has been asked for: it is not ready any more for load balancers
    /// ([`ApplicationLifetime::announced`], [`HealthLayer`](crate::HealthLayer)), still takes connections and requests, and has
    /// each connection end with its next answer (`connection: close`, over HTTP/2 GOAWAY). The stop itself begins after it. For
    /// the time that load balancers take to learn that the application goes. Default is 0.
    pub shutdown_delay: Duration,
    /// How long a stop may take, from the end of [`shutdown_delay`](Self::shutdown_delay) on; then what is still under way is
    /// aborted. Default is 30 seconds.
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
            shutdown_delay: Duration::ZERO,
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
    reload: Option<Reload>,
    tidy: Option<Tidy>,
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
            reload: None,
            tidy: None,
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

    /// Has this done when a second Ctrl+C ends the process at once ([`run`](Self::run)): nothing else of the program is done
    /// then, no stop of a service and no destructor. It is for what the process would leave behind, such as processes that
    /// it has started. It may block: it runs on a thread of its own, and it is waited for, but no longer than five seconds and
    /// until the next Ctrl+C. Default is nothing; the last one that is given counts.
    pub fn before_second_interrupt(mut self, tidy: impl FnOnce() + Send + 'static) -> Self {
        self.tidy = Some(Box::new(tidy));
        self
    }

    #[cfg(feature = "kestrel")]
    pub(crate) fn with_parts(
        mut self,
        services: Vec<Box<dyn HostedService>>,
        lifetime: ApplicationLifetime,
        reload: Reload,
    ) -> Self {
        self.services = services;
        self.lifetime = lifetime;
        self.reload = Some(reload);
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
        let Self { server, app, options, mut services, lifetime, reload: _, tidy: _ } = self;
        let deadline_after = options.shutdown_timeout;
        if !options.shutdown_delay.is_zero() {
            lifetime.delay_stop();
        }
        let asked = lifetime.clone();
        let asked = AbortOnDropHandle::new(tokio::spawn(async move { asked.heed_tokens().await }));
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
        let host = RunningHost { running, services, options, lifetime, _asked: asked };
        host.report_start();
        Ok(host)
    }

    /// Starts, waits for the end and stops. The end is Ctrl+C, SIGTERM or SIGQUIT, a call of
    /// [`ApplicationLifetime::stop`], or a server that ends by itself.
    ///
    /// A second Ctrl+C ends the process at once, with exit code 130, after what
    /// [`before_second_interrupt`](Self::before_second_interrupt) says. Without a subscriber for `tracing`, one is
    /// installed that writes to the standard output. A second SIGTERM or SIGQUIT ends the
    /// [delay](HostOptions::shutdown_delay) and the [grace](HostOptions::shutdown_grace) of the stop.
    ///
    /// A supervisor with a socket in `NOTIFY_SOCKET`, such as systemd (`Type=notify`), is told `READY=1` after the start
    /// and `STOPPING=1` when the stop is announced, with a `STATUS=` that says what goes on; while the
    /// server stops, about once a second how many requests are left. If it asks for that
    /// (`WATCHDOG_USEC`), it is told `WATCHDOG=1` twice in that time, as long as the runtime turns and the server's accept
    /// loops answer.
    ///
    /// SIGHUP has the configuration of a [`WebApplication`](crate::WebApplication) read again, and its certificates looked at by
    /// the next handshake; the supervisor is told `RELOADING=1`, and `READY=1` once the server has gone over to what it read. If
    /// SIGHUP comes because the terminal of the program is gone, it stops. A host without configuration leaves the signal alone.
    ///
    /// # Errors
    /// When the start fails, when the server ended by itself, or with the error of [`ApplicationLifetime::fail`], as
    /// by a background service that failed. If the standard error is the journal of systemd, it gets the error as one line of the
    /// level error, since what a `main` prints that returns it has no level.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything at once.
    #[doc(alias = "RunAsync")]
    pub async fn run(self) -> Result<(), Error> {
        self.run_to_the_end().await.inspect_err(logging::tell_failure)
    }

    async fn run_to_the_end(mut self) -> Result<(), Error> {
        logging::install_default(logging::LogLevels::default());
        // Before the start, so that a signal during it is heard.
        let mut signals = StopSignals::listen()?;
        let tidy = self.tidy.take();
        let reloading = self.reload.take().map(Reloading::listen).transpose()?;
        let lifetime = self.lifetime.clone();
        let mut start = std::pin::pin!(self.start());
        let mut host = tokio::select! {
            started = &mut start => started?,
            () = signals.received() => return Ok(()),
            () = lifetime.announced().cancelled() => return Ok(()),
        };
        notify::ready(&host.addresses());
        // All of these work until the program has stopped, and no longer: it may go on after that.
        let server = host.server_features();
        let watchdog = Watchdog::of_the_process(server, lifetime.stopping());
        let _watchdog = watchdog.map(|watchdog| AbortOnDropHandle::new(tokio::spawn(watchdog.run())));
        let reloading = reloading.map(|reloading| reloading.run(server.clone(), lifetime.clone()));
        let _reloading = reloading.map(|reloading| AbortOnDropHandle::new(tokio::spawn(reloading)));
        let ended = tokio::select! {
            ended = host.wait() => ended,
            () = signals.received() => Ok(()),
        };
        let (hurry, insisted) = (CancellationToken::new(), CancellationToken::new());
        let impatience = signals.impatience(hurry.clone(), insisted.clone(), tidy);
        let impatience = AbortOnDropHandle::new(tokio::spawn(async {
            impatience.await;
            std::process::exit(INTERRUPTED);
        }));
        host.stop_in_order(Some(&hurry)).await;
        if insisted.is_cancelled() {
            // What ends the process has begun, and may just have ended what the stop waited for.
            let _ = impatience.await;
        }
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

#[cfg(test)]
mod tests;
