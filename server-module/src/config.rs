//! The section `Module` of the module's file.

mod application;
mod check;
mod given;
mod keys;
mod options;
mod surroundings;

use std::path::{Path, PathBuf};

use hosting::{Configuration, HostEnvironment, KestrelOptions, LogLevels, kestrel_endpoints};

use self::keys::Keys;
use crate::error::Problems;
use crate::{AspNetCore, PathPrefix, Route, Routes, SettingsError, WebConfig, command};

pub(crate) use self::given::GivenEndpoints;
pub use self::options::{ApplicationOptions, RecycleOptions, WorkerLimits};
pub use self::surroundings::Surroundings;

/// The name of the section.
const ROOT: &str = "Module";

/// The keys at the top of the file.
const TOP: [&str; 3] = ["$schema", "Logging", ROOT];

/// The longest path that a Unix socket can have on every system, in bytes.
const MAX_SOCKET_PATH: usize = 103;

/// What the module serves: where it listens, and the applications behind that.
///
/// ```json
/// { "Module": {
///     "Certificates": { "Default": { "Path": "site.pem", "KeyPath": "site.key" } },
///     "Endpoints": { "Web": { "Url": "http://*:80" }, "Secure": { "Url": "https://*:443" } },
///     "ControlSocket": "/run/server-module/control.sock",
///     "Applications": {
///       "shop": { "Path": "/srv/shop", "Hosts": ["shop.example", "*.shop.example"] },
///       "api": { "Command": "./target/release/api", "Arguments": ["--verbose"], "PathPrefix": "/api" }
/// } } }
/// ```
///
/// Options that have been read are right: programs are there, and no two applications want the same requests.
///
/// | key below `Module` | meaning | default |
/// |---|---|---|
/// | `Endpoints`, `EndpointDefaults`, `Certificates`, `Limits` | where and how the module listens, as below `Kestrel` | `http://localhost:5000` |
/// | `ControlSocket` | the Unix socket of commands to the module | none |
/// | `Applications:{name}` | an application, see [`ApplicationOptions`] for its keys | one at least |
///
/// Beside `Module` the file may have `Logging:LogLevel:{target}`, what of a target such as `server_module` is shown: `Trace`,
/// `Debug`, `Information`, `Warning`, `Error`, `Critical` or `None`. `Default` is for all others, and is `Information`.
///
/// Names of applications begin with a letter and have letters, digits, `-`, `_` and `.`, at most 64. Times are `hh:mm:ss`
/// or seconds, sizes are bytes. `null` stands for a key that is not there. Relative paths start from the folder of the
/// file. Variables of the environment go before the file: `Module__ControlSocket`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModuleOptions {
    /// Where and how the module listens. Default is that of [`KestrelOptions`].
    #[doc(alias = "Endpoints")]
    pub kestrel: KestrelOptions,
    /// The path of the Unix socket that takes commands, at most 103 bytes. Default is none: there are no commands then.
    pub control_socket: Option<PathBuf>,
    /// What is logged. Default is `Information` and above.
    #[doc(alias = "Logging")]
    pub log_levels: LogLevels,
    /// The applications, in the order of their names.
    pub applications: Vec<ApplicationOptions>,
    /// What the files of the applications say and the module does not do.
    pub notes: Vec<String>,
    /// The endpoints as they were written.
    pub(crate) given: GivenEndpoints,
    /// The file that they are from, and what it was read in.
    source: Option<(PathBuf, Surroundings)>,
}

