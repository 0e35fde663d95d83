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
//! # Cargo features
//!
//! * `schema`: the JSON Schema of the module's file, for editors.

mod application;
mod backend;
mod cli;
pub mod command;
mod config;
mod control;
mod environment;
mod error;
mod forward;
mod front;
mod in_process;
mod module;
mod nearest;
mod output;
mod pages;
mod ranges;
mod routes;
#[cfg(feature = "schema")]
pub mod schema;
mod sockets_only;
mod status;
mod web_config;
mod worker;

pub use cli::run_command_line;
pub use config::{ApplicationOptions, ModuleOptions, RecycleOptions, Surroundings, WorkerLimits};
pub use error::SettingsError;
pub use in_process::InProcess;
pub use module::run;
pub use routes::{Found, HostPattern, PathPrefix, Route, RouteError, Routes};
pub use status::{ApplicationState, ApplicationStatus, WorkerStatus};
pub use web_config::{AspNetCore, HandlerSettings, HostingModel, WebConfig};
pub use worker::run_as_guard;
