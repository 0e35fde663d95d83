mod assembly;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use server_abstractions::{App, ConnectionObserver, IntoService, Server};
use server_kestrel::KestrelOptions;

use crate::module_endpoints::ModuleEndpoints;
use crate::startup::{HostOverrides, Startup};
use crate::surroundings::Surroundings;
use crate::{
    ApplicationBuilder, ApplicationLifetime, Configuration, ConfigurationMonitor, Error, HealthChecks, Host,
    HostEnvironment, HostOptions, HostedService, RequestTraceLayer, RunningHost, TestServer, logging, proxy,
};

/// An application with its server and its host, ready to run.
///
/// ```no_run
/// use hosting::{Body, Request, Response, WebApplication};
///
/// #[tokio::main]
/// async fn main() -> Result<(), hosting::Error> {
///     let builder = WebApplication::builder();
///     let greeting = builder.configuration().get("Greeting").unwrap_or("Hello").to_owned();
///     let app = async move |_: Request<Body>| Response::new(Body::from(greeting.clone()));
///     builder.build(app)?.run().await
/// }
/// ```
///
/// The configuration, lowest layer first: `appsettings.json`, `appsettings.{Environment}.json`, `ASPNETCORE_`
/// variables, `DOTNET_` variables, all variables, the command line. A launch profile of
/// `Properties/launchSettings.json` stands in the place of the variables it sets. `CONFIGURATION.md` of the repository has
/// every key with its tests.
///
/// The files are read again when they change (they are looked at every two seconds). Endpoints that are new are listened
/// on, those that are gone are closed, those that are served in another way keep their sockets and let their connections
/// go within five seconds; limits, certificates and log levels follow as well. What cannot be read or used leaves the last
/// state in force and is one event of level error. The application's own options follow by
/// [`configuration_monitor`](WebApplicationBuilder::configuration_monitor). `urls` and the other keys of the host are those
/// of the start.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `urls` | addresses to listen on, separated by `;` | `http://localhost:5000` |
/// | `http_ports`, `https_ports` | ports on every address of the machine, separated by `;`; without `urls` only | none |
/// | `https_port`, else `ANCM_HTTPS_PORT` | where an [`HttpsRedirectionLayer`](crate::HttpsRedirectionLayer) made from the configuration sends clients | the port of the https addresses |
/// | `environment` | `Development`, `Production`, ... (`ASPNETCORE_`, `DOTNET_` and command line only) | `Production` |
/// | `contentRoot`, `applicationName` | as `environment` | the crate's or current folder, the program's name |
/// | `preferHostingUrls` | whether `urls` win over endpoints of code or configuration | false |
/// | `shutdownDelaySeconds` | how long the application goes on after a stop was asked for: not ready any more, but taking requests, each connection ending with its next answer | 0 |
/// | `shutdownTimeoutSeconds` | how long a stop may take after that | 30 |
/// | `hostBuilder:reloadConfigOnChange` | whether the files are read again when they change | true |
/// | `shutdownGraceSeconds` | how much of that passes before connections are closed: nothing new is accepted, and each connection ends with its next answer | 0 |
/// | `suppressStatusMessages` | whether the lines about start and stop are left out | false |
/// | `AllowedHosts` | hosts that requests may name, separated by `;`; what proxies tell in `X-Forwarded-Host` is judged by `allowed_hosts` of the [`ForwardedHeadersOptions`](crate::ForwardedHeadersOptions); changes are followed if there is a list at the start; see [`HostFilteringLayer`](crate::HostFilteringLayer) | `*` |
/// | `ForwardedHeaders_Enabled` (the variable `ASPNETCORE_FORWARDEDHEADERS_ENABLED`) | whether one entry of `X-Forwarded-For` and `X-Forwarded-Proto` is believed, **from everyone**; read at the start | false |
/// | `ASPNETCORE_PORT`, `ASPNETCORE_APPL_PATH`, `ASPNETCORE_TOKEN`, `ASPNETCORE_MODULE_SOCKET`, ... (variables) | set by a module that starts the application, see [`IisIntegration`](crate::IisIntegration); its port and its socket go before all addresses | none |
/// | `ASPNETCORE_MODULE_ENDPOINTS`, `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES` (variables) | set by a module that has the application serve the module's own sockets; those endpoints go before all addresses | none |
/// | `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`, `JOURNAL_STREAM` (variables) | set by a supervisor such as systemd: [`run`](Self::run) tells it what goes on, see [`Host::run`]; the log has lines for the journal if it goes there | none |
/// | `Health:Enabled`, `Health:...` | whether and where probes are answered, see [`HealthLayer`](crate::HealthLayer); read at the start | false, and true with [`health_checks`](WebApplicationBuilder::health_checks) |
/// | `AccessLog:...` | a line for each request; every key stands in [`configuration_keys`](crate::configuration_keys), and what the lines tell at [`AccessLog`](crate::AccessLog) | none |
/// | `Logging:LogLevel:{target}` | what the default subscriber shows | `Information` |
/// | `Logging:Console:FormatterName` | how it writes: `simple`, `systemd` or `json` | `systemd` if the journal reads it, else `simple` |
/// | `Diagnostics:Enabled`, `Diagnostics:...` | whether a page shows what the server does, see [`Diagnostics`](crate::Diagnostics); read at the start | false |
/// | `Tracing:Enabled`, `Tracing:...` | whether each request has a span, see [`RequestTraceLayer`](crate::RequestTraceLayer); read at the start | false, and true with [`request_traces`](WebApplicationBuilder::request_traces) |
/// | `RequestIds:Enabled`, `RequestIds:...` | whether responses tell the ids of their requests, see [`RequestIdLayer`](crate::RequestIdLayer); read at the start | false |
/// | `Metrics:...` | metrics of requests and connections, through the global meter provider of OpenTelemetry as it is when the application is built; needs the cargo feature `metrics`; every key stands in [`configuration_keys`](crate::configuration_keys) | none |
/// | `Kestrel:...` | the server: endpoints, certificates, TLS, limits, sockets; every key stands in [`configuration_keys`](crate::configuration_keys) | those of [`KestrelOptions`] |
#[doc(alias = "WebHost")]
#[must_use = "an application does nothing until it is started or run"]
pub struct WebApplication {
    host: Host,
    startup: Startup,
    log_levels: logging::LogLevels,
}

