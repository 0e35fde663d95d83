use std::{error::Error, fmt, io, path::PathBuf};

use tracing::Level;

use super::profile::EXECUTABLE;

/// Launch settings that could not be read, or a profile that cannot be used. Its text is one line.
#[derive(Debug)]
pub struct LaunchSettingsError(Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Unreadable(PathBuf, io::Error),
    Broken(PathBuf, String),
    NoFile(PathBuf, String),
    NoSuchProfile {
        path: PathBuf,
        name: String,
        names: Vec<String>,
    },
    Ambiguous(PathBuf, Vec<String>),
    #[cfg_attr(not(feature = "kestrel"), expect(dead_code, reason = "said of a program's own arguments"))]
    NoName(String),
    NoProfiles,
    NotAnObject(String),
    NotUsable,
    NotSupported(String),
    #[cfg_attr(not(feature = "kestrel"), expect(dead_code, reason = "said of a program's own arguments"))]
    NotHere(String),
    NoExecutablePath,
    NoWorkingDirectory(PathBuf),
}

impl LaunchSettingsError {
    /// Whether `dotnet run` reports this and starts the program without a profile; the other errors end it.
    #[must_use]
    pub fn is_skippable(&self) -> bool {
        match self.0 {
            Kind::NoProfiles
            | Kind::NotAnObject(_)
            | Kind::NotUsable
            | Kind::NotSupported(_)
            | Kind::NotHere(_)
            | Kind::NoExecutablePath
            | Kind::NoWorkingDirectory(_) => true,
            Kind::Unreadable(..)
            | Kind::Broken(..)
            | Kind::NoFile(..)
            | Kind::NoSuchProfile { .. }
            | Kind::Ambiguous(..)
            | Kind::NoName(_) => false,
        }
    }

    /// What to tell the user when the program starts without the profile, given the name that was asked for.
    #[must_use]
    pub fn message(&self, name: Option<&str>) -> (Level, String) {
        let name = name.unwrap_or("(Default)");
        (Level::ERROR, format!("The launch profile \"{name}\" could not be applied. {self}"))
    }
}

impl From<Kind> for LaunchSettingsError {
    fn from(kind: Kind) -> Self {
        Self(kind)
    }
}

// Where the original has a message, this is it, so that it is found by searching.
impl fmt::Display for LaunchSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Unreadable(path, _) => write!(f, "could not read {}", path.display()),
            Kind::Broken(path, fault) => write!(f, "could not read {}: {fault}", path.display()),
            Kind::NoFile(path, name) => {
                write!(f, "there is no launch profile {name:?}: {} does not exist", path.display())
            }
            Kind::NoSuchProfile { path, name, names } if names.is_empty() => {
                write!(f, "the launch profile {name:?} doesn't exist: {} has none", path.display())
            }
            Kind::NoSuchProfile { path, name, names } => {
                let path = path.display();
                write!(f, "the launch profile {name:?} doesn't exist: {path} has {}", quoted(names))
            }
            Kind::Ambiguous(path, names) => {
                let path = path.display();
                write!(f, "{path} has several launch profiles that differ only in case: {}", quoted(names))
            }
            Kind::NoName(switch) => write!(f, "{switch} needs the name of a launch profile"),
            Kind::NoProfiles => {
                f.write_str("The 'profiles' property of the launch settings document is not a JSON object.")
            }
            Kind::NotAnObject(name) => write!(f, "The launch profile '{name}' is not a JSON object."),
            Kind::NotUsable => f.write_str("A usable launch profile could not be located."),
            Kind::NotSupported(command) => write!(f, "The launch profile type '{command}' is not supported."),
            Kind::NotHere(command) if command == EXECUTABLE => {
                f.write_str("An 'Executable' launch profile starts another program; use 'cargo host run'.")
            }
            Kind::NotHere(command) => {
                write!(
                    f,
                    "The launch profile type '{command}' starts the program behind the module; use 'cargo host run'."
                )
            }
            Kind::NoExecutablePath => {
                f.write_str("An 'Executable' launch profile needs the 'executablePath' property.")
            }
            Kind::NoWorkingDirectory(path) => {
                write!(f, "The working directory '{}' does not exist.", path.display())
            }
        }
    }
}

impl Error for LaunchSettingsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Unreadable(_, error) => Some(error),
            _ => None,
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
