//! The endpoints of a module that hands its listening sockets over to the application (the in-process model).
//!
//! The module says how they are served in the variable [`VARIABLE`]: a JSON object with the section `Module`, which has the
//! keys of [`kestrel_endpoints`](crate::kestrel_endpoints), and with `Folder`, where relative paths in it start. They stand
//! in the place of all addresses that code and configuration name, since the module owns the sockets. The variable counts in
//! the process that gets the sockets only, as `LISTEN_PID` says, and not in others that this one starts.

use std::path::PathBuf;

use server_kestrel::KestrelOptions;

use crate::kestrel_section::endpoints;
use crate::{Configuration, Error, HostEnvironment};

const VARIABLE: &str = "ASPNETCORE_MODULE_ENDPOINTS";

/// The section below which they stand.
const SECTION: &str = "Module";

/// What the module has said.
pub(crate) struct ModuleEndpoints {
    configuration: Configuration,
}

impl ModuleEndpoints {
    /// Those that are meant for this process, if there are any.
    pub(crate) fn find(configuration: &Configuration) -> Result<Option<Self>, Error> {
        let pid = configuration.get("LISTEN_PID");
        let is_for_us = pid.is_some_and(|pid| pid == std::process::id().to_string());
        let Some(text) = configuration.get(VARIABLE).filter(|_| is_for_us) else { return Ok(None) };
        let name = format!("environment variable {VARIABLE}");
        let configuration = Configuration::builder().json_text(name, text).build()?;
        Ok(Some(Self { configuration }))
    }

    /// Puts them in the place of those of the options. Limits that the module does not name stay.
    pub(crate) fn apply(
        &self,
        environment: &HostEnvironment,
        options: &mut KestrelOptions,
    ) -> Result<(), Error> {
        let content_root = self.configuration.get("Folder").map_or_else(PathBuf::new, PathBuf::from);
        let environment = HostEnvironment { content_root, ..environment.clone() };
        let none = KestrelOptions::default();
        options.endpoints = none.endpoints;
        options.https_defaults = none.https_defaults;
        options.default_protocols = none.default_protocols;
        options.default_socket_options = none.default_socket_options;
        options.inherit_listeners = true;
        endpoints::apply(&self.configuration.section(SECTION), &environment, options).map_err(|errors| {
            let error = Error::new("the endpoints that the module hands over cannot be used");
            match errors.into_iter().next() {
                Some(first) => error.with_source(first),
                None => error,
            }
        })
    }
}
