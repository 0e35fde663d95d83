//! `cargo host schema`: the JSON Schemas of the settings files, for an editor.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
};

use crate::arguments::SchemaOptions;

/// Made from the types of `hosting` and `server-module`; the tests see to it that they are.
pub(crate) const APP_SETTINGS: &str = include_str!("../../hosting/schemas/app-settings.schema.json");
pub(crate) const LAUNCH_SETTINGS: &str = include_str!("../../hosting/schemas/launch-settings.schema.json");
pub(crate) const MODULE_SETTINGS: &str = include_str!("../../server-module/schemas/module.schema.json");
/// The settings of VS Code that lead to them in the folder `.vscode`.
pub(crate) const EDITOR_SETTINGS: &str = include_str!("../templates/common/settings.json");

pub(crate) fn run(options: &SchemaOptions) -> Result<(), Box<dyn Error>> {
    let folder = &options.folder;
    let fault = |path: &Path, error: io::Error| format!("could not make {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| fault(folder, error))?;
    let mut text = String::new();
    for (name, content) in [
        ("app-settings.schema.json", APP_SETTINGS),
        ("launch-settings.schema.json", LAUNCH_SETTINGS),
        ("module.schema.json", MODULE_SETTINGS),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| fault(&path, error))?;
        text += &format!("made {}\n", path.display());
    }
    text += "an editor finds them by the key \"$schema\" of appsettings.json, launchSettings.json and module.json, \
             VS Code also by its settings.json:\n";
    text += &EDITOR_SETTINGS.replace("./.vscode", &place(folder));
    // Whoever reads it may stop reading.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// The folder as the url of a schema begins, which is a relative one unless the path is not.
fn place(folder: &Path) -> String {
    let folder = folder.to_string_lossy().replace('\\', "/");
    let folder = folder.trim_end_matches('/');
    let place = match folder {
        "" | "." => ".".to_owned(),
        _ if folder.starts_with('/') => format!("file://{folder}"),
        _ if folder.starts_with("./") || folder.starts_with("../") => folder.to_owned(),
        _ => format!("./{folder}"),
    };
    place.replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_schema_is_relative_unless_the_folder_is_not() {
        for (folder, expected) in [
            (".vscode", "./.vscode"),
            ("a/b/", "./a/b"),
            ("./a", "./a"),
            ("../a", "../a"),
            (".", "."),
            ("/a b", "file:///a b"),
        ] {
            assert_eq!(place(Path::new(folder)), expected, "{folder}");
        }
    }
}
