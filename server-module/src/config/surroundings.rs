use std::env;
use std::io;
use std::path::PathBuf;

/// What options are read in: a folder, and variables.
#[derive(Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The folder that relative paths start from. It is absolute.
    pub folder: PathBuf,
    /// The variables of the environment: what `%NAME%` stands for, `PATH`, and keys such as `Module__ControlSocket`.
    pub variables: Vec<(String, String)>,
}

impl Surroundings {
    /// The current folder and the environment of the process. Variables that are not in UTF-8 are left out.
    ///
    /// # Errors
    /// The current folder is gone or may not be seen.
    pub fn of_the_process() -> io::Result<Self> {
        let variables = env::vars_os();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Self { folder: env::current_dir()?, variables: variables.collect() })
    }
}

/// Variables may be secrets, so only their number is shown.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variables = self.variables.len();
        f.debug_struct("Surroundings").field("folder", &self.folder).field("variables", &variables).finish()
    }
}
