//! What the repository promises about its own files.

use std::fs;
use std::path::{Path, PathBuf};

use hosting::{Configuration, LaunchSettings};

use crate::program::workspace;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of the samples.
fn samples() -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace().join("samples")).expect("there are samples");
    let folders = entries.map(|entry| entry.expect("a folder").path()).filter(|path| path.is_dir());
    folders.collect()
}

/// The files below a folder whose names meet a condition, without what is built.
pub(crate) fn files(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().expect("a type").is_dir() {
            if name != "target" && name != ".git" {
                found.extend(files(&entry.path(), is_wanted));
            }
        } else if is_wanted(&name) {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn the_program_in_the_readme_is_the_sample_hello() {
    let sample = read(&workspace().join("samples/hello/src/main.rs"));
    let program = &sample[sample.find("use ").expect("the program uses something")..];
    let readme = read(&workspace().join("README.md"));
    let block = format!("```rust\n{program}```");
    assert!(readme.contains(&block), "README.md does not show samples/hello/src/main.rs:\n{block}");
}

#[test]
fn every_sample_has_an_http_and_an_https_profile() {
    assert!(samples().len() >= 4);
    for sample in samples() {
        let settings =
            LaunchSettings::load(sample.join("Properties/launchSettings.json")).expect("launch settings");
        let names: Vec<_> = settings.profiles.iter().map(|profile| profile.name.as_str()).collect();
        if sample.ends_with("custom-server") {
            continue;
        }
        assert!(names.contains(&"http") && names.contains(&"https"), "{}: {names:?}", sample.display());
        let https = settings.select(Some("https")).expect("a profile");
        let urls: Vec<_> = https.application_urls().collect();
        if sample.ends_with("operations") {
            // Its endpoints stand in its settings, and would win over urls.
            assert!(urls.is_empty(), "{urls:?}");
            let url = https
                .environment_variables
                .iter()
                .find(|(name, _)| name == "Kestrel__Endpoints__Public__Url");
            assert!(url.is_some_and(|(_, url)| url.starts_with("https://")), "{url:?}");
            continue;
        }
        assert!(
            urls.len() == 2 && urls[0].starts_with("https://") && urls[1].starts_with("http://"),
            "{urls:?}"
        );
        for profile in &settings.profiles {
            for url in profile.application_urls() {
                url.parse::<server_abstractions::Address>().expect("an address");
            }
        }
    }
}

#[test]
fn every_settings_file_can_be_read() {
    let launch = files(workspace(), &|name| name == "launchSettings.json");
    assert!(launch.len() >= 4);
    for path in launch {
        let settings = LaunchSettings::load(path).expect("launch settings");
        settings.select(None).expect("a profile to start with");
    }
    for path in files(workspace(), &|name| name.starts_with("appsettings") && name.ends_with(".json")) {
        Configuration::builder().json_file(path, false).build().expect("settings");
    }
}

#[test]
fn the_main_file_of_every_sample_is_short() {
    for sample in samples() {
        let path = sample.join("src/main.rs");
        let lines = read(&path).lines().count();
        assert!(lines < 80, "{} has {lines} lines", path.display());
    }
}