impl WebApplication {
    /// Begins an application with the arguments and the environment of the process.
    #[doc(alias = "CreateBuilder")]
    pub fn builder() -> WebApplicationBuilder {
        Self::builder_with(WebApplicationOptions::default())
    }

    /// As [`builder`](Self::builder), with settings that win over arguments and environment.
    pub fn builder_with(options: WebApplicationOptions) -> WebApplicationBuilder {
        Self::builder_in(Surroundings::of_the_process(), options)
    }

    /// A builder that reads nothing but its options.
    pub(crate) fn isolated_builder(options: WebApplicationOptions) -> WebApplicationBuilder {
        let nowhere = PathBuf::from("/nonexistent");
        let surroundings = Surroundings {
            arguments: Vec::new(),
            variables: Vec::new(),
            program: nowhere.clone(),
            current_folder: nowhere,
        };
        Self::builder_in(surroundings, options)
    }

    fn builder_in(mut surroundings: Surroundings, options: WebApplicationOptions) -> WebApplicationBuilder {
        if let Some(arguments) = options.arguments {
            surroundings.arguments = arguments;
        }
        let overrides = HostOverrides {
            environment: options.environment,
            application_name: options.application_name,
            content_root: options.content_root,
            values: options.values,
        };
        WebApplicationBuilder::new(Startup::make(&surroundings, &overrides))
    }

    /// The configuration as it was at the start.
    pub fn configuration(&self) -> &Configuration {
        &self.startup.configuration
    }

    /// The configuration as it goes on: what changes while the application runs.
    pub fn configuration_monitor(&self) -> &ConfigurationMonitor {
        &self.startup.monitor
    }

    /// Where and as what the application runs.
    pub fn environment(&self) -> &HostEnvironment {
        &self.startup.environment
    }

    /// The life of the application.
    pub fn lifetime(&self) -> &ApplicationLifetime {
        self.host.lifetime()
    }

