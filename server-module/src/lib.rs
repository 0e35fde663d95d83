//! Starts applications, watches them, and brings requests to them: what IIS and the ASP.NET Core Module are on Windows.
//!
//! This crate has the settings of that: an application's own [`web.config`](WebConfig), the [section
//! `Module`](ModuleOptions) of the module's file, the [command line](command) that an application is started with, and the
//! [routes](Routes) by which requests find their application.
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
mod module;
mod nearest;
mod output;
mod pages;
mod ranges;
mod routes;
#[cfg(feature = "schema")]
pub mod schema;
mod status;
mod web_config;
mod worker;

pub use cli::run_command_line;
pub use config::{ApplicationOptions, ModuleOptions, RecycleOptions, Surroundings, WorkerLimits};
pub use error::SettingsError;
pub use module::run;
pub use routes::{Found, HostPattern, PathPrefix, Route, RouteError, Routes};
pub use status::{ApplicationState, ApplicationStatus, WorkerStatus};
pub use web_config::{AspNetCore, HandlerSettings, HostingModel, WebConfig};
pub use worker::run_as_guard;
