//! The module as a front of one program.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Error;
use crate::server::with_prefix;

/// What is sent to the module's log when it listens.
pub const LISTENS: &str = "Now listening on";

/// The command line of the module, which serves one application at the address. Its settings are written into the folder `work`.
///
/// # Errors
/// When they cannot be written.
pub fn module(
    programs: &Path,
    work: &Path,
    prefix: &[&str],
    address: SocketAddr,
    application: &Value,
) -> Result<Command, Error> {
    let settings = json!({ "Module": {
        "Endpoints": { "Web": { "Url": format!("http://{address}") } },
        "Applications": { "app": application },
    } });
    let file = work.join("module.json");
    fs::write(&file, settings.to_string())?;
    let mut command = with_prefix(prefix, programs.join("server-module"));
    command.args(["run", "--config"]).arg(file);
    Ok(command)
}