    /// Starts, waits for the end and stops; see [`Host::run`].
    ///
    /// # Errors
    /// When the start fails, or when the server ended by itself.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything at once.
    pub async fn run(self) -> Result<(), Error> {
        let Self { host, startup, log_levels } = self;
        if let Some(handle) = logging::install_default(log_levels) {
            logging::follow(&startup.monitor, handle);
        }
        startup.report();
        host.run().await
    }

    /// Starts without signals and without a subscriber: for programs that have both, and for tests.
    ///
    /// # Errors
    /// When a service or the server does not start.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything at once.
    pub async fn start(self) -> Result<RunningHost, Error> {
        self.startup.report();
        self.host.start().await
    }
}

impl fmt::Debug for WebApplication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebApplication").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Settings of the code that win over arguments and environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebApplicationOptions {
    /// The arguments, without the program's name. Default is those of the process; a test, whose arguments are the
    /// test runner's, gives its own or `Some(Vec::new())`.
    pub arguments: Option<Vec<String>>,
    /// The name of the environment. Default is what the configuration says, else `Production`.
    pub environment: Option<String>,
    /// The name of the application. Default is what the configuration says, else the program's name.
    pub application_name: Option<String>,
    /// The content root. Default is what the configuration says, else the crate's folder under `cargo run`, else the
    /// current folder.
    pub content_root: Option<PathBuf>,
    /// Keys and values on top of the configuration, such as `("Greeter:Greeting", "Hello")`. Default is none.
    #[doc(alias = "AddInMemoryCollection")]
    pub values: Vec<(String, String)>,
}

type KestrelChange = Box<dyn FnOnce(&mut KestrelOptions) + Send>;
pub(crate) type HostChange = Box<dyn FnOnce(&mut HostOptions) + Send>;
type PipelineSteps = Box<dyn FnOnce(ApplicationBuilder) -> ApplicationBuilder + Send>;

/// Builds a [`WebApplication`]. What goes wrong with files and variables is told by [`build`](Self::build).
#[must_use = "an application is made by `build`"]
pub struct WebApplicationBuilder {
    startup: Result<Startup, Error>,
    /// What the accessors show when the startup failed.
    nothing: Startup,
    server: Option<Box<dyn Server>>,
    kestrel: Vec<KestrelChange>,
    observers: Vec<Arc<dyn ConnectionObserver>>,
    host: Vec<HostChange>,
    pipeline: Vec<PipelineSteps>,
    services: Vec<Box<dyn HostedService>>,
    urls: Option<String>,
    health: Option<HealthChecks>,
    traces: Option<RequestTraceLayer>,
    lifetime: ApplicationLifetime,
}

impl WebApplicationBuilder {
    fn new(startup: Result<Startup, Error>) -> Self {
        Self {
            startup,
            nothing: Startup::default(),
            server: None,
            kestrel: Vec::new(),
            observers: Vec::new(),
            host: Vec::new(),
            pipeline: Vec::new(),
            services: Vec::new(),
            urls: None,
            health: None,
            traces: None,
            lifetime: ApplicationLifetime::default(),
        }
    }

    fn startup(&self) -> &Startup {
        self.startup.as_ref().unwrap_or(&self.nothing)
    }

    /// The configuration as it is now; empty if it could not be read.
    pub fn configuration(&self) -> &Configuration {
        &self.startup().configuration
    }

    /// The configuration as it goes on: what changes while the application runs.
    pub fn configuration_monitor(&self) -> &ConfigurationMonitor {
        &self.startup().monitor
    }

    /// Where and as what the application runs.
    pub fn environment(&self) -> &HostEnvironment {
        &self.startup().environment
    }

    /// The life of the application that is being built.
    pub fn lifetime(&self) -> &ApplicationLifetime {
        &self.lifetime
    }

    /// Changes the options of the server. The `Kestrel` section of the configuration comes on top of them; endpoints
    /// of both are listened on.
    #[doc(alias = "ConfigureKestrel")]
    #[doc(alias = "UseKestrel")]
    pub fn kestrel(mut self, change: impl FnOnce(&mut KestrelOptions) + Send + 'static) -> Self {
        self.kestrel.push(Box::new(change));
        self
    }

