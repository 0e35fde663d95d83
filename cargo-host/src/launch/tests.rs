use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::build::Build;

const SETTINGS: &str = r#"{ "profiles": {
    "http": {
        "commandName": "Project", "commandLineArgs": "a 'b' \"c d\"", "applicationUrl": "http://localhost:5001",
        "environmentVariables": { "PLACE": "%HOME%/x" }, "dotnetRunMessages": true, "launchBrowser": true
    },
    "tool": {
        "commandName": "Executable", "executablePath": "ls", "commandLineArgs": "-l %HOME%", "workingDirectory": ".."
    },
    "broken": { "commandName": "Executable" },
    "docker": { "commandName": "Docker" },
    "iis": { "commandName": "IISExpress", "commandLineArgs": "a", "environmentVariables": { "PLACE": "x" } },
    "module": { "commandName": "Module", "ancmHostingModel": "OutOfProcess" },
}, "iisSettings": { "windowsAuthentication": true,
    "iisExpress": { "applicationUrl": "http://localhost:8080", "sslPort": 44300 } } }"#;

struct Planned {
    launch: Result<Launch, Box<dyn Error>>,
    messages: Vec<String>,
    folder: PathBuf,
}

fn plan(settings: Option<&str>, options: RunOptions) -> Planned {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("cargo-host-launch-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(folder.join("Properties")).unwrap();
    if let Some(settings) = settings {
        fs::write(folder.join("Properties/launchSettings.json"), settings).unwrap();
    }
    let package = Package::new("app", &folder);
    // The module's program lies in the folder `bin`, if a test puts it there.
    let path = folder.join("bin").display().to_string();
    if settings.is_some_and(|settings| settings == SETTINGS) {
        fs::create_dir_all(&path).unwrap();
        fs::write(folder.join("bin/server-module"), "").unwrap();
    }
    let lookup = |name: &str| match name {
        "HOME" => Some("/home/me".to_owned()),
        "PATH" => Some(path.clone()),
        _ => None,
    };
    let mut messages = Vec::new();
    let launch = Launch::plan(options, &package, lookup, &mut messages);
    fs::remove_dir_all(&folder).unwrap();
    Planned { launch, messages, folder }
}

fn profile(name: &str) -> RunOptions {
    RunOptions { profile: Some(name.to_owned()), ..RunOptions::default() }
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn a_project_is_run_by_cargo_with_the_profiles_variables_and_arguments() {
    let planned = plan(Some(SETTINGS), RunOptions::default());
    let launch = planned.launch.unwrap();
    assert_eq!(launch.program, workspace::cargo());
    assert_eq!(launch.arguments, ["run", "--package", "app", "--", "a", "'b'", "c d"]);
    assert_eq!(
        launch.environment,
        pairs([
            ("ASPNETCORE_URLS", "http://localhost:5001"),
            ("DOTNET_LAUNCH_PROFILE", "http"),
            ("PLACE", "/home/me/x"),
        ])
    );
    assert_eq!((launch.working_directory, launch.hide_cargo), (None, false));
    let file = planned.folder.join("Properties").join("launchSettings.json");
    assert_eq!(
        planned.messages,
        [format!("Using launch settings from {}...", file.display()), "Building...".to_owned()]
    );
}

#[test]
fn the_users_options_come_last_and_replace_the_profiles_arguments() {
    let options = RunOptions {
        release: true,
        environment: pairs([("ASPNETCORE_URLS", "http://b"), ("X", "y")]),
        arguments: vec!["--".into(), "z".into()],
        ..profile("HTTP")
    };
    let launch = plan(Some(SETTINGS), options).launch.unwrap();
    assert_eq!(launch.arguments, ["run", "--package", "app", "--release", "--", "--", "z"]);
    assert_eq!(launch.environment[3..], pairs([("ASPNETCORE_URLS", "http://b"), ("X", "y")]));

    let options = RunOptions { no_profile_arguments: true, ..RunOptions::default() };
    let launch = plan(Some(SETTINGS), options).launch.unwrap();
    assert_eq!(launch.arguments, ["run", "--package", "app", "--"]);
}

#[test]
fn without_a_profile_the_program_is_told_not_to_look_for_one() {
    let none = pairs([("DOTNET_LAUNCH_PROFILE", ""), ("X", "y")]);
    let environment = pairs([("X", "y")]);
    let declined = RunOptions { no_profile: true, environment: environment.clone(), ..RunOptions::default() };
    let unusable = RunOptions { environment: environment.clone(), ..profile("docker") };
    for (settings, options, messages) in [
        (Some("broken"), declined, 0),
        (None, RunOptions { environment, ..RunOptions::default() }, 0),
        (Some(SETTINGS), unusable, 2),
    ] {
        let planned = plan(settings, options);
        let launch = planned.launch.unwrap();
        assert_eq!(launch.environment, none);
        assert_eq!(launch.arguments, ["run", "--package", "app", "--"]);
        assert_eq!(planned.messages.len(), messages);
    }
}

#[test]
fn an_executable_is_started_itself() {
    let planned = plan(Some(SETTINGS), profile("tool"));
    let launch = planned.launch.unwrap();
    assert_eq!(launch.program, "ls");
    assert_eq!(launch.arguments, ["-l", "/home/me"]);
    assert_eq!(launch.working_directory, Some(planned.folder.join("Properties").join("..")));
    assert_eq!(launch.environment, pairs([("DOTNET_LAUNCH_PROFILE", "tool")]));
    assert!(launch.hide_cargo);
}

#[test]
fn an_executable_without_a_path_leaves_the_project() {
    let planned = plan(Some(SETTINGS), profile("broken"));
    assert_eq!(planned.launch.unwrap().environment, pairs([("DOTNET_LAUNCH_PROFILE", "")]));
    assert_eq!(
        planned.messages[1],
        "The launch profile \"broken\" could not be applied. \
         An 'Executable' launch profile needs the 'executablePath' property."
    );
}

#[test]
fn a_broken_file_and_an_unknown_name_end_the_tool() {
    let error = plan(Some("{"), RunOptions::default()).launch.unwrap_err().to_string();
    assert!(error.ends_with("line 1, column 1: expected a '}' for this '{'"), "{error}");
    assert!(plan(Some(SETTINGS), profile("nope")).launch.is_err());
    assert!(plan(None, profile("http")).launch.is_err());
}

#[test]
fn a_profile_of_iis_starts_the_program_behind_the_module() {
    let planned = plan(Some(SETTINGS), profile("iis"));
    let launch = planned.launch.unwrap();
    let module = planned.folder.join("bin").join("server-module");
    assert_eq!(launch.program, module.into_os_string());
    assert_eq!(
        launch.arguments,
        ["run", "--urls", "https://localhost:44300;http://localhost:8080", "--in-process"]
    );
    assert_eq!(launch.working_directory.as_ref(), Some(&planned.folder));
    let folder = planned.folder.display().to_string();
    let variables =
        pairs([("CARGO_MANIFEST_DIR", &folder), ("DOTNET_LAUNCH_PROFILE", "iis"), ("PLACE", "x")]);
    assert_eq!(launch.environment, variables);
    let build = Build::new(&Package::new("app", &planned.folder), false);
    assert_eq!(launch.behind, Some(Behind { build, arguments: vec!["a".into()] }));
    assert!(planned.messages[1].contains("windowsAuthentication"), "{:?}", planned.messages);
}

#[test]
fn a_profile_of_the_module_names_its_model() {
    let options = RunOptions { arguments: vec!["--urls".into()], release: true, ..profile("module") };
    let planned = plan(Some(SETTINGS), options);
    let launch = planned.launch.unwrap();
    assert_eq!(launch.arguments, ["run"]);
    let build = Build::new(&Package::new("app", &planned.folder), true);
    assert_eq!(launch.behind, Some(Behind { build, arguments: vec!["--urls".into()] }));
    assert_eq!(planned.messages.len(), 1);
}

#[test]
fn without_the_modules_program_it_is_said_where_it_was_looked_for() {
    let settings = r#"{ "profiles": { "it": { "commandName": "Module" } } }"#;
    let error = plan(Some(settings), RunOptions::default()).launch.unwrap_err().to_string();
    let own = std::env::current_exe().unwrap().parent().unwrap().display().to_string();
    for part in ["\"it\"", "server-module", own.as_str(), "PATH", "cargo install"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
