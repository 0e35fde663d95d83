//! The JSON Schemas of `appsettings.json`, `launchSettings.json` and the module's file, which editors complete and check them by.

use std::fs;
use std::path::Path;

use hosting::{Configuration, LaunchSettings};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::program::workspace;
use crate::repository::files;

mod agreement;
mod documented;
mod module;

const APP_SETTINGS: &str = "hosting/schemas/app-settings.schema.json";
const LAUNCH_SETTINGS: &str = "hosting/schemas/launch-settings.schema.json";
const MODULE_SETTINGS: &str = "server-module/schemas/module.schema.json";

fn json_file(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Comments are allowed in settings; those in the repository have lines of their own.
    let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    serde_json::from_str(&lines.join("\n")).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn validator(schema: &str) -> Validator {
    jsonschema::validator_for(&json_file(&workspace().join(schema))).unwrap()
}

/// The places where a value is not as it should be.
fn places(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| error.instance_path().to_string()).collect()
}

#[test]
fn the_files_in_the_repository_are_made_from_the_code() {
    let made = [
        (APP_SETTINGS, hosting::schema::app_settings(), "hosting --features schema --example schema"),
        (LAUNCH_SETTINGS, hosting::schema::launch_settings(), "hosting --features schema --example schema"),
        (
            MODULE_SETTINGS,
            server_module::schema::module_settings(),
            "server-module --features schema --example module-schema",
        ),
    ];
    for (path, made, how) in made {
        let made: Value = serde_json::from_str(&made).unwrap();
        // The order of keys follows the features of serde_json, so the values are compared and not the texts.
        assert!(
            json_file(&workspace().join(path)) == made,
            "{path} is not what the code makes: cargo run -p {how}"
        );
    }
}

#[test]
fn they_are_schemas_themselves() {
    for path in [APP_SETTINGS, LAUNCH_SETTINGS, MODULE_SETTINGS] {
        let schema = json_file(&workspace().join(path));
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert!(jsonschema::meta::is_valid(&schema), "{path}");
    }
}

#[test]
fn every_settings_file_of_samples_and_templates_is_right() {
    let app = files(workspace(), &|name| name.starts_with("appsettings") && name.ends_with(".json"));
    let launch = files(workspace(), &|name| name == "launchSettings.json");
    let module = files(&workspace().join("samples/module"), &|name| name.ends_with("-process.json"));
    assert!(app.len() >= 2 && launch.len() >= 6 && module.len() == 2);
    for (schema, paths) in [(APP_SETTINGS, app), (LAUNCH_SETTINGS, launch), (MODULE_SETTINGS, module)] {
        let validator = validator(schema);
        for path in paths {
            let value = json_file(&path);
            assert_eq!(places(&validator, &value), Vec::<String>::new(), "{}", path.display());
            // So that an editor finds the schema.
            let place =
                value["$schema"].as_str().unwrap_or_else(|| panic!("{} has no $schema", path.display()));
            let is_template = path.starts_with(workspace().join("cargo-host/templates"));
            assert!(
                is_template || path.parent().unwrap().join(place).is_file(),
                "{}: {place}",
                path.display()
            );
        }
    }
}

#[test]
fn the_place_of_the_schema_is_tolerated_by_the_readers() {
    let text = r#"{ "$schema": "./.vscode/app-settings.schema.json", "Kestrel": {} }"#;
    let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
    assert!(configuration.section("Kestrel").exists());
    assert_eq!(agreement::read(&serde_json::from_str(text).unwrap()), Ok(()));
    let text = r#"{ "$schema": "../x.json", "profiles": { "a": { "commandName": "Project" } } }"#;
    let settings = LaunchSettings::parse("launchSettings.json", text).unwrap();
    assert_eq!(settings.select(None).unwrap().name, "a");
}

#[test]
fn a_launch_profile_that_is_wrong_is_told_with_its_place() {
    let validator = validator(LAUNCH_SETTINGS);
    let profile = |profile: Value| json!({ "profiles": { "it": profile } });
    let project = |key: &str, value: Value| profile(json!({ "commandName": "Project", key: value }));
    for right in [
        project("editorsOwn", json!([])),
        project("dotnetRunMessages", json!("true")),
        project("ancmHostingModel", json!("InProcess")),
        project("useSSL", json!(true)),
        json!({ "profiles": {}, "iisSettings": { "iisExpress": { "sslPort": 44300 } } }),
    ] {
        assert_eq!(places(&validator, &right), Vec::<String>::new(), "{right}");
        LaunchSettings::parse("launchSettings.json", &right.to_string()).unwrap();
    }
    for (wrong, place) in [
        (project("launchBrowser", json!(1)), "/profiles/it/launchBrowser"),
        (project("launchUrl", json!([])), "/profiles/it/launchUrl"),
        (project("sslPort", json!(65536)), "/profiles/it/sslPort"),
        (project("environmentVariables", json!(5)), "/profiles/it/environmentVariables"),
        (project("environmentVariables", json!({ "A": {} })), "/profiles/it/environmentVariables/A"),
        (project("ancmHostingModel", json!("x")), "/profiles/it/ancmHostingModel"),
        (json!({ "iisSettings": 1, "profiles": {} }), "/iisSettings"),
    ] {
        assert_eq!(places(&validator, &wrong), [place], "{wrong}");
        LaunchSettings::parse("launchSettings.json", &wrong.to_string()).unwrap_err();
    }
    // The reader passes these over, or says so only when the profile is chosen.
    assert_eq!(places(&validator, &profile(json!({}))), ["/profiles/it"]);
    assert_eq!(places(&validator, &profile(json!(5))), ["/profiles/it"]);
    assert_eq!(places(&validator, &json!({ "profiles": [] })), ["/profiles"]);
    assert_eq!(places(&validator, &json!({})), [""]);
}
