//! What the module is configured with: `web.config`, the section `Module`, and the programs that both name.

mod applications;
mod arguments;
mod module_section;
mod programs;
mod web_config;
mod web_config_rows;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use server_module::{SettingsError, WebConfig};

use crate::program::Folder;

/// A file with one `aspNetCore` element, which stands in line 3, column 5.
fn file(attributes: &str, children: &str) -> String {
    format!(
        "<configuration>\n  <system.webServer>\n    <aspNetCore {attributes}>{children}</aspNetCore>\n  </system.webServer>\n</configuration>\n"
    )
}

fn parse(attributes: &str, children: &str) -> Result<WebConfig, SettingsError> {
    WebConfig::parse("web.config", &file(attributes, children))
}

/// All that is wrong with a file.
fn problems<T: std::fmt::Debug>(result: Result<T, SettingsError>) -> Vec<String> {
    result.unwrap_err().problems().map(str::to_owned).collect()
}

/// A file that may be executed.
fn program(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.write(name, "#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
