//! The crate's program behind the module.

use std::{env, error::Error, ffi::OsString, path::PathBuf};

use hosting::{AncmHostingModel, LaunchProfile, ModuleLaunch, SelectedProfile};

use super::{Launch, application_arguments, environment};
use crate::{arguments::RunOptions, browser::Browser, build::Build, workspace::Package};

/// The name of the module's program, without the ending that a system may want.
const MODULE: &str = "server-module";

/// What the module starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// How its program comes to be.
    pub(crate) build: Build,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
}

/// `server-module run` of the crate's program.
pub(super) fn launch(
    options: RunOptions,
    package: &Package,
    selected: &SelectedProfile,
    module: &ModuleLaunch,
    lookup: impl Fn(&str) -> Option<String>,
    messages: &mut Vec<String>,
) -> Result<Launch, Box<dyn Error>> {
    let profile = &selected.profile;
    let program = find(&lookup).map_err(|places| {
        format!(
            "the launch profile {:?} starts the program behind the module, and its program {MODULE} is not there; it was \
             looked for in {places}; install it: cargo install --path server-module",
            profile.name
        )
    })?;
    if profile.command_name != "Module" && selected.iis_settings.windows_authentication {
        messages.push(
            "windowsAuthentication of iisSettings has no effect: the module knows no Windows identity."
                .to_owned(),
        );
    }
    messages.extend(profile.dotnet_run_messages.then(|| "Building...".to_owned()));
    let mut arguments: Vec<OsString> = vec!["run".into()];
    if !module.urls.is_empty() {
        arguments.extend(["--urls".into(), module.urls.join(";").into()]);
    }
    arguments.extend((module.hosting_model == AncmHostingModel::InProcess).then(|| "--in-process".into()));
    // The program finds its files where `cargo run` has it find them.
    let mut variables = vec![("CARGO_MANIFEST_DIR".to_owned(), package.folder.display().to_string())];
    let behind = Behind {
        build: Build::new(package, options.release),
        arguments: application_arguments(&options, LaunchProfile::command_line(profile)),
    };
    let browser = Browser::new(profile, &lookup).map(|browser| browser.expecting(&module.urls));
    variables.extend(environment(Some(profile), options.environment, lookup));
    Ok(Launch {
        program: program.into(),
        arguments,
        // The module takes it for the application's, in both models.
        working_directory: Some(package.folder.clone()),
        environment: variables,
        hide_cargo: false,
        browser,
        behind: Some(behind),
    })
}

/// The module's program: beside our own file, else in `PATH`. The error tells the places.
fn find(lookup: impl Fn(&str) -> Option<String>) -> Result<PathBuf, String> {
    let own = env::current_exe().ok().and_then(|file| Some(file.parent()?.to_owned()));
    let path = lookup("PATH").unwrap_or_default();
    let folders: Vec<_> = own.into_iter().chain(env::split_paths(&path)).collect();
    let name = format!("{MODULE}{}", env::consts::EXE_SUFFIX);
    let found = folders.iter().map(|folder| folder.join(&name)).find(|file| file.is_file());
    found.ok_or_else(|| match folders.first() {
        Some(own) => format!("{} and the folders of PATH", own.display()),
        None => "the folders of PATH".to_owned(),
    })
}
