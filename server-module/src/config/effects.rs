//! What an application's settings say and what has no effect, or not the one that was meant.

use std::path::Path;

use super::keys::Keys;
use crate::{AspNetCore, HandlerSettings, HostingModel, WebConfig, command};

/// Notes about settings that are not expanded yet; the arguments are those that are given as a list.
pub(super) fn notes(
    keys: &Keys<'_>,
    settings: &AspNetCore,
    arguments: Option<&[String]>,
    folder: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let notes =
        Notes { keys, file: folder.join(WebConfig::FILE_NAME).display().to_string(), found: Vec::new() };
    notes.in_process(settings).command_line(settings, arguments.is_some(), variable).found
}

struct Notes<'a> {
    keys: &'a Keys<'a>,
    /// The application's own file.
    file: String,
    found: Vec<String>,
}

impl Notes<'_> {
    fn push(&mut self, key: &str, attribute: &str, reason: &str) {
        self.found.push(match self.keys.has(key) {
            true => self.keys.note(key, reason),
            false => format!("{}: {attribute}: {reason}", self.file),
        });
    }

    /// What is for applications that the module forwards requests to.
    fn in_process(mut self, settings: &AspNetCore) -> Self {
        const REASON: &str = "it is not applied: the application is in process, and its requests do not pass through the module";
        if settings.hosting_model != HostingModel::InProcess {
            return self;
        }
        let (handler, plain) = (&settings.handler_settings, HandlerSettings::default());
        let differ = [
            (
                "RequestTimeout",
                "requestTimeout",
                settings.request_timeout != AspNetCore::new("").request_timeout,
            ),
            (
                "HandlerSettings:ForwardResponseConnectionHeader",
                "forwardResponseConnectionHeader",
                handler.forward_response_connection_header != plain.forward_response_connection_header,
            ),
            (
                "HandlerSettings:EnableOutOfProcessConsoleRedirection",
                "enableOutOfProcessConsoleRedirection",
                handler.enable_out_of_process_console_redirection
                    != plain.enable_out_of_process_console_redirection,
            ),
        ];
        for (key, attribute, differs) in differ {
            if differs || self.keys.has(key) {
                self.push(key, attribute, REASON);
            }
        }
        self
    }

    /// What is taken as it stands, as Windows does, and was hardly meant so.
    fn command_line(
        mut self,
        settings: &AspNetCore,
        has_list: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut texts = vec![
            ("Command", "processPath", settings.process_path.as_str()),
            ("StdoutLogFile", "stdoutLogFile", &settings.stdout_log_file),
        ];
        if !has_list {
            texts.push(("Arguments", "arguments", &settings.arguments));
            if command::has_open_quote(&settings.arguments) {
                self.push(
                    "Arguments",
                    "arguments",
                    "a quote is opened and not closed, so the last argument goes on to the end",
                );
            }
        }
        for (key, attribute, text) in texts {
            for name in command::unset_variables(text, &variable) {
                let reason = format!("there is no variable {name}, so %{name}% stays as it is written");
                self.push(key, attribute, &reason);
            }
        }
        for (name, value) in &settings.environment_variables {
            for unset in command::unset_variables(value, &variable) {
                let reason =
                    format!("{name}: there is no variable {unset}, so %{unset}% stays as it is written");
                self.push(&format!("EnvironmentVariables:{name}"), "environmentVariables", &reason);
            }
        }
        self
    }
}
