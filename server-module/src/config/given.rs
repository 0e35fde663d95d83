//! What the section says of endpoints, as it was written: for a worker that serves them itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hosting::{ConfigurationSection, kestrel_endpoints};
use serde_json::{Value, json};

use super::ROOT;

/// The key of the limit on bodies.
const BODY: &str = "Limits:MaxRequestBodySize";

/// Keys below the section, with their texts; some are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct GivenEndpoints {
    values: BTreeMap<String, Value>,
    /// Where relative paths start.
    folder: PathBuf,
}

impl GivenEndpoints {
    pub(super) fn read(section: &ConfigurationSection, folder: &Path) -> Self {
        let mut given = Self { values: BTreeMap::new(), folder: folder.to_owned() };
        for key in kestrel_endpoints::KEYS {
            given.collect(&section.section(key), key);
        }
        given
    }

    /// Puts others over these.
    pub(super) fn add(&mut self, others: Self) {
        self.values.extend(others.values);
        self.folder = others.folder;
    }

    /// The files of certificates and their keys, with the keys that name them.
    pub(super) fn certificate_files(&self) -> Vec<(String, PathBuf)> {
        let is_file = |key: &str| {
            let mut names = key.rsplit(':').map(str::to_ascii_lowercase);
            let last = names.next().unwrap_or_default();
            ["path", "keypath"].contains(&last.as_str())
                && names.any(|name| name == "certificate" || name == "certificates")
        };
        let named = self.values.iter().filter(|(key, _)| is_file(key));
        named.filter_map(|(key, path)| Some((key.clone(), self.folder.join(path.as_str()?)))).collect()
    }

    fn collect(&mut self, section: &ConfigurationSection, path: &str) {
        let mut has_children = false;
        for child in section.children() {
            has_children = true;
            self.collect(&child, &format!("{path}:{}", child.key()));
        }
        match section.value() {
            Some(text) => drop(self.values.insert(path.to_owned(), text.into())),
            None if has_children || section.source().is_none() => {}
            // Written as `{}` or as `null`.
            None if section.exists() => drop(self.values.insert(path.to_owned(), json!({}))),
            None => drop(self.values.insert(path.to_owned(), Value::Null)),
        }
    }

    /// The text for a worker that serves the endpoints of these names, as `hosting` reads it. The first name stands for
    /// `http://localhost:5000` if there are no endpoints at all.
    pub(crate) fn text(&self, names: &[String], max_body: u32) -> String {
        let mut section = serde_json::Map::new();
        let has_endpoints = self.values.keys().any(|key| endpoint_of(key).is_some());
        for (key, value) in &self.values {
            let is_served = endpoint_of(key)
                .is_none_or(|endpoint| names.iter().any(|name| name.eq_ignore_ascii_case(endpoint)));
            if is_served && !key.eq_ignore_ascii_case(BODY) {
                section.insert(key.clone(), value.clone());
            }
        }
        let given = self.values.iter().find(|(key, _)| key.eq_ignore_ascii_case(BODY));
        let given = given.and_then(|(_, value)| value.as_str()?.trim().parse::<u64>().ok());
        section.insert(
            BODY.to_owned(),
            given.map_or(max_body.into(), |given| given.min(max_body.into())).into(),
        );
        if let (false, Some(name)) = (has_endpoints, names.first()) {
            section.insert(format!("Endpoints:{name}:Url"), "http://localhost:5000".into());
        }
        json!({ "Folder": self.folder, (ROOT): section }).to_string()
    }
}

/// The name of the endpoint that a key belongs to.
fn endpoint_of(key: &str) -> Option<&str> {
    let (section, rest) = key.split_once(':')?;
    section.eq_ignore_ascii_case("Endpoints").then(|| rest.split(':').next().unwrap_or_default())
}

impl fmt::Debug for GivenEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenEndpoints").field("values", &self.values.len()).finish_non_exhaustive()
    }
}
