use std::time::Duration;

use super::HandlerSettings;
use crate::command;

/// How an application is started and kept: the element `aspNetCore` of `web.config`.
///
/// Texts are as they were written: variables between `%` are not replaced yet, see [`expanded`](Self::expanded).
///
/// ```
/// use server_module::{AspNetCore, HostingModel};
/// let settings = AspNetCore { hosting_model: HostingModel::InProcess, ..AspNetCore::new("./shop") };
/// assert_eq!(settings.rapid_fails_per_minute, 10);
/// ```
#[doc(alias = "aspNetCore")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AspNetCore {
    /// The program: a path, relative to the application's folder, or a name that is looked for in `PATH`. Variables are
    /// expanded. It must be there. See [`command::find_program`](crate::command::find_program).
    #[doc(alias = "processPath")]
    pub process_path: String,
    /// The arguments, one text as Windows has it. Variables are expanded. Default is none. See
    /// [`command::split`](crate::command::split).
    pub arguments: String,
    /// Whether the application is a server of its own behind the module, or serves the module's sockets itself. Default is
    /// [`HostingModel::OutOfProcess`].
    #[doc(alias = "hostingModel")]
    pub hosting_model: HostingModel,
    /// How long the application may take until it listens. Range is 1 to 3600 seconds. Default is 120 seconds.
    #[doc(alias = "startupTimeLimit")]
    pub startup_time_limit: Duration,
    /// How long the application may take to stop before it is ended. Range is 0 to 600 seconds. Default is 10 seconds.
    #[doc(alias = "shutdownTimeLimit")]
    pub shutdown_time_limit: Duration,
    /// How often the application may fail within a minute before it is no longer started. Range is 0 to 100. Default is 10.
    #[doc(alias = "rapidFailsPerMinute")]
    pub rapid_fails_per_minute: u32,
    /// How long the module waits for each step of an answer; out of process only. Whole seconds, range is 1 second
    /// to 360 hours. Default is 2 minutes.
    #[doc(alias = "requestTimeout")]
    pub request_timeout: Duration,
    /// How many processes of the application there are at the same time. Range is 1 to 100. Default is 1.
    #[doc(alias = "processesPerApplication")]
    pub processes_per_application: u32,
    /// Whether standard output and standard error go to a file. Default is false.
    #[doc(alias = "stdoutLogEnabled")]
    pub stdout_log_enabled: bool,
    /// The beginning of that file's path; time, process id and `.log` are appended. Variables are expanded; a relative
    /// path starts from the application's folder, see [`command::local_path`](crate::command::local_path). The user of the
    /// processes opens the file, and makes the folders above it. Default is `.\aspnetcore-stdout`.
    #[doc(alias = "stdoutLogFile")]
    pub stdout_log_file: String,
    /// Whether a Windows identity is passed on. There is none here, so this is read and has no effect. Default is true.
    #[doc(alias = "forwardWindowsAuthToken")]
    pub forward_windows_auth_token: bool,
    /// Whether a failed start is answered with a plain status in the place of a page that explains it. Default is false.
    #[doc(alias = "disableStartUpErrorPage")]
    pub disable_start_up_error_page: bool,
    /// Names and values that are put over the environment of the module. The names are not empty and differ, also when
    /// case is not regarded. Variables in the values are expanded. Default is none.
    #[doc(alias = "environmentVariables")]
    pub environment_variables: Vec<(String, String)>,
    /// The settings of the request handler. Default is what each one says.
    #[doc(alias = "handlerSettings")]
    pub handler_settings: HandlerSettings,
}

impl AspNetCore {
    /// A program with the default of everything else.
    pub fn new(process_path: impl Into<String>) -> Self {
        Self {
            process_path: process_path.into(),
            arguments: String::new(),
            hosting_model: HostingModel::OutOfProcess,
            startup_time_limit: Duration::from_secs(120),
            shutdown_time_limit: Duration::from_secs(10),
            rapid_fails_per_minute: 10,
            request_timeout: Duration::from_secs(120),
            processes_per_application: 1,
            stdout_log_enabled: false,
            stdout_log_file: r".\aspnetcore-stdout".to_owned(),
            forward_windows_auth_token: true,
            disable_start_up_error_page: false,
            environment_variables: Vec::new(),
            handler_settings: HandlerSettings::default(),
        }
    }

    /// A copy in which the variables between `%` have been replaced in the process path, the arguments, the file of the
    /// standard output and the values of environment variables, by [`command::expand`].
    #[must_use]
    pub fn expanded(&self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let expand = |text: &String| command::expand(text, &variable);
        Self {
            process_path: expand(&self.process_path),
            arguments: expand(&self.arguments),
            stdout_log_file: expand(&self.stdout_log_file),
            environment_variables: self
                .environment_variables
                .iter()
                .map(|(name, value)| (name.clone(), expand(value)))
                .collect(),
            ..self.clone()
        }
    }
}

/// Where an application serves its requests.
///
/// The module itself takes `web.config` without a `hostingModel` as out of process; what `dotnet publish` writes says
/// `inprocess`.
#[doc(alias = "hostingModel")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HostingModel {
    /// The application is the worker process and serves the module's sockets itself.
    #[doc(alias = "inprocess")]
    InProcess,
    /// The application listens on a port of its own, and the module forwards requests to it.
    #[doc(alias = "outofprocess")]
    #[default]
    OutOfProcess,
}
