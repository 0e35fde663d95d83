//! What the schema of the module's file takes, the module takes, and the other way round, with the differences that are
//! meant. Endpoints, certificates and limits are those of `appsettings.json`, which `agreement` compares.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use hosting::kestrel_endpoints;
use serde_json::{Value, json};
use server_module::{ModuleOptions, Surroundings};

use super::agreement::{is_empty, probes, rewritten};
use super::{MODULE_SETTINGS, documented, json_file, places, validator};
use crate::program::{Folder, workspace};

/// The keys that are not those of `appsettings.json` under another name.
pub(super) fn own_keys() -> Vec<String> {
    let mut keys = documented::keys(&json_file(&workspace().join(MODULE_SETTINGS)), "Module");
    let is_shared = |key: &str| {
        kestrel_endpoints::KEYS.iter().any(|shared| key.starts_with(&format!("Module:{shared}:")))
    };
    keys.retain(|key| !is_shared(key));
    keys
}

/// A folder with a program, and all that is wrong with settings in it.
fn read(settings: &Value) -> Result<(), String> {
    let folder = Folder::new();
    let program = folder.write("app", "#!/bin/sh\n");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    folder.write("module.json", settings.to_string());
    let surroundings = Surroundings { folder: folder.path().to_owned(), variables: Vec::new() };
    ModuleOptions::load("module.json", &surroundings).map(drop).map_err(|error| error.to_string())
}

fn application(key: &str, value: &Value) -> Value {
    json!({ "Module": { "Applications": { "shop": { "Command": "./app", key: value } } } })
}

