//! Starts applications, watches them, and brings requests to them: what IIS and the ASP.NET Core Module are on Windows.
//!
//! The program is `server-module`: `server-module run ./app` starts an application with the first request, watches it, starts
//! it again when it dies, and ends it politely. *Out of process* the module forwards requests to a port that the application
//! was given; *in process* the application serves the module's own sockets ([`InProcess`]). As a library it is [`run`] with
//! [`ModuleOptions`]; a program of one's own calls [`run_as_guard`] first, since the module starts itself beside each process
//! that it keeps.
//!
//! The settings are an application's own [`web.config`](WebConfig), the [section `Module`](ModuleOptions) of the module's
//! file, the [command line](command) that an application is started with, and the [routes](Routes) by which requests find
//! their application.
//!
//! ```
//! use server_module::WebConfig;
//!
//! let config = WebConfig::parse(
//!     "web.config",
//!     r#"<configuration>
//!       <system.webServer>
//!         <aspNetCore processPath=".\shop.exe" arguments="--verbose" hostingModel="inprocess" />
//!       </system.webServer>
//!     </configuration>"#,
//! )?;
//! assert_eq!(config.asp_net_core.process_path, r".\shop.exe");
//! assert_eq!(config.asp_net_core.shutdown_time_limit.as_secs(), 10);
//! # Ok::<(), server_module::SettingsError>(())
//! ```
//!
//! # As a library
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use server_module::{ModuleOptions, Surroundings, run, run_as_guard};
//!
//! fn main() -> ExitCode {
//!     // This process may be one that a module has started beside a process that it keeps.
//!     if let Some(code) = run_as_guard(std::env::args_os().skip(1)) {
//!         return code;
//!     }
//!     match serve() {
//!         Ok(()) => ExitCode::SUCCESS,
//!         Err(error) => {
//!             eprintln!("{error}");
//!             ExitCode::FAILURE
//!         }
//!     }
//! }
//!
//! #[tokio::main]
//! async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let options = ModuleOptions::load("module.json", &Surroundings::of_the_process()?)?;
//!     run(options).await
//! }
//! ```
//!
//! # Cargo features
//!
//! * `metrics`: metrics through the global meter provider of OpenTelemetry, as it is when [`run`] begins: those of requests and
//!   connections that `hosting` has, and with the attributes `server_module.application` and `server_module.hosting_model`
//!
//!   | instrument | kind | unit | what it tells |
//!   |---|---|---|---|
//!   | `server_module.workers` | up-down counter | `{process}` | processes that are ready |
//!   | `server_module.memory` | up-down counter | `By` | their memory |
//!   | `server_module.starts` | counter | `{process}` | processes that were started |
//!   | `server_module.failures` | counter | `{failure}` | processes that ended by themselves or could not be started |
//!
//!   The program `server-module` is built without it.
//! * `schema`: the JSON Schema of the module's file, for editors.

mod application;
mod backend;
mod cli;
pub mod command;
mod config;
mod control;
mod environment;
mod error;
mod folder_file;
mod forward;
mod front;
mod in_process;
#[cfg(feature = "metrics")]
mod metrics;
mod module;
mod nearest;
mod output;
mod pages;
mod ranges;
mod reload;
mod routes;
#[cfg(feature = "schema")]
pub mod schema;
mod sockets_only;
mod status;
mod stdout;
mod web_config;
mod worker;

pub use cli::run_command_line;
pub use config::{ApplicationOptions, ModuleOptions, RecycleOptions, Surroundings, WorkerLimits};
pub use error::SettingsError;
pub use in_process::InProcess;
pub use module::run;
pub use routes::{Found, HostPattern, PathPrefix, Route, RouteError, Routes};
pub use status::{ApplicationState, ApplicationStatus, WorkerState, WorkerStatus};
pub use web_config::{AspNetCore, HandlerSettings, HostingModel, WebConfig};
pub use worker::run_as_guard;
