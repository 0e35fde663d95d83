//! `Properties/launchSettings.json`: how a program is started while it is being developed.
//!
//! The file holds named profiles, each with addresses, environment variables and arguments. `cargo host run`
//! reads one and starts the program with it; a program that `cargo run` started reads one for itself, as a
//! layer of its configuration (see `choice`). Comments and trailing commas are allowed, and keys that are
//! not known are passed over, because editors add their own.
//!
//! A profile starts the crate's program (`Project`), another one (`Executable`), or the crate's program behind the module
//! (`Module`, `IIS`, `IISExpress`).

mod behind;
#[cfg(feature = "kestrel")]
pub(crate) mod choice;
mod error;
mod executable;
mod profile;
mod read;
#[cfg(test)]
mod tests;
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tracing::Level;

pub use self::{
    behind::ModuleLaunch,
    error::LaunchSettingsError,
    executable::ExecutableLaunch,
    profile::{AncmHostingModel, LaunchProfile},
};
use self::{error::Kind, profile::PROJECT};

/// The content of a `launchSettings.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaunchSettings {
    /// The file.
    pub path: PathBuf,
    /// The profiles in the order of the file.
    pub profiles: Vec<LaunchProfile>,
    /// `iisSettings`: what IIS and IIS Express are set up with.
    pub iis_settings: IisSettings,
    /// Whether `profiles` was there and an object.
    has_profiles: bool,
    /// The names of profiles that are not objects.
    malformed: Vec<String>,
}

/// What IIS and IIS Express are set up with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "camelCase", default))]
#[non_exhaustive]
pub struct IisSettings {
    /// Whether Windows authentication is on. Default is `false`.
    pub windows_authentication: bool,
    /// Whether anonymous authentication is on. Default is `true`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub anonymous_authentication: bool,
    /// The binding of IIS Express.
    pub iis_express: Option<IisBinding>,
    /// The binding of IIS.
    pub iis: Option<IisBinding>,
}

impl Default for IisSettings {
    fn default() -> Self {
        Self { windows_authentication: false, anonymous_authentication: true, iis_express: None, iis: None }
    }
}

/// Where IIS or IIS Express listens for the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "camelCase", default))]
#[non_exhaustive]
pub struct IisBinding {
    /// The address.
    pub application_url: Option<String>,
    /// The port for HTTPS. Default is 0, which is none.
    pub ssl_port: u16,
}

/// A profile and the file it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectedProfile {
    /// The profile.
    pub profile: LaunchProfile,
    /// The `launchSettings.json`.
    pub path: PathBuf,
    /// What the file says of IIS and IIS Express.
    pub iis_settings: IisSettings,
}

impl LaunchSettings {
    /// The launch settings of a crate, if it has any: `Properties/launchSettings.json` in its folder.
    #[must_use]
    pub fn find(project: &Path) -> Option<PathBuf> {
        let path = file(project);
        path.is_file().then_some(path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not right; then the message names line and column.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, LaunchSettingsError> {
        let path = path.into();
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) => Err(Kind::Unreadable(path, error).into()),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The text is not right; the message names line and column.
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Result<Self, LaunchSettingsError> {
        let path = path.into();
        read::settings(path.clone(), text).map_err(|fault| Kind::Broken(path, fault.to_string()).into())
    }

    /// The profile to use: the one called `name` without regard to case, or without a name the first whose
    /// `commandName` is `Project`, else the first that can be used at all.
    ///
    /// # Errors
    /// There is no such profile, several names differ only in case, or the profile cannot be used.
    pub fn select(&self, name: Option<&str>) -> Result<&LaunchProfile, LaunchSettingsError> {
        if !self.has_profiles {
            return Err(Kind::NoProfiles.into());
        }
        let profile = match name.filter(|name| !name.is_empty()) {
            Some(name) => self.named(name)?,
            None => self.default_profile().ok_or(Kind::NotUsable)?,
        };
        match profile.command_name.as_str() {
            _ if profile.is_usable() => Ok(profile),
            "" => Err(Kind::NotUsable.into()),
            other => Err(Kind::NotSupported(other.to_owned()).into()),
        }
    }

    /// Finds, reads and selects as `dotnet run` does: what keeps a profile from being applied is added to
    /// the messages for the user, and then there is none.
    ///
    /// Stricter than the original, which goes on in these cases too, a broken file and a name that no
    /// profile has are errors: both are mistakes that a program started without its profile would hide.
    ///
    /// # Errors
    /// The file cannot be read or is not right, no profile is called `name`, or several are.
    #[doc(alias = "TryApplyLaunchSettings")]
    pub fn choose(
        project: &Path,
        name: Option<&str>,
        messages: &mut Vec<(Level, String)>,
    ) -> Result<Option<SelectedProfile>, LaunchSettingsError> {
        let name = name.filter(|name| !name.is_empty());
        let Some(path) = Self::find(project) else {
            return match name {
                Some(name) => Err(Kind::NoFile(file(project), name.to_owned()).into()),
                None => Ok(None),
            };
        };
        messages.push((Level::INFO, format!("Using launch settings from {}...", path.display())));
        let settings = Self::load(path)?;
        match settings.select(name) {
            Ok(profile) => {
                let profile = profile.clone();
                let Self { path, iis_settings, .. } = settings;
                Ok(Some(SelectedProfile { profile, path, iis_settings }))
            }
            Err(error) if error.is_skippable() => {
                messages.push(error.message(name));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn named(&self, name: &str) -> Result<&LaunchProfile, LaunchSettingsError> {
        let is_it = |other: &str| other.to_lowercase() == name.to_lowercase();
        let found: Vec<_> = self.profiles.iter().filter(|profile| is_it(&profile.name)).collect();
        let malformed = self.malformed.iter().filter(|other| is_it(other));
        let names: Vec<_> = found.iter().map(|profile| &profile.name).chain(malformed).cloned().collect();
        match (names.len(), found.first()) {
            (0, _) => {
                let names = self.profiles.iter().map(|profile| profile.name.clone()).collect();
                Err(Kind::NoSuchProfile { path: self.path.clone(), name: name.to_owned(), names }.into())
            }
            (1, Some(profile)) => Ok(profile),
            (1, None) => Err(Kind::NotAnObject(name.to_owned()).into()),
            _ => Err(Kind::Ambiguous(self.path.clone(), names).into()),
        }
    }

    fn default_profile(&self) -> Option<&LaunchProfile> {
        let project = self.profiles.iter().find(|profile| profile.command_name == PROJECT);
        project.or_else(|| self.profiles.iter().find(|profile| profile.is_usable()))
    }
}

fn file(project: &Path) -> PathBuf {
    project.join("Properties").join("launchSettings.json")
}