impl ModuleOptions {
    /// Reads a file, with the variables of the environment over it, and the `web.config` of every application.
    ///
    /// # Errors
    /// A file cannot be read, a key is not known, a value is wrong, a program is not there, or applications cannot stand
    /// side by side. The error has all faults, each with key and place; a file that is no JSON has one. Of a certificate,
    /// an endpoint or the limits it has the first.
    pub fn load(file: impl AsRef<Path>, surroundings: &Surroundings) -> Result<Self, SettingsError> {
        let file = surroundings.folder.join(file);
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let surroundings = Surroundings { folder, variables: surroundings.variables.clone() };
        let variables = surroundings.variables.iter().cloned().map(|(name, value)| (name, value, None));
        let mut problems = Problems::default();
        let alone = Configuration::builder().json_file(&file, false);
        let layers = alone.build().and_then(|alone| {
            // The environment has other keys at its top.
            let top = alone.section("");
            let mut top = Keys::new(&top, &mut problems);
            top.only(&TOP);
            let logging = top.section("Logging");
            top.of(&logging).only(&["LogLevel"]);
            Configuration::builder().chain(&alone).environment_variables(None, variables).build()
        });
        match layers {
            Ok(configuration) => {
                let mut options = read(&configuration, &surroundings, problems)?;
                options.source = Some((file, surroundings));
                Ok(options)
            }
            Err(error) => {
                problems.push(keys::with_cause(&error));
                problems.or_missing(None)
            }
        }
    }

    /// Reads the options of an application again from the file that these are from; none if they are from no file.
    pub(crate) fn reader_of(
        &self,
        application: &ApplicationOptions,
    ) -> Option<impl Fn() -> Result<ApplicationOptions, SettingsError> + Send + Sync + 'static> {
        let (file, surroundings) = self.source.clone()?;
        let name = application.name.clone();
        Some(move || {
            let applications = Self::load(&file, &surroundings)?.applications;
            applications.into_iter().find(|application| application.name == name).ok_or_else(|| {
                let mut problems = Problems::default();
                problems.push(format_args!("{}: Module:Applications:{name} is gone", file.display()));
                problems.finish()
            })
        })
    }

    /// Reads the section `Module` of a configuration; relative paths start from the folder of the surroundings.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_configuration(
        configuration: &Configuration,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        read(configuration, surroundings, Problems::default())
    }

    /// One program without any file: out of process, at `http://localhost:5000`, for all hosts and paths. The path is
    /// relative to the folder of the surroundings, which is the application's; a `web.config` there is not read.
    ///
    /// # Errors
    /// There is no such program, or it may not be executed.
    pub fn for_program(
        program: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let mut problems = Problems::default();
        let path = surroundings.folder.join(&program);
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let found = match path.to_str() {
            Some(text) => command::find_program(text, &surroundings.folder, None)
                .map_err(|error| problems.push(error))
                .ok(),
            None => {
                problems.push(format_args!(
                    "the path {} is not in UTF-8; give the program another name",
                    path.display()
                ));
                None
            }
        };
        let application = found.map(|program| ApplicationOptions {
            arguments: arguments.into_iter().map(Into::into).collect(),
            ..ApplicationOptions::new(name, surroundings.folder.clone(), program)
        });
        let options = application.map(|application| Self {
            kestrel: KestrelOptions::default(),
            control_socket: None,
            log_levels: LogLevels::default(),
            applications: vec![application],
            notes: Vec::new(),
            given: GivenEndpoints::default(),
            source: None,
        });
        problems.or_missing(options)
    }

    /// Puts endpoints at these addresses, called `url0` and on, over those that there are. In the environment Development
    /// (`ASPNETCORE_ENVIRONMENT` of the surroundings) https addresses have the user's certificate for development.
    ///
    /// # Errors
    /// An address cannot be understood, or the certificate cannot be made.
    #[doc(alias = "UseUrls")]
    pub fn at_urls<'a>(
        mut self,
        urls: impl IntoIterator<Item = &'a str>,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let mut problems = Problems::default();
        let keys = urls.into_iter().enumerate();
        let keys: Vec<_> =
            keys.map(|(number, url)| (format!("{ROOT}:Endpoints:url{number}:Url"), url)).collect();
        let values = keys.iter().map(|(key, url)| (key.as_str(), *url));
        match Configuration::builder().values(values).build() {
            Ok(configuration) => {
                let section = configuration.section(ROOT);
                self.given = GivenEndpoints::read(&section, &surroundings.folder);
                let environment = environment(&surroundings.folder);
                if let Err(errors) = kestrel_endpoints::apply(&section, &environment, &mut self.kestrel) {
                    errors.iter().for_each(|error| problems.push(keys::with_cause(error)));
                }
            }
            Err(error) => problems.push(keys::with_cause(&error)),
        }
        let name = ["ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT"];
        let name = name.iter().find_map(|name| command::lookup(&surroundings.variables, name));
        if name.is_some_and(|name| name.eq_ignore_ascii_case("Development")) {
            match kestrel_endpoints::use_development_certificate(&mut self.kestrel) {
                Ok(notes) => self.notes.extend(notes),
                Err(error) => problems.push(keys::with_cause(&error)),
            }
        }
        problems.or(self)
    }

    /// The routes of an endpoint, by its name; `None` is the endpoint of [`KestrelOptions`] when none is configured. The
    /// number of a route is the index in [`applications`](Self::applications).
    ///
    /// # Errors
    /// Applications that were changed after they were read have a host and a path in common.
    pub fn routes(&self, endpoint: Option<&str>) -> Result<Routes, crate::RouteError> {
        let here =
            self.applications.iter().enumerate().filter(|(_, application)| application.is_at(endpoint));
        Routes::new(here.map(|(index, application)| application.route(index)))
    }
}

