//! The section `Module` of the module's file.

mod again;
mod application;
mod check;
mod effects;
mod given;
mod keys;
mod options;
mod program;
mod source;
mod surroundings;
mod system;

use std::path::{Path, PathBuf};

use hosting::{Configuration, Endpoint, HostEnvironment, KestrelOptions, LogLevels, kestrel_endpoints};

use self::keys::Keys;
use self::source::Source;
use crate::error::Problems;
use crate::{AspNetCore, PathPrefix, Route, Routes, SettingsError, WebConfig};

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
    /// The file that they are from.
    source: Option<Source>,
    /// Where each key stands.
    places: Option<Configuration>,
}

impl ModuleOptions {
    /// Reads a file, with the variables of the environment over it, and the `web.config` of every application.
    ///
    /// # Errors
    /// A file cannot be read, a key is not known, a value is wrong, a program is not there, or applications cannot stand
    /// side by side. The error has all faults, each with key and place; a file that is no JSON has one. Of a certificate,
    /// an endpoint or the limits it has the first.
    pub fn load(file: impl AsRef<Path>, surroundings: &Surroundings) -> Result<Self, SettingsError> {
        let source = Source::new(file.as_ref(), surroundings);
        let layers = source.read()?;
        let mut problems = Problems::default();
        layers.check_top(&mut problems);
        let mut options = read(&layers.all, &source.surroundings, Some(&source.file), problems)?;
        options.source = Some(source);
        Ok(options)
    }

    /// The path of the control socket as a file and the environment have it. Nothing else is looked at, so that a module
    /// can be asked whatever has become of its file since it was started.
    ///
    /// # Errors
    /// The file cannot be read or is no JSON, or this key is wrong.
    pub(crate) fn control_socket_of(
        file: &Path,
        surroundings: &Surroundings,
    ) -> Result<Option<PathBuf>, SettingsError> {
        let source = Source::new(file, surroundings);
        let section = source.read()?.all.section(ROOT);
        let mut problems = Problems::default();
        let socket = control_socket(&mut Keys::new(&section, &mut problems), &source.surroundings);
        problems.or(socket)
    }

    /// Reads the options of an application again from the file that these are from; none if they are from no file.
    pub(crate) fn reader_of(
        &self,
        application: &ApplicationOptions,
    ) -> Option<impl Fn() -> Result<ApplicationOptions, SettingsError> + Send + Sync + 'static> {
        let source = self.source.clone()?;
        let application = application.clone();
        Some(move || again::read(&source, &application))
    }

    /// Reads the section `Module` of a configuration; relative paths start from the folder of the surroundings.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_configuration(
        configuration: &Configuration,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        read(configuration, surroundings, None, Problems::default())
    }

    /// The endpoints with TLS that have no certificate.
    pub(crate) fn without_certificate(&self) -> impl Iterator<Item = &Endpoint> {
        let defaults = self.kestrel.https_defaults.as_ref();
        let has_default = defaults.is_some_and(|https| !https.needs_certificate());
        let is_without = move |endpoint: &&Endpoint| {
            !has_default && endpoint.https.as_ref().is_some_and(|https| https.needs_certificate())
        };
        self.kestrel.endpoints.iter().filter(is_without)
    }

    fn empty() -> Self {
        Self {
            kestrel: KestrelOptions::default(),
            control_socket: None,
            log_levels: LogLevels::default(),
            applications: Vec::new(),
            notes: Vec::new(),
            given: GivenEndpoints::default(),
            source: None,
            places: None,
        }
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
    file: Option<&Path>,
    mut problems: Problems,
) -> Result<ModuleOptions, SettingsError> {
    let section = configuration.section(ROOT);
    let given = GivenEndpoints::read(&section, &surroundings.folder);
    let mut options = ModuleOptions { given, ..ModuleOptions::empty() };
    match LogLevels::of(configuration) {
        Ok(levels) => options.log_levels = levels,
        Err(errors) => errors.iter().for_each(|error| problems.push(error)),
    }
    let mut keys = Keys::new(&section, &mut problems);
    keys.only(&[&["Applications", "ControlSocket"][..], &kestrel_endpoints::KEYS].concat());
    options.control_socket = control_socket(&mut keys, surroundings);
    let environment = environment(&surroundings.folder);
    if let Err(errors) = kestrel_endpoints::apply(&section, &environment, &mut options.kestrel) {
        errors.iter().for_each(|error| keys.push(keys::with_cause(error)));
    }
    let before = keys.problems();
    let applications =
        keys.named("Applications", "a section of applications by their names: { \"shop\": { ... } }");
    if applications.is_empty() && keys.problems() == before {
        let place = file.map(|file| format!(" ({})", file.display())).unwrap_or_default();
        keys.push(format_args!(
            "{ROOT}:Applications{place}: there is none; expected one application at least, by its name"
        ));
    }
    let mut are_known = true;
    for section in applications {
        are_known &= application::read(&section, surroundings, &mut options, &mut problems);
    }
    check::check(&options, configuration, are_known, &mut problems);
    options.places = Some(configuration.clone());
    problems.or(options)
}

/// The path of the control socket, if there is one and it can be one.
fn control_socket(keys: &mut Keys<'_>, surroundings: &Surroundings) -> Option<PathBuf> {
    const KEY: &str = "ControlSocket";
    let path = surroundings.folder.join(keys.text(KEY)?);
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        keys.wrong(
            KEY,
            format_args!("the path has more than {MAX_SOCKET_PATH} bytes, which no Unix socket can have"),
        );
        return None;
    }
    Some(path)
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
