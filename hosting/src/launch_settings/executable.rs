use std::path::{Path, PathBuf};

use super::{LaunchProfile, LaunchSettingsError, error::Kind, text};

/// What an `Executable` profile starts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutableLaunch {
    /// The program: a path, or a name that is searched in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it is started; the current folder if the profile says nothing.
    pub working_directory: Option<PathBuf>,
}

impl LaunchProfile {
    /// What an `Executable` profile of the file `settings` starts, with the variables in its paths and
    /// arguments expanded.
    ///
    /// A relative `workingDirectory` is seen from the file's folder, and a program given as a relative path
    /// from the working directory.
    ///
    /// # Errors
    /// `executablePath` is missing, or the working directory does not exist.
    pub fn executable(
        &self,
        settings: &Path,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<ExecutableLaunch, LaunchSettingsError> {
        let expand = |value: &Option<String>| {
            value.as_deref().map(|value| text::expand(value, &lookup)).filter(|value| !value.is_empty())
        };
        let program = PathBuf::from(expand(&self.executable_path).ok_or(Kind::NoExecutablePath)?);
        let folder = settings.parent().unwrap_or(Path::new(""));
        let working_directory = expand(&self.working_directory).map(|directory| folder.join(directory));
        if let Some(missing) = working_directory.as_ref().filter(|directory| !directory.is_dir()) {
            return Err(Kind::NoWorkingDirectory(missing.clone()).into());
        }
        // What a relative path means to a child with another working directory differs between systems.
        let is_path = program.components().nth(1).is_some();
        let program = match &working_directory {
            Some(directory) if is_path => directory.join(program),
            _ => program,
        };
        let arguments = expand(&self.command_line_args).map(|arguments| text::split(&arguments));
        Ok(ExecutableLaunch { program, arguments: arguments.unwrap_or_default(), working_directory })
    }
}
