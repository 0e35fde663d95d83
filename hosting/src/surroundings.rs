//! Where the process finds itself.

use std::env;
use std::path::PathBuf;

/// The surroundings of the process, so that tests can bring their own.
pub(crate) struct Surroundings {
    #[cfg_attr(
        not(feature = "kestrel"),
        expect(dead_code, reason = "only `WebApplication` reads arguments")
    )]
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) program: PathBuf,
    pub(crate) current_folder: PathBuf,
}

impl Surroundings {
    pub(crate) fn of_the_process() -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Self {
            arguments: env::args_os().skip(1).map(text).collect(),
            variables: env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            program: env::current_exe().unwrap_or_default(),
            current_folder: env::current_dir().unwrap_or_default(),
        }
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }
}
