use std::path::PathBuf;

use crate::surroundings::Surroundings;

/// Where and as what the application runs.
#[doc(alias = "IHostEnvironment")]
#[doc(alias = "IWebHostEnvironment")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEnvironment {
    /// `Development`, `Staging`, `Production` or a name of your own. Default is `Production`.
    #[doc(alias = "EnvironmentName")]
    pub name: String,
    /// The name of the application. Default is the name of the program's file.
    pub application_name: String,
    /// The folder that relative paths of the configuration start from, and where `appsettings.json` lies. Default is
    /// the crate's folder under `cargo run`, else the current folder.
    #[doc(alias = "ContentRootPath")]
    pub content_root: PathBuf,
}

impl HostEnvironment {
    /// What holds unless the configuration says otherwise.
    pub(crate) fn around(surroundings: &Surroundings) -> Self {
        let program = surroundings.program.file_stem().unwrap_or_default();
        let crate_folder = surroundings.variable("CARGO_MANIFEST_DIR").map(PathBuf::from);
        Self {
            name: "Production".to_owned(),
            application_name: program.to_string_lossy().into_owned(),
            content_root: crate_folder.unwrap_or_else(|| surroundings.current_folder.clone()),
        }
    }

    /// Whether the environment has this name, regardless of case.
    #[doc(alias = "IsEnvironment")]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether the application is being developed.
    pub fn is_development(&self) -> bool {
        self.is("Development")
    }

    /// Whether the application is in production.
    pub fn is_production(&self) -> bool {
        self.is("Production")
    }
}

impl Default for HostEnvironment {
    fn default() -> Self {
        Self::around(&Surroundings::of_the_process())
    }
}
