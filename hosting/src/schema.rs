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

pub use app_settings::LogLevel;

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

/// The schema of a settings file of another program, as text: lengths of time, bounds of numbers and descriptions are as
/// in the schemas here.
#[must_use]
pub fn text<T: JsonSchema>() -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    tidy::tidy(&mut schema);
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Configuration, HostEnvironment, KestrelOptions, kestrel_section};

    /// The defaults of all keys of a section that have one.
    fn defaults(root: &Value, section: &str) -> Value {
        let properties = root["definitions"][section]["properties"].as_object().unwrap();
        let defaults =
            properties.iter().filter_map(|(key, value)| Some((key.clone(), value.get("default")?.clone())));
        Value::Object(defaults.collect())
    }

    #[test]
    fn the_defaults_that_it_tells_are_those_of_the_code() {
        let root: Value = serde_json::from_str(&app_settings()).unwrap();
        let mut limits = defaults(&root, "LimitsSection");
        assert_eq!(limits.as_object().unwrap().len(), 15);
        limits["Http2"] = defaults(&root, "Http2Section");
        let mut kestrel = defaults(&root, "KestrelSection");
        kestrel["Limits"] = limits;
        kestrel["EndpointDefaults"] = defaults(&root, "EndpointDefaultsSection");
        let text = json!({ "Kestrel": kestrel }).to_string();
        let configuration = Configuration::builder().json_text("appsettings.json", &text).build().unwrap();
        let mut options = KestrelOptions::default();
        kestrel_section::apply(&configuration, &HostEnvironment::default(), &mut options).unwrap();
        assert_eq!(format!("{options:?}"), format!("{:?}", KestrelOptions::default()));
    }

    #[test]
    fn every_key_is_described_with_its_default() {
        let root: Value = serde_json::from_str(&app_settings()).unwrap();
        for (name, definition) in root["definitions"].as_object().unwrap() {
            for (key, value) in definition["properties"].as_object().into_iter().flatten() {
                let text = value["description"].as_str().unwrap_or_default();
                assert!(
                    text.contains("Default is ") || text.contains("It must be there."),
                    "{name}: {key}: {text:?}"
                );
            }
        }
    }
}
