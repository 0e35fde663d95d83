//! The file of the settings.

use std::path::{Path, PathBuf};

use hosting::Configuration;

use super::keys::{self, Keys};
use super::{Surroundings, TOP};
use crate::SettingsError;
use crate::error::Problems;

/// A file, and what it is read in: relative paths start from its folder.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) surroundings: Surroundings,
}

impl Source {
    /// The file may be relative to the folder of the surroundings.
    pub(super) fn new(file: &Path, surroundings: &Surroundings) -> Self {
        let file = surroundings.folder.join(file);
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        Self { file, surroundings: Surroundings { folder, variables: surroundings.variables.clone() } }
    }

    /// # Errors
    /// The file cannot be read or is no JSON; the one problem says so.
    pub(super) fn read(&self) -> Result<Layers, SettingsError> {
        let variables = self.surroundings.variables.iter().cloned().map(|(name, value)| (name, value, None));
        let file = Configuration::builder().json_file(&self.file, false).build();
        let layers = file.and_then(|file| {
            let all = Configuration::builder().chain(&file).environment_variables(None, variables).build()?;
            Ok(Layers { file, all })
        });
        layers.map_err(|error| Problems::one(keys::with_cause(&error)))
    }
}

/// What a file says, alone and with the variables of the environment over it.
pub(super) struct Layers {
    file: Configuration,
    pub(super) all: Configuration,
}

impl Layers {
    /// Looks for keys at the top that are not known. The environment has others there.
    pub(super) fn check_top(&self, problems: &mut Problems) {
        let top = self.file.section("");
        let mut top = Keys::new(&top, problems);
        top.only(&TOP);
        let logging = top.section("Logging");
        top.of(&logging).only(&["LogLevel"]);
    }
}
