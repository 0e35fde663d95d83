//! JSON Schemas of `appsettings.json` and `launchSettings.json`, made from the types that read these files.
//!
//! Editors complete and check the files by them. They are JSON Schema draft-07, the newest that the JSON language service
//! of VS Code has whole, and the folder `schemas` of the crate has both as files.
//!
//! A schema tells what a file should look like, and is stricter than the readers, which take keys and names in any case,
//! and numbers and switches as texts, since variables of the environment have nothing else. It does not know rules between
//! keys, such as that a certificate needs an https url; these fail the start.

mod app_settings;
mod launch_settings;
mod tidy;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

/// The schema of `appsettings.json` and `appsettings.{Environment}.json`, as text.
///
/// Keys of the application itself may stand beside those that it describes; below `Kestrel` there are no others.
#[must_use]
pub fn app_settings() -> String {
    text::<app_settings::AppSettings>()
}

/// The schema of `Properties/launchSettings.json`, as text. Keys that it does not describe are an editor's own.
#[must_use]
pub fn launch_settings() -> String {
    text::<launch_settings::LaunchSettingsFile>()
}

fn text<T: JsonSchema>() -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    tidy::tidy(&mut schema);
    format!("{:#}\n", schema.as_value())
}
