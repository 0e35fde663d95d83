//! CONFIGURATION.md tells every key of the schema, and a test that holds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{APP_SETTINGS, json_file, module};
use crate::program::workspace;

/// The keys below a section, as `Kestrel:Endpoints:{name}:Url`. A certificate and other sections that stand at several
/// places are followed at the first.
pub(super) fn keys(schema: &Value, section: &str) -> Vec<String> {
    let mut walk = Walk { schema, seen: BTreeSet::new(), keys: Vec::new() };
    walk.value(section, &schema["properties"][section]);
    walk.keys.retain(|key| !key.ends_with("{name}") && key != section);
    walk.keys
}

struct Walk<'a> {
    schema: &'a Value,
    seen: BTreeSet<&'a str>,
    keys: Vec<String>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, path: &str, value: &'a Value) {
        if !self.keys.iter().any(|key| key == path) {
            self.keys.push(path.to_owned());
        }
        for choice in ["allOf", "anyOf"] {
            value[choice].as_array().into_iter().flatten().for_each(|value| self.value(path, value));
        }
        if let Some(place) = value["$ref"].as_str()
            && self.seen.insert(place)
        {
            let target = self.schema.pointer(&place[1..]).unwrap_or_else(|| panic!("{place} is nowhere"));
            self.value(path, target);
        }
        for (name, value) in value["properties"].as_object().into_iter().flatten() {
            self.value(&format!("{path}:{name}"), value);
        }
        if value["additionalProperties"].is_object() {
            self.value(&format!("{path}:{{name}}"), &value["additionalProperties"]);
        }
    }
}

/// The rows of all tables whose first cell is a key, as cells.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(workspace().join("CONFIGURATION.md")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// The sections of the settings of an application that have keys of ours.
const SECTIONS: [&str; 7] =
    ["AccessLog", "Diagnostics", "Health", "Kestrel", "Metrics", "RequestIds", "Tracing"];

#[test]
fn every_key_stands_in_the_table_of_the_documentation_and_no_other() {
    let settings = json_file(&workspace().join(APP_SETTINGS));
    let keys = SECTIONS.into_iter().flat_map(|section| keys(&settings, section));
    let keys: BTreeSet<_> = keys.chain(module::own_keys()).collect();
    let rows = rows();
    let told: BTreeSet<_> = rows
        .iter()
        .map(|cells| cells[0].trim_matches('`').to_owned())
        .filter(|key| {
            let mut sections = SECTIONS.into_iter().chain(["Module"]);
            sections.any(|section| key.strip_prefix(section).is_some_and(|rest| rest.starts_with(':')))
        })
        .collect();
    let missing: Vec<_> = keys.difference(&told).collect();
    assert!(missing.is_empty(), "CONFIGURATION.md does not tell {missing:?}");
    let too_many: Vec<_> = told.difference(&keys).collect();
    assert!(too_many.is_empty(), "CONFIGURATION.md tells what there is not: {too_many:?}");
}

#[test]
fn every_key_of_the_host_stands_in_it_too() {
    let schema = json_file(&workspace().join(APP_SETTINGS));
    let rows = rows();
    for key in schema["properties"].as_object().unwrap().keys() {
        let is_section = SECTIONS.contains(&key.as_str()) || key == "Logging";
        let is_told =
            |cell: &str| cell == format!("`{key}`") || (is_section && cell.starts_with(&format!("`{key}:")));
        assert!(rows.iter().any(|cells| is_told(&cells[0])), "CONFIGURATION.md does not tell {key}");
    }
}

#[test]
fn every_test_that_the_documentation_names_is_there() {
    for cells in rows() {
        assert_eq!(cells.len(), 4, "a row has a key, a meaning, a default and tests: {cells:?}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{cells:?}");
        for test in cells[3].split(", ") {
            assert!(is_test(test.trim_matches('`')), "{}: there is no test {test}", cells[0]);
        }
    }
}

/// Whether a test of the crate `tests`, or a unit test of `hosting` or `server-module`, has this path.
fn is_test(path: &str) -> bool {
    let Some((module, name)) = path.rsplit_once("::") else { return false };
    let file = |folder: &str, module: &str| -> PathBuf {
        workspace().join(folder).join(module.replace("::", "/")).with_extension("rs")
    };
    let files = [
        file("tests/tests/it", module),
        file("hosting/src", module),
        file("server-module/src", module),
        file("hosting/src", module.trim_end_matches("::tests")),
    ];
    let has_it = |text: String| {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let begins = [format!("fn {name}()"), format!("async fn {name}()")];
        let found = lines.iter().position(|line| begins.iter().any(|begin| line.starts_with(begin.as_str())));
        let attributes =
            found.map(|line| lines[..line].iter().rev().take_while(|line| line.starts_with("#[")));
        attributes
            .into_iter()
            .flatten()
            .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).any(has_it)
}
