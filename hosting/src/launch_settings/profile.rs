#[cfg(feature = "schema")]
use std::collections::BTreeMap;

use super::text;

/// The `commandName` of a profile that starts the crate's own program.
pub(super) const PROJECT: &str = "Project";
/// The `commandName` of a profile that starts another program.
pub(super) const EXECUTABLE: &str = "Executable";

/// The `commandName` of a profile that starts the crate's own program behind the module.
pub(super) const MODULE: &str = "Module";
/// The same with the addresses of `iisSettings:iis`.
pub(super) const IIS: &str = "IIS";
/// The same with the addresses of `iisSettings:iisExpress`.
pub(super) const IIS_EXPRESS: &str = "IISExpress";

/// A launch profile. Every field is the key of the same name in camel case.
///
/// The keys from [`hot_reload_enabled`](Self::hot_reload_enabled) on are for editors and other tools; they
/// are here to be read, and starting a program takes no notice of them but for
/// [`ancm_hosting_model`](Self::ancm_hosting_model).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename_all = "camelCase", default, description = "A way to start the program.")
)]
#[cfg_attr(feature = "schema", schemars(extend("required" = ["commandName"])))]
#[non_exhaustive]
pub struct LaunchProfile {
    /// The profile's name.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub name: String,
    /// What is started: `Project`, `Executable`, `Module`, `IIS`, `IISExpress`, or a type that only an editor knows. Empty
    /// if missing.
    #[cfg_attr(feature = "schema", schemars(description = "What is started: `Project`, `Executable`, `Module`, `IIS`, `IISExpress`, or a type that only an editor knows. It must be there.", extend("examples" = ["Project", "Executable", "Module", "IIS", "IISExpress"])))]
    pub command_name: String,
    /// The program's arguments in one text, see [`command_line`](Self::command_line).
    #[cfg_attr(
        feature = "schema",
        schemars(description = "The program's arguments in one text, for when it gets no others.")
    )]
    pub command_line_args: Option<String>,
    /// The addresses to listen on, separated by `;`.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["https://localhost:5001;http://localhost:5000"])))]
    pub application_url: Option<String>,
    /// Environment variables in the order of the file; `%NAME%` stands for the value of another one.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, String>", extend("default" = {})))]
    pub environment_variables: Vec<(String, String)>,
    /// Whether to say that the program is being built. Default is `false`.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("type" = ["boolean", "string"], "enum" = [true, false, "true", "false"]))
    )]
    pub dotnet_run_messages: bool,
    /// Whether to open a browser once the program listens. Default is `false`.
    pub launch_browser: bool,
    /// What the browser opens: a whole address, or a path below the program's.
    pub launch_url: Option<String>,
    /// The program of an `Executable` profile.
    pub executable_path: Option<String>,
    /// Where an `Executable` profile starts its program, seen from the file's folder.
    pub working_directory: Option<String>,
    /// Whether changes are applied to the running program. Default is `true`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub hot_reload_enabled: bool,
    /// The address at which a browser's debugger is reached.
    pub inspect_uri: Option<String>,
    /// How the module or IIS runs the program. Default is `InProcess`.
    pub ancm_hosting_model: Option<AncmHostingModel>,
    /// Whether IIS Express is the 64-bit one. Default is `true`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub use_64_bit: bool,
    /// Whether the program goes on when debugging ends. Default is `false`.
    pub leave_running_on_close: bool,
    /// Whether the addresses are configured elsewhere. Default is `false`.
    pub external_url_configuration: bool,
    /// How a remote debugger authenticates: `None` or `Windows`.
    pub authentication_mode: Option<String>,
    /// Whether native code is debugged. Default is `false`.
    pub native_debugging: bool,
    /// Whether SQL is debugged. Default is `false`.
    pub sql_debugging: bool,
    /// Whether scripts in WebView2 are debugged. Default is `false`.
    pub js_web_view2_debugging: bool,
    /// Whether the program is debugged on another machine. Default is `false`.
    pub remote_debug_enabled: bool,
    /// That machine.
    pub remote_debug_machine: Option<String>,
    /// Whether a container listens with HTTPS. Default is `false`.
    #[cfg_attr(feature = "schema", schemars(rename = "useSSL"))]
    pub use_ssl: bool,
    /// The port for HTTPS. Default is 0, which is none.
    pub ssl_port: u16,
    /// Whether a container publishes its ports. Default is `false`.
    pub publish_all_ports: bool,
}

/// How the module or IIS runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AncmHostingModel {
    /// It serves the sockets itself, or in IIS's worker process.
    InProcess,
    /// It is a server of its own, to which is forwarded.
    OutOfProcess,
}

impl LaunchProfile {
    /// The environment variables that the profile sets, in the order in which they are set, each once: for the crate's
    /// own program the addresses as `ASPNETCORE_URLS` (the module has them itself), the profile's name as `DOTNET_LAUNCH_PROFILE`, then
    /// `environmentVariables`, which may change both.
    ///
    /// `lookup` gives the variables that `%NAME%` stands for; one that it does not know stays as it is.
    #[must_use]
    pub fn environment(&self, lookup: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
        let mut environment = Vec::with_capacity(self.environment_variables.len() + 2);
        let url = self.application_url.as_deref().filter(|url| !url.is_empty());
        if let Some(url) = url.filter(|_| self.command_name == PROJECT) {
            set(&mut environment, "ASPNETCORE_URLS", url.to_owned());
        }
        set(&mut environment, "DOTNET_LAUNCH_PROFILE", self.name.clone());
        for (name, value) in &self.environment_variables {
            set(&mut environment, name, text::expand(value, &lookup));
        }
        environment
    }

    /// `commandLineArgs` as single arguments. Blanks separate them except between double quotes; `\"` is a
    /// quote, and a backslash before anything else is itself.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        self.command_line_args.as_deref().map(text::split).unwrap_or_default()
    }

    /// The addresses of `applicationUrl`.
    pub fn application_urls(&self) -> impl Iterator<Item = &str> {
        let urls = self.application_url.as_deref().unwrap_or_default();
        urls.split(';').map(str::trim).filter(|url| !url.is_empty())
    }

    /// Whether the profile starts another program than the crate's own, see [`executable`](Self::executable).
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.command_name == EXECUTABLE
    }

    /// Whether a program can be started by it.
    pub(super) fn is_usable(&self) -> bool {
        self.command_name == PROJECT || self.is_executable() || self.is_behind_module()
    }
}

impl Default for LaunchProfile {
    fn default() -> Self {
        Self {
            name: String::new(),
            command_name: String::new(),
            command_line_args: None,
            application_url: None,
            environment_variables: Vec::new(),
            dotnet_run_messages: false,
            launch_browser: false,
            launch_url: None,
            executable_path: None,
            working_directory: None,
            hot_reload_enabled: true,
            inspect_uri: None,
            ancm_hosting_model: None,
            use_64_bit: true,
            leave_running_on_close: false,
            external_url_configuration: false,
            authentication_mode: None,
            native_debugging: false,
            sql_debugging: false,
            js_web_view2_debugging: false,
            remote_debug_enabled: false,
            remote_debug_machine: None,
            use_ssl: false,
            ssl_port: 0,
            publish_all_ports: false,
        }
    }
}

fn set(environment: &mut Vec<(String, String)>, name: &str, value: String) {
    match environment.iter_mut().find(|(other, _)| other == name) {
        Some(entry) => entry.1 = value,
        None => environment.push((name.to_owned(), value)),
    }
}