#[test]
fn right_settings_are_taken_by_both() {
    let validator = validator(MODULE_SETTINGS);
    for right in [
        json!({ "$schema": "./module.schema.json", "Logging": { "LogLevel": { "Default": "Warning", "server_module": "None" } },
            "Module": {
                "ControlSocket": "/run/module.sock",
                "Certificates": { "Default": { "Path": "site.pem", "KeyPath": "site.key" } },
                "EndpointDefaults": { "Protocols": "Http1" }, "Limits": { "MaxRequestLineSize": 4096 },
                "Endpoints": { "Web": { "Url": "http://*:80" }, "Secure": { "Url": "https://*:443" } },
                "Applications": { "shop": { "Command": "./app" } } } }),
        application("Arguments", &json!(["--verbose", ""])),
        application("Arguments", &json!("--verbose \"a b\"")),
        application("Hosts", &json!(["shop.example", "*.shop.example", "*"])),
        application("HostingModel", &json!("InProcess")),
        application("StartupTimeLimit", &json!("01:00:00")),
        application("RequestTimeout", &json!("15.00:00:00")),
        application("EnvironmentVariables", &json!({ "A": "1", "B": null })),
        application("HandlerSettings", &json!({ "SetCurrentDirectory": false })),
        application("User", &json!("www-data")),
        application(
            "Limits",
            &json!({ "MemoryBytes": 1_048_576, "OpenFiles": 16, "Processes": 1, "CpuSeconds": 1 }),
        ),
        application("Recycle", &json!({ "After": "1.00:00:00", "OnFileChange": true, "MemoryBytes": null })),
    ] {
        assert_eq!(read(&right), Ok(()), "{right}");
        assert_eq!(places(&validator, &right), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn wrong_settings_are_refused_by_both_at_the_same_place() {
    refused_by_both([
        (json!({ "Modul": {}, "Module": {} }), "", "Modul"),
        (json!({ "Logging": { "Console": {} }, "Module": {} }), "/Logging", "Logging:Console"),
        (
            json!({ "Logging": { "LogLevel": { "a": "Loud" } }, "Module": {} }),
            "/Logging/LogLevel/a",
            "Logging:LogLevel:a",
        ),
        (json!({ "Module": {} }), "/Module", "Module:Applications"),
        (json!({ "Module": { "Applications": {} } }), "/Module/Applications", "Module:Applications"),
        (
            json!({ "Module": { "Applications": { "9": { "Command": "./app" } } } }),
            "/Module/Applications",
            "Module:Applications:9",
        ),
        (
            json!({ "Module": { "Applications": { "a": {} } } }),
            "/Module/Applications/a",
            "Module:Applications:a",
        ),
        (
            json!({ "Module": { "Endpoint": {}, "Applications": { "a": { "Command": "./app" } } } }),
            "/Module",
            "Module:Endpoint",
        ),
    ]);
}

#[test]
fn wrong_settings_of_an_application_are_refused_by_both_at_the_same_place() {
    let shop = "/Module/Applications/shop";
    refused_by_both([
        (application("Colour", &json!("red")), shop, "shop:Colour"),
        (application("PathPrefix", &json!("shop")), &format!("{shop}/PathPrefix"), "shop:PathPrefix"),
        (application("HostingModel", &json!("Aside")), &format!("{shop}/HostingModel"), "shop:HostingModel"),
        (
            application("RapidFailsPerMinute", &json!(101)),
            &format!("{shop}/RapidFailsPerMinute"),
            "shop:RapidFailsPerMinute",
        ),
        (
            application("ProcessesPerApplication", &json!(0)),
            &format!("{shop}/ProcessesPerApplication"),
            "shop:ProcessesPerApplication",
        ),
        (
            application("StartupTimeLimit", &json!(3601)),
            &format!("{shop}/StartupTimeLimit"),
            "shop:StartupTimeLimit",
        ),
        (application("User", &json!("a b")), &format!("{shop}/User"), "shop:User"),
        (
            application("EnvironmentVariables", &json!({ "A=B": "1" })),
            &format!("{shop}/EnvironmentVariables"),
            "shop:EnvironmentVariables:A=B",
        ),
        (
            application("Limits", &json!({ "MemoryBytes": 1 })),
            &format!("{shop}/Limits/MemoryBytes"),
            "shop:Limits:MemoryBytes",
        ),
        (
            application("Recycle", &json!({ "After": 0 })),
            &format!("{shop}/Recycle/After"),
            "shop:Recycle:After",
        ),
    ]);
}

/// Settings, the place that the schema names, and the key that the module does.
fn refused_by_both<'a>(cases: impl IntoIterator<Item = (Value, &'a str, &'a str)>) {
    let validator = validator(MODULE_SETTINGS);
    for (wrong, place, told) in cases {
        let error = read(&wrong).unwrap_err();
        assert!(error.contains(told), "{wrong}: {told} is not named: {error}");
        assert!(
            places(&validator, &wrong).iter().any(|other| other == place),
            "{wrong}: {:?}",
            places(&validator, &wrong)
        );
    }
}

/// What depends on more than the value: files and folders that are there, and names of endpoints.
const OF_SURROUNDINGS: [&str; 3] = ["Path", "Command", "Endpoints"];

/// What the schema takes and the module does not: amounts in texts.
const STRICTER_MODULE: &[(&str, &str)] =
    &[("After", "0"), ("RequestTimeout", "0"), ("StartupTimeLimit", "0")];

/// What the module takes and the schema does not, beside a number or a switch that is written as a text, a text that is
/// written as a number, switches that are 1 or 0, and `null`, `""`, `[]` and `{}` for each other where something is empty.
const STRICTER_SCHEMA: &[(&str, &str)] = &[
    // A list is a section whose keys are numbers, and a number is a text.
    ("EnvironmentVariables", r#"{"Unknown":1}"#),
    ("EnvironmentVariables", r#"{"BytesPerSecond":1}"#),
];

/// Whether it is a switch as variables have it.
fn is_switch(value: &Value) -> bool {
    [json!(0), json!(1), json!("0")].contains(value)
}

/// Settings with a value at the key.
fn settings(key: &str, value: &Value) -> Value {
    let mut settings = json!({ "Module": { "Applications": { "A": { "Command": "./app" } } } });
    let names = key.split(':').map(|name| if name == "{name}" { "A" } else { name });
    let mut place = &mut settings;
    for name in names {
        place = &mut place[name];
    }
    *place = value.clone();
    settings
}

#[test]
fn at_every_key_of_an_application_every_value_is_judged_alike() {
    let validator = validator(MODULE_SETTINGS);
    let takes = |key: &str, value: &Value| validator.is_valid(&settings(key, value));
    let listed = |list: &[(&'static str, &'static str)], name: &str, value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        list.iter().copied().find(|(other, probe)| *other == name && *probe == text)
    };
    let (mut differences, mut judged) = (Vec::new(), 0);
    let mut unused = BTreeSet::from_iter([STRICTER_MODULE, STRICTER_SCHEMA].concat());
    for key in own_keys().iter().filter(|key| key.starts_with("Module:Applications:{name}:")) {
        let name = key.rsplit(':').next().unwrap();
        if OF_SURROUNDINGS.contains(&name) {
            continue;
        }
        for value in probes() {
            judged += 1;
            let read = read(&settings(key, &value));
            let exception = match (takes(key, &value), &read) {
                (true, Ok(())) | (false, Err(_)) => continue,
                (true, Err(_)) => listed(STRICTER_MODULE, name, &value),
                (false, Ok(())) => {
                    let is_empty_otherwise =
                        is_empty(&value) && probes().iter().any(|other| is_empty(other) && takes(key, other));
                    let is_switch = is_switch(&value) && takes(key, &json!(true));
                    let is_rewritten = rewritten(&value).is_some_and(|value| takes(key, &value));
                    if is_empty_otherwise || is_switch || is_rewritten {
                        continue;
                    }
                    listed(STRICTER_SCHEMA, name, &value)
                }
            };
            match exception {
                Some(exception) => drop(unused.remove(&exception)),
                None => differences.push(format!("{key} = {value}: the module says {read:?}")),
            }
        }
    }
    assert!(judged > 700, "{judged}");
    assert!(unused.is_empty(), "these are judged alike, and need not be listed: {unused:?}");
    assert!(differences.is_empty(), "the schema judges otherwise:\n{}", differences.join("\n"));
}
