//! One program, without a file.

use std::path::{Path, PathBuf};

use hosting::{Configuration, LogLevels, kestrel_endpoints};

use super::keys::{self, Keys};
use super::{
    ApplicationOptions, GivenEndpoints, ModuleOptions, ROOT, Surroundings, control_socket, environment,
};
use crate::error::Problems;
use crate::{SettingsError, command};

/// What the names of variables begin with that say where the module listens.
const ENDPOINTS: &str = "module__endpoints__";

impl ModuleOptions {
    /// One program without any file: out of process, for all hosts and paths. The path is relative to the folder of the
    /// surroundings, which is the application's; a `web.config` there is not read. Variables of the surroundings say what a
    /// file would say of the module itself: `Module__ControlSocket`, `Module__Endpoints__{name}__Url` and what else belongs
    /// to endpoints, and `Logging__LogLevel__{target}`. Without endpoints it is at `http://localhost:5000`.
    ///
    /// # Errors
    /// There is no such program, or it may not be executed; or a variable is wrong, or a key below `Module` that only a file
    /// can have.
    pub fn for_program(
        program: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let mut problems = Problems::default();
        let mut options = Self::empty();
        let path = surroundings.folder.join(&program);
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(program) = find(&path, surroundings, &mut problems) {
            options.applications.push(ApplicationOptions {
                arguments: arguments.into_iter().map(Into::into).collect(),
                ..ApplicationOptions::new(name, surroundings.folder.clone(), program)
            });
        }
        match variables(surroundings, |_| true) {
            Ok(configuration) => options.apply(&configuration, surroundings, &mut problems),
            Err(error) => problems.push(keys::with_cause(&error)),
        }
        problems.or(options)
    }

    /// Adds endpoints at these addresses, called `url0` and on, to those that there are. In the environment Development
    /// (`ASPNETCORE_ENVIRONMENT` of the surroundings) https addresses have the user's certificate for development; others
    /// need one in the variables `Module__Certificates__Default__Path` and `Module__Certificates__Default__KeyPath`, which are
    /// read again here, as are defaults and limits.
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
        let is_other = |name: &str| !name.to_ascii_lowercase().starts_with(ENDPOINTS);
        let layers = variables(surroundings, is_other)
            .and_then(|others| Configuration::builder().chain(&others).values(values).build());
        match layers {
            Ok(configuration) => self.add_endpoints(&configuration, surroundings, &mut problems),
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

    /// What variables say of the module itself.
    fn apply(&mut self, variables: &Configuration, surroundings: &Surroundings, problems: &mut Problems) {
        match LogLevels::of(variables) {
            Ok(levels) => self.log_levels = levels,
            Err(errors) => errors.iter().for_each(|error| problems.push(error)),
        }
        let section = variables.section(ROOT);
        let mut keys = Keys::new(&section, problems);
        for child in section.section("Applications").children() {
            let key = format!("Applications:{}", child.key());
            keys.wrong(&key, "a program that is run without a file has no such keys; write them into a file, and run that by --config");
        }
        keys.only(&[&["Applications", "ControlSocket"][..], &kestrel_endpoints::KEYS].concat());
        self.control_socket = control_socket(&mut keys, surroundings);
        self.places = Some(variables.clone());
        self.add_endpoints(variables, surroundings, problems);
    }

    fn add_endpoints(
        &mut self,
        configuration: &Configuration,
        surroundings: &Surroundings,
        problems: &mut Problems,
    ) {
        let section = configuration.section(ROOT);
        self.given.add(GivenEndpoints::read(&section, &surroundings.folder));
        let environment = environment(&surroundings.folder);
        if let Err(errors) = kestrel_endpoints::apply(&section, &environment, &mut self.kestrel) {
            errors.iter().for_each(|error| problems.push(keys::with_cause(error)));
        }
    }
}

/// The variables of these names as a configuration.
fn variables(
    surroundings: &Surroundings,
    is_meant: impl Fn(&str) -> bool,
) -> Result<Configuration, hosting::ConfigurationError> {
    let variables = surroundings.variables.iter().filter(|(name, _)| is_meant(name)).cloned();
    let variables = variables.map(|(name, value)| (name, value, None));
    Configuration::builder().environment_variables(None, variables).build()
}

fn find(path: &Path, surroundings: &Surroundings, problems: &mut Problems) -> Option<PathBuf> {
    match path.to_str() {
        Some(text) => {
            command::find_program(text, &surroundings.folder, None).map_err(|error| problems.push(error)).ok()
        }
        None => {
            problems.push(format_args!(
                "the path {} is not in UTF-8; give the program another name",
                path.display()
            ));
            None
        }
    }
}
