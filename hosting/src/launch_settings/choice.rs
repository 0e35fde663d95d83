//! Which launch profile a program applies to itself when `cargo run` started it.
//!
//! `cargo host run` sets the profile's variables before the program starts. A plain `cargo run` knows of no
//! profiles, so the program looks for one itself. It cannot change its own environment any more; the
//! profile's variables are a layer of the configuration only, and its children do not see them.

use std::{fmt, path::Path};

use tracing::Level;

use super::{LaunchProfile, LaunchSettings, LaunchSettingsError, SelectedProfile, error::Kind};

/// What the program starts with. See [`LaunchChoice::make`].
#[derive(Debug)]
pub(crate) struct LaunchChoice {
    /// The profile that is applied.
    pub(crate) profile: Option<AppliedProfile>,
    /// Why none was looked for.
    pub(crate) skipped: Option<SkipReason>,
    /// The application's arguments: without our switches, and with the profile's if there were none.
    pub(crate) arguments: Vec<String>,
    /// What to tell the user.
    pub(crate) messages: Vec<(Level, String)>,
}

/// A profile's environment variables and what to call their source.
#[derive(Debug)]
pub(crate) struct AppliedProfile {
    pub(crate) source: String,
    pub(crate) environment: Vec<(String, String)>,
}

/// Why no profile was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// `--no-launch-profile` was given.
    Declined,
    /// `DOTNET_LAUNCH_PROFILE` is set, if only to nothing: whoever started the program has chosen.
    AlreadyApplied,
    /// `ASPNETCORE_TOKEN` is set: a module started the program.
    UnderModule,
    /// `LISTEN_FDS` is set: the program was handed its sockets.
    HandedSockets,
    /// `CARGO_MANIFEST_DIR` is not set: cargo did not start the program.
    NotUnderCargo,
    /// The program lies in a folder called `deps`: it is a test.
    UnderTest,
}

impl LaunchChoice {
    /// Chooses from the program's arguments (without its own name), its environment and its file.
    ///
    /// `--launch-profile NAME`, `--launch-profile=NAME`, `-lp NAME`, `-lp=NAME`, `--no-launch-profile` and
    /// `--no-launch-profile-arguments` are ours up to a literal `--`; they never reach the application,
    /// even if no profile is looked for.
    pub(crate) fn make(
        arguments: impl IntoIterator<Item = String>,
        lookup: impl Fn(&str) -> Option<String>,
        program: &Path,
    ) -> Result<Self, LaunchSettingsError> {
        let switches = Switches::take(arguments)?;
        let mut choice =
            Self { profile: None, skipped: None, arguments: switches.others, messages: Vec::new() };
        let name = switches.profile.as_deref();
        let project = match skip_reason(switches.no_profile, &lookup, program) {
            Ok(project) => project,
            Err(reason) => {
                choice.messages.extend(name.map(|name| {
                    (Level::WARN, format!("--launch-profile {name} has no effect because {reason}"))
                }));
                choice.skipped = Some(reason);
                return Ok(choice);
            }
        };
        let selected = LaunchSettings::choose(Path::new(&project), name, &mut choice.messages)?;
        let Some(SelectedProfile { profile, path, .. }) = selected else { return Ok(choice) };
        if profile.is_executable() || profile.is_behind_module() {
            let here = Kind::NotHere(profile.command_name);
            choice.messages.push(LaunchSettingsError::from(here).message(name));
            return Ok(choice);
        }
        if choice.arguments.is_empty() && !switches.no_profile_arguments {
            choice.arguments = profile.command_line();
        }
        choice.profile = Some(AppliedProfile::new(&profile, &path, lookup));
        Ok(choice)
    }

    /// The process's variables with the profile's in their place, as a configuration takes them.
    pub(crate) fn over(
        &self,
        process: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<(String, String, Option<String>)> {
        let profile = self.profile.iter().flat_map(|profile| {
            let source = &profile.source;
            profile.environment.iter().map(move |(name, value)| (name, value, source))
        });
        let is_set = |name: &str| profile.clone().any(|(other, ..)| same_variable(other, name));
        let kept = process.into_iter().filter(|(name, _)| !is_set(name));
        let kept = kept.map(|(name, value)| (name, value, None));
        kept.chain(
            profile.clone().map(|(name, value, source)| (name.clone(), value.clone(), Some(source.clone()))),
        )
        .collect()
    }
}

impl AppliedProfile {
    fn new(profile: &LaunchProfile, path: &Path, lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            source: format!("launch profile {:?} in {}", profile.name, path.display()),
            environment: profile.environment(lookup),
        }
    }
}

/// The folder to look for a profile in, or why not to.
fn skip_reason(
    no_profile: bool,
    lookup: impl Fn(&str) -> Option<String>,
    program: &Path,
) -> Result<String, SkipReason> {
    let is_set = |name| lookup(name).is_some();
    if no_profile {
        Err(SkipReason::Declined)
    } else if is_set("DOTNET_LAUNCH_PROFILE") {
        Err(SkipReason::AlreadyApplied)
    } else if is_set("ASPNETCORE_TOKEN") {
        Err(SkipReason::UnderModule)
    } else if is_set("LISTEN_FDS") {
        Err(SkipReason::HandedSockets)
    } else if program.parent().is_some_and(|folder| folder.ends_with("deps")) {
        Err(SkipReason::UnderTest)
    } else {
        lookup("CARGO_MANIFEST_DIR").ok_or(SkipReason::NotUnderCargo)
    }
}

/// Variables differ in case on Unix and do not on Windows.
fn same_variable(left: &str, right: &str) -> bool {
    if cfg!(windows) { left.eq_ignore_ascii_case(right) } else { left == right }
}

/// Our switches, and what is left for the application.
#[derive(Default)]
struct Switches {
    profile: Option<String>,
    no_profile: bool,
    no_profile_arguments: bool,
    others: Vec<String>,
}

impl Switches {
    fn take(arguments: impl IntoIterator<Item = String>) -> Result<Self, LaunchSettingsError> {
        let mut switches = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (switch, value) = match argument.split_once('=') {
                Some((switch, value)) => (switch, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            match (switch, &value) {
                ("--launch-profile" | "-lp", _) => {
                    let name = value.or_else(|| arguments.next());
                    switches.profile = Some(name.ok_or_else(|| Kind::NoName(switch.to_owned()))?);
                }
                ("--no-launch-profile", None) => switches.no_profile = true,
                ("--no-launch-profile-arguments", None) => switches.no_profile_arguments = true,
                ("--", None) => {
                    switches.others.push(argument);
                    switches.others.extend(arguments.by_ref());
                }
                _ => switches.others.push(argument),
            }
        }
        Ok(switches)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declined => "--no-launch-profile was given",
            Self::AlreadyApplied => "DOTNET_LAUNCH_PROFILE is set",
            Self::UnderModule => "ASPNETCORE_TOKEN is set",
            Self::HandedSockets => "LISTEN_FDS is set",
            Self::NotUnderCargo => "the program was not started by cargo run",
            Self::UnderTest => "the program is a test",
        })
    }
}

#[cfg(test)]
mod tests;
