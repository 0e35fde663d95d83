//! Which crate to run, from `cargo metadata`.

use std::{
    env,
    error::Error,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Whether it is one that cargo means when none is named and it has a program.
    is_candidate: bool,
    /// The program that cargo runs if there are several.
    pub(crate) default_run: Option<String>,
}

/// The cargo that called us, else the one in `PATH`.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

impl Package {
    #[cfg(test)]
    pub(crate) fn new(name: &str, folder: &Path) -> Self {
        Self { name: name.to_owned(), folder: folder.to_owned(), is_candidate: true, default_run: None }
    }

    /// The crate called `name`, or without a name the one that `current` lies in.
    pub(crate) fn find(name: Option<&str>, current: &Path) -> Result<Self, Box<dyn Error>> {
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .map_err(|error| format!("could not start cargo: {error}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let message = text.lines().find_map(|line| line.strip_prefix("error: "));
            return Err(message.unwrap_or("cargo metadata failed").into());
        }
        let packages = read(&serde_json::from_slice(&output.stdout)?);
        Ok(choose(&packages, name, current)?.clone())
    }
}

fn read(metadata: &Value) -> Vec<Package> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let members = array(&metadata["workspace_default_members"]);
    let packages = array(&metadata["packages"]);
    let packages = packages.iter().filter_map(|package| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let targets = array(&package["targets"]);
        let has_program = targets.iter().any(|target| array(&target["kind"]).contains(&"bin".into()));
        Some(Package {
            name: package["name"].as_str()?.to_owned(),
            folder: manifest.parent()?.to_owned(),
            is_candidate: has_program && members.contains(&package["id"]),
            default_run: package["default_run"].as_str().map(str::to_owned),
        })
    });
    packages.collect()
}

fn choose<'a>(packages: &'a [Package], name: Option<&str>, current: &Path) -> Result<&'a Package, String> {
    if let Some(name) = name {
        let found = packages.iter().find(|package| package.name == name);
        return found.ok_or_else(|| format!("there is no crate {name:?} here; there is {}", names(packages)));
    }
    let around = packages.iter().filter(|package| current.starts_with(&package.folder));
    if let Some(package) = around.max_by_key(|package| package.folder.components().count()) {
        return Ok(package);
    }
    let candidates: Vec<_> = packages.iter().filter(|package| package.is_candidate).collect();
    match candidates.as_slice() {
        [only] => Ok(only),
        [] => Err("no crate here has a program to run".to_owned()),
        several => Err(format!("which crate to run? Name it with -p: {}", names(several.iter().copied()))),
    }
}

fn names<'a>(packages: impl IntoIterator<Item = &'a Package>) -> String {
    packages.into_iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn packages() -> Vec<Package> {
        let package = |name: &str, folder: &str, kind: &str| {
            json!({
                "id": name, "name": name, "manifest_path": format!("{folder}/Cargo.toml"),
                "targets": [{ "kind": [kind] }, { "kind": ["test"] }],
            })
        };
        read(&json!({
            "packages": [
                package("app", "/w/app", "bin"), package("inner", "/w/app/inner", "bin"),
                package("library", "/w/library", "lib"), package("extra", "/w/extra", "bin"),
            ],
            "workspace_default_members": ["app", "library"],
        }))
    }

    fn chosen(name: Option<&str>, current: &str) -> Result<String, String> {
        choose(&packages(), name, Path::new(current)).map(|package| package.name.clone())
    }

    #[test]
    fn a_crate_is_found_by_its_name() {
        assert_eq!(chosen(Some("extra"), "/w/app"), Ok("extra".to_owned()));
        let error = "there is no crate \"nope\" here; there is app, inner, library, extra";
        assert_eq!(chosen(Some("nope"), "/w/app"), Err(error.to_owned()));
    }

    #[test]
    fn without_a_name_it_is_the_innermost_around_the_current_folder() {
        assert_eq!(chosen(None, "/w/app/src"), Ok("app".to_owned()));
        assert_eq!(chosen(None, "/w/app/inner"), Ok("inner".to_owned()));
        assert_eq!(chosen(None, "/w/library"), Ok("library".to_owned()));
    }

    #[test]
    fn above_all_crates_it_is_the_only_one_with_a_program() {
        assert_eq!(chosen(None, "/w"), Ok("app".to_owned()));
        let mut packages = packages();
        packages[3].is_candidate = true;
        let error = choose(&packages, None, Path::new("/w")).unwrap_err();
        assert_eq!(error, "which crate to run? Name it with -p: app, extra");
        assert_eq!(choose(&[], None, Path::new("/w")).unwrap_err(), "no crate here has a program to run");
    }
}