    /// Has somebody told what happens on the connections of Kestrel; see [`Kestrel::observer`](server_kestrel::Kestrel::observer).
    pub fn connection_observer(mut self, observer: Arc<dyn ConnectionObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Changes the options of the host; what the code says wins over the configuration.
    #[doc(alias = "ConfigureHostOptions")]
    pub fn host(mut self, change: impl FnOnce(&mut HostOptions) + Send + 'static) -> Self {
        self.host.push(Box::new(change));
        self
    }

    /// Takes another server in the place of Kestrel. It is told the configured addresses, if it listens on any; the
    /// `Kestrel` section, [`kestrel`](Self::kestrel) and [`connection_observer`](Self::connection_observer) do not reach it
    /// and are refused.
    #[doc(alias = "UseServer")]
    pub fn server(mut self, server: impl Server + 'static) -> Self {
        self.server = Some(Box::new(server));
        self
    }

    /// The addresses to listen on, separated by `;`, in place of those of the configuration.
    #[doc(alias = "UseUrls")]
    pub fn urls(mut self, urls: impl Into<String>) -> Self {
        self.urls = Some(urls.into());
        self
    }

    /// Answers the probes of load balancers and orchestrators by these checks, with what the section `Health` of the
    /// configuration says; see [`HealthLayer`](crate::HealthLayer). The last call counts.
    pub fn health_checks(mut self, checks: HealthChecks) -> Self {
        self.health = Some(checks);
        self
    }

    /// Has one span for each request, as this layer says and the section `Tracing` on top of it. The last call counts.
    ///
    /// The span begins behind the layers for proxies, so it knows the client.
    pub fn request_traces(mut self, layer: RequestTraceLayer) -> Self {
        self.traces = Some(layer);
        self
    }

    /// Adds a service that starts before the server.
    #[doc(alias = "AddHostedService")]
    pub fn service(mut self, service: impl HostedService + 'static) -> Self {
        self.services.push(Box::new(service));
        self
    }

    /// Adds steps before the service, in the order in which a request meets them.
    #[doc(alias = "Configure")]
    pub fn pipeline(
        mut self,
        steps: impl FnOnce(ApplicationBuilder) -> ApplicationBuilder + Send + 'static,
    ) -> Self {
        self.pipeline.push(Box::new(steps));
        self
    }

    /// Builds the application around a service or a closure.
    ///
    /// # Errors
    /// When the configuration, the launch profile or an option is at fault, or a development certificate is needed
    /// and cannot be made. If the standard error is the journal of systemd, it gets the error as one line of the level error.
    pub fn build<M>(self, service: impl IntoService<M>) -> Result<WebApplication, Error> {
        self.build_app(App::new(service)).inspect_err(logging::tell_failure)
    }

    fn build_app(mut self, app: App) -> Result<WebApplication, Error> {
        // Last, since a module knows no other address.
        self.host.extend(proxy::addresses(self.configuration())?);
        if ModuleEndpoints::find(self.configuration())?.is_some() {
            if self.server.is_some() {
                return Err(Error::new(
                    "the module hands listening sockets over, which the application's own server does not take; use Kestrel, or host it out of process (hostingModel=\"outofprocess\")",
                ));
            }
            self.host.push(Box::new(|host| {
                host.urls.clear();
                host.prefer_hosting_urls = false;
            }));
        }
        self.assemble(app, Box::new(|_| {}))
    }

    /// Builds the application and starts it in memory, without ports: for tests of the whole application.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when a service does not start. A server of your own cannot be started so.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything at once.
    pub async fn start_test_server<M>(self, service: impl IntoService<M>) -> Result<TestServer, Error> {
        if self.server.is_some() {
            return Err(Error::new(
                "the test server is Kestrel in memory; it cannot start a server of your own",
            ));
        }
        let (listener, connector) = server_kestrel::memory();
        let mut builder = self;
        // Without addresses of the configuration, and without its endpoints: nothing is bound.
        builder.urls = Some(String::new());
        let endpoint = server_kestrel::Endpoint::listener(listener);
        let finish = move |options: &mut KestrelOptions| {
            options.endpoints = vec![endpoint.clone()];
            options.inherit_listeners = false;
        };
        let application = builder.assemble(App::new(service), Box::new(finish))?;
        Ok(TestServer::new(application.start().await?, connector))
    }
}

impl fmt::Debug for WebApplicationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebApplicationBuilder").field("startup", &self.startup).finish_non_exhaustive()
    }
}
