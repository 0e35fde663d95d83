//! Builds a crate's program and tells where its file is, for programs that somebody else starts.

use std::{
    error::Error,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    signals::Signals,
    workspace::{self, Package},
};

/// A build that is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Build {
    package: Package,
    release: bool,
}

impl Build {
    pub(crate) fn new(package: &Package, release: bool) -> Self {
        Self { package: package.clone(), release }
    }

    fn arguments(&self) -> Vec<OsString> {
        // What the compiler says goes where it always goes, and not into the messages for us.
        let format = "--message-format=json-render-diagnostics";
        let mut arguments: Vec<OsString> =
            ["build", "--package", &self.package.name, format].map(Into::into).into();
        arguments.extend(self.release.then(|| "--release".into()));
        arguments
    }

    /// Builds, and hands signals on to cargo meanwhile. A build that has failed has said why; then there is its exit status.
    pub(crate) async fn run(
        &self,
        signals: &mut Signals,
    ) -> Result<Result<PathBuf, ExitStatus>, Box<dyn Error>> {
        let mut command = Command::new(workspace::cargo());
        let child = command.args(self.arguments()).stdout(Stdio::piped()).spawn();
        let child = child.map_err(|error| format!("could not start cargo: {error}"))?;
        let process = child.id();
        let output = tokio::select! {
            output = child.wait_with_output() => output?,
            never = signals.hand_on(process) => match never {},
        };
        if !output.status.success() {
            return Ok(Err(output.status));
        }
        Ok(Ok(self.program(&String::from_utf8_lossy(&output.stdout))?))
    }

    /// The program's file, out of what cargo tells.
    fn program(&self, messages: &str) -> Result<PathBuf, String> {
        let manifest = self.package.folder.join("Cargo.toml");
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let programs: Vec<_> = messages.filter_map(|message| program(&message, &manifest)).collect();
        let name = &self.package.name;
        let default = self.package.default_run.as_ref();
        let chosen = programs.iter().find(|(name, _)| Some(name) == default);
        match (chosen, programs.as_slice()) {
            (Some((_, file)), _) | (None, [(_, file)]) => Ok(file.clone()),
            (None, []) => Err(format!("the crate {name} has no program to run")),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
                let names = names.join(", ");
                Err(format!(
                    "the crate {name} has several programs: {names}; name the one to run as default-run in its Cargo.toml"
                ))
            }
        }
    }
}

/// The name and the file of a program of the crate with this manifest, if the message tells of one.
fn program(message: &Value, manifest: &Path) -> Option<(String, PathBuf)> {
    let target = &message["target"];
    let is_program = target["kind"].as_array().is_some_and(|kinds| kinds.contains(&"bin".into()));
    let is_ours = Path::new(message["manifest_path"].as_str()?) == manifest;
    let file = message["executable"].as_str()?;
    (is_program && is_ours).then(|| Some((target["name"].as_str()?.to_owned(), file.into())))?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn artifact(manifest: &str, kind: &str, name: &str) -> String {
        let target = json!({ "kind": [kind], "name": name });
        let executable = format!("/w/target/debug/{name}");
        json!({ "reason": "compiler-artifact", "manifest_path": manifest, "target": target, "executable": executable })
            .to_string()
    }

    fn program_of(default_run: Option<&str>, messages: &[String]) -> Result<PathBuf, String> {
        let mut package = Package::new("app", Path::new("/w/app"));
        package.default_run = default_run.map(str::to_owned);
        Build::new(&package, false).program(&messages.join("\n"))
    }

    #[test]
    fn the_program_is_the_crates_only_one_or_its_default() {
        let other = artifact("/w/other/Cargo.toml", "bin", "other");
        let example = artifact("/w/app/Cargo.toml", "example", "example");
        let [a, b] = ["a", "b"].map(|name| artifact("/w/app/Cargo.toml", "bin", name));
        let noise = "no JSON".to_owned();
        let a_alone = [other.clone(), example.clone(), noise, a.clone()];
        assert_eq!(program_of(None, &a_alone), Ok("/w/target/debug/a".into()));
        let both = [a, b];
        assert_eq!(program_of(Some("b"), &both), Ok("/w/target/debug/b".into()));
        let error = program_of(None, &both).unwrap_err();
        assert!(error.contains("a, b") && error.contains("default-run"), "{error}");
        assert_eq!(
            program_of(None, &[other, example]),
            Err("the crate app has no program to run".to_owned())
        );
    }

    #[test]
    fn what_is_built_is_the_crate_as_it_was_asked_for() {
        let package = Package::new("app", Path::new("/w/app"));
        let arguments = ["build", "--package", "app", "--message-format=json-render-diagnostics"];
        assert_eq!(Build::new(&package, false).arguments(), arguments);
        assert_eq!(Build::new(&package, true).arguments(), [&arguments[..], &["--release"]].concat());
    }
}