fn read(
    configuration: &Configuration,
    surroundings: &Surroundings,
    mut problems: Problems,
) -> Result<ModuleOptions, SettingsError> {
    let section = configuration.section(ROOT);
    let mut options = ModuleOptions {
        kestrel: KestrelOptions::default(),
        control_socket: None,
        log_levels: LogLevels::default(),
        applications: Vec::new(),
        notes: Vec::new(),
        given: GivenEndpoints::read(&section, &surroundings.folder),
        source: None,
    };
    match LogLevels::of(configuration) {
        Ok(levels) => options.log_levels = levels,
        Err(errors) => errors.iter().for_each(|error| problems.push(error)),
    }
    let mut keys = Keys::new(&section, &mut problems);
    keys.only(&[&["Applications", "ControlSocket"][..], &kestrel_endpoints::KEYS].concat());
    let socket = keys.text("ControlSocket");
    options.control_socket = socket.map(|path| surroundings.folder.join(path));
    let too_long = options.control_socket.as_ref().filter(|path| path.as_os_str().len() > MAX_SOCKET_PATH);
    if too_long.is_some() {
        keys.wrong(
            "ControlSocket",
            format_args!("the path has more than {MAX_SOCKET_PATH} bytes, which no Unix socket can have"),
        );
    }
    let environment = environment(&surroundings.folder);
    if let Err(errors) = kestrel_endpoints::apply(&section, &environment, &mut options.kestrel) {
        errors.iter().for_each(|error| keys.push(keys::with_cause(error)));
    }
    keys.section("Applications");
    let applications = section.section("Applications");
    if applications.children().next().is_none() {
        problems.push("Module:Applications: there is none; expected one application at least, by its name");
    }
    let mut are_known = true;
    for section in applications.children() {
        are_known &= application::read(&section, surroundings, &mut options, &mut problems);
    }
    check::check(&options, configuration, are_known, &mut problems);
    problems.or(options)
}

/// What a host would find: relative paths start from the folder.
fn environment(folder: &Path) -> HostEnvironment {
    HostEnvironment {
        content_root: folder.to_owned(),
        application_name: "server-module".to_owned(),
        name: "Production".to_owned(),
    }
}

impl ApplicationOptions {
    /// A program with the default of everything else.
    fn new(name: String, folder: PathBuf, program: PathBuf) -> Self {
        Self {
            settings: AspNetCore::new(program.display().to_string()),
            name,
            folder,
            program,
            arguments: Vec::new(),
            max_allowed_content_length: WebConfig::DEFAULT_MAX_ALLOWED_CONTENT_LENGTH,
            hosts: Vec::new(),
            path_prefix: PathPrefix::root(),
            endpoints: Vec::new(),
            user: None,
            group: None,
            limits: WorkerLimits::default(),
            recycle: RecycleOptions::default(),
        }
    }

    /// Whether it is served at an endpoint.
    pub(crate) fn is_at(&self, endpoint: Option<&str>) -> bool {
        let is_named = |name: &str| self.endpoints.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.endpoints.is_empty() || endpoint.is_none_or(is_named)
    }

    fn route(&self, application: usize) -> Route {
        Route { application, hosts: self.hosts.clone(), path_prefix: self.path_prefix.clone() }
    }
}
