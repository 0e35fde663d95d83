//! The JSON Schema of the module's file, which editors complete and check it by.
//!
//! The keys are read one by one, so that everything that is wrong is found, and have their types here for the schema alone.
//! The crate has it as a file in the folder `schemas`. A schema is stricter than the reader, which takes keys and names in
//! any case, and numbers and switches as texts; it does not know rules between keys.

mod application;

use std::collections::BTreeMap;

use hosting::kestrel_endpoints::EndpointKeys;
use hosting::schema::LogLevel;
use schemars::JsonSchema;

use self::application::ApplicationSection;

/// The schema of the module's file, as text.
#[must_use]
pub fn module_settings() -> String {
    // What is said of endpoints is said of those of an application with a server of its own.
    hosting::schema::text::<ModuleFile>()
        .replace("Kestrel:Certificates", "Module:Certificates")
        .replace("the content root", "the folder of the file")
}

/// The applications of a module, and where it listens for them.
#[derive(JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields, title = "module.json")]
#[schemars(extend("allowComments" = true, "allowTrailingCommas" = true))]
#[expect(dead_code, reason = "the schema is made from the fields, and nothing else")]
struct ModuleFile {
    /// Where the schema of this file is, for editors. Default is none.
    #[schemars(rename = "$schema")]
    schema: Option<String>,
    /// What is logged. Default is what each key says.
    #[schemars(default)]
    logging: LoggingSection,
    /// The module. It must be there.
    module: ModuleSection,
}

/// What is logged.
#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields, default)]
struct LoggingSection {
    /// The least level that is shown, by target such as `server_module`; `Default` is for all others. Default is
    /// `Information`.
    log_level: BTreeMap<String, LogLevel>,
}

/// The module.
#[derive(JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the schema is made from the fields, and nothing else")]
struct ModuleSection {
    /// The Unix socket of commands to the module, at most 103 bytes; a relative path starts from the folder of the file.
    /// Default is none: there are no commands then.
    #[schemars(length(min = 1, max = 103))]
    control_socket: Option<String>,
    /// The applications, by names that begin with a letter and have letters, digits, `-`, `_` and `.`. It must be there.
    #[schemars(extend("minProperties" = 1, "propertyNames" = { "pattern": r"^[A-Za-z][A-Za-z0-9._-]{0,63}$" }))]
    applications: BTreeMap<String, ApplicationSection>,
    #[schemars(flatten)]
    endpoints: EndpointKeys,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_key_is_described_with_its_default_and_none_is_of_another_file() {
        let text = module_settings();
        assert!(!text.contains("Kestrel:") && !text.contains("content root"));
        let root: Value = serde_json::from_str(&text).unwrap();
        let definitions = root["definitions"].as_object().unwrap();
        assert!(definitions.len() >= 10, "{definitions:?}");
        for (name, definition) in definitions.iter().chain([(&"file".to_owned(), &root)]) {
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
