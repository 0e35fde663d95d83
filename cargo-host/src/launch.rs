//! What is started, with what around it.

mod behind;

use std::{error::Error, ffi::OsString, path::PathBuf};

use hosting::{ExecutableLaunch, LaunchProfile, LaunchSettings, SelectedProfile};

pub(crate) use self::behind::Behind;

use crate::{
    arguments::RunOptions,
    browser::Browser,
    workspace::{self, Package},
};

/// Tells the program which profile was applied. Set to nothing it says that there is none, so that the
/// program does not look for one itself.
const APPLIED_PROFILE: &str = "DOTNET_LAUNCH_PROFILE";

/// A program to start.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) working_directory: Option<PathBuf>,
    /// What is set over our own environment; the last of several wins.
    pub(crate) environment: Vec<(String, String)>,
    /// Whether the variables that tell of a crate are kept from the program: `cargo run` sets its own, and
    /// another program is no crate.
    pub(crate) hide_cargo: bool,
    /// The browser to open once the program listens.
    pub(crate) browser: Option<Browser>,
    /// The crate's program, whose file and arguments follow those of the program that is started.
    pub(crate) behind: Option<Behind>,
}

impl Launch {
    /// Plans the start of a crate's program. `lookup` reads our own environment; what the user should know
    /// is added to `messages`.
    pub(crate) fn plan(
        options: RunOptions,
        package: &Package,
        lookup: impl Fn(&str) -> Option<String>,
        messages: &mut Vec<String>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut selected = None;
        if !options.no_profile {
            let mut told = Vec::new();
            selected = LaunchSettings::choose(&package.folder, options.profile.as_deref(), &mut told)?;
            messages.extend(told.into_iter().map(|(_, text)| text));
        }
        if let Some(selected) = &selected
            && let Some(module) = selected.profile.module(&selected.iis_settings)
        {
            return behind::launch(options, package, selected, &module, lookup, messages);
        }
        match selected {
            Some(SelectedProfile { profile, path, .. }) if profile.is_executable() => {
                match profile.executable(&path, &lookup) {
                    Ok(executable) => return Ok(Self::executable(options, &profile, executable, lookup)),
                    Err(error) => messages.push(error.message(options.profile.as_deref()).1),
                }
                Ok(Self::project(options, package, None, lookup))
            }
            Some(SelectedProfile { profile, .. }) => {
                messages.extend(profile.dotnet_run_messages.then(|| "Building...".to_owned()));
                Ok(Self::project(options, package, Some(&profile), lookup))
            }
            None => Ok(Self::project(options, package, None, lookup)),
        }
    }

    /// `cargo run` of the crate.
    fn project(
        options: RunOptions,
        package: &Package,
        profile: Option<&LaunchProfile>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut arguments: Vec<OsString> = ["run", "--package", &package.name].map(Into::into).into();
        arguments.extend(options.release.then(|| "--release".into()));
        let profile_arguments = profile.map(LaunchProfile::command_line).unwrap_or_default();
        arguments.push("--".into());
        arguments.extend(application_arguments(&options, profile_arguments));
        Self {
            program: workspace::cargo(),
            arguments,
            working_directory: None,
            browser: profile.and_then(|profile| Browser::new(profile, &lookup)),
            environment: environment(profile, options.environment, lookup),
            hide_cargo: false,
            behind: None,
        }
    }

    /// The program of an `Executable` profile.
    fn executable(
        options: RunOptions,
        profile: &LaunchProfile,
        executable: ExecutableLaunch,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            program: executable.program.into(),
            arguments: application_arguments(&options, executable.arguments),
            working_directory: executable.working_directory,
            browser: Browser::new(profile, &lookup),
            environment: environment(Some(profile), options.environment, lookup),
            hide_cargo: true,
            behind: None,
        }
    }
}

/// The user's arguments; the profile's only if there are none.
fn application_arguments(options: &RunOptions, profile: Vec<String>) -> Vec<OsString> {
    if !options.arguments.is_empty() {
        options.arguments.clone()
    } else if options.no_profile_arguments {
        Vec::new()
    } else {
        profile.into_iter().map(Into::into).collect()
    }
}

fn environment(
    profile: Option<&LaunchProfile>,
    over: Vec<(String, String)>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let none = || vec![(APPLIED_PROFILE.to_owned(), String::new())];
    let mut environment = profile.map_or_else(none, |profile| profile.environment(lookup));
    environment.extend(over);
    environment
}

#[cfg(test)]
mod tests;
