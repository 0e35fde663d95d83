use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

const SETTINGS: &str = r#"{ "profiles": {
    "IIS Express": { "commandName": "IISExpress" },
    "http": {
        "commandName": "Project",
        "commandLineArgs": "--greeting \"good day\"",
        "applicationUrl": "http://localhost:5001",
        "environmentVariables": { "ASPNETCORE_ENVIRONMENT": "Development", "PLACE": "%HOME%/x" },
    },
    "tool": { "commandName": "Executable", "executablePath": "ls" },
} }"#;

/// A crate's folder with launch settings, removed in the end.
struct Project(PathBuf);

impl Project {
    fn new(settings: Option<&str>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("hosting-choice-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("Properties")).unwrap();
        if let Some(settings) = settings {
            fs::write(folder.join("Properties/launchSettings.json"), settings).unwrap();
        }
        Self(folder)
    }

    fn file(&self) -> String {
        self.0.join("Properties").join("launchSettings.json").display().to_string()
    }

    fn choose(&self, arguments: &[&str]) -> LaunchChoice {
        self.try_choose(arguments, &[], "/target/debug/app").unwrap()
    }

    fn error(&self, arguments: &[&str]) -> String {
        self.try_choose(arguments, &[], "/target/debug/app").unwrap_err().to_string()
    }

    fn try_choose(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        program: &str,
    ) -> Result<LaunchChoice, LaunchSettingsError> {
        let lookup = |name: &str| match (environment.iter().find(|(other, _)| *other == name), name) {
            (Some((_, value)), _) => Some((*value).to_owned()),
            (None, "CARGO_MANIFEST_DIR") => Some(self.0.display().to_string()),
            (None, "HOME") => Some("/home/me".to_owned()),
            (None, _) => None,
        };
        LaunchChoice::make(arguments.iter().map(|&argument| argument.to_owned()), lookup, Path::new(program))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_first_project_profile_is_applied_with_its_arguments() {
    let project = Project::new(Some(SETTINGS));
    let choice = project.choose(&[]);
    let profile = choice.profile.unwrap();
    assert!(profile.source.starts_with("launch profile \"http\" in "), "{}", profile.source);
    assert_eq!(profile.source, format!("launch profile \"http\" in {}", project.file()));
    assert_eq!(
        profile.environment,
        [
            pair("ASPNETCORE_URLS", "http://localhost:5001"),
            pair("DOTNET_LAUNCH_PROFILE", "http"),
            pair("ASPNETCORE_ENVIRONMENT", "Development"),
            pair("PLACE", "/home/me/x"),
        ]
    );
    assert_eq!(choice.arguments, ["--greeting", "good day"]);
    assert_eq!(choice.messages, [(Level::INFO, format!("Using launch settings from {}...", project.file()))]);
    assert_eq!(choice.skipped, None);
}

#[test]
fn the_profiles_variables_replace_those_of_the_process() {
    let choice = Project::new(Some(SETTINGS)).choose(&[]);
    let source = choice.profile.as_ref().unwrap().source.clone();
    let variables = choice.over([pair("PLACE", "shell"), pair("USER", "me")]);
    assert_eq!(variables.len(), 5);
    assert_eq!(variables[0], ("USER".to_owned(), "me".to_owned(), None));
    assert_eq!(variables[4], ("PLACE".to_owned(), "/home/me/x".to_owned(), Some(source)));

    let choice = Project::new(None).choose(&[]);
    assert_eq!(choice.over([pair("A", "b")]), [("A".to_owned(), "b".to_owned(), None)]);
}

#[test]
fn the_applications_own_arguments_replace_the_profiles() {
    let project = Project::new(Some(SETTINGS));
    assert_eq!(project.choose(&["--x", "1", "-lp", "HTTP"]).arguments, ["--x", "1"]);
    assert_eq!(project.choose(&["--no-launch-profile-arguments"]).arguments, [] as [&str; 0]);
    assert_eq!(project.choose(&["--"]).arguments, ["--"]);
}

#[test]
fn our_switches_are_taken_out_up_to_two_dashes() {
    let project = Project::new(Some(SETTINGS));
    for arguments in
        [&["--launch-profile", "http"][..], &["--launch-profile=http"], &["-lp", "http"], &["-lp=http"]]
    {
        let choice = project.choose(arguments);
        let source = choice.profile.unwrap().source;
        assert!(source.starts_with("launch profile \"http\" in "), "{arguments:?}: {source}");
        assert_eq!(choice.arguments, ["--greeting", "good day"], "{arguments:?}");
    }
    let choice = project.choose(&["a", "--no-launch-profile", "--", "-lp", "--no-launch-profile"]);
    assert_eq!(choice.arguments, ["a", "--", "-lp", "--no-launch-profile"]);
    assert_eq!(project.error(&["x", "-lp"]), "-lp needs the name of a launch profile");
}

#[test]
fn no_profile_is_looked_for_where_somebody_else_decides() {
    let project = Project::new(Some(SETTINGS));
    let reason = |arguments: &[&str], environment: &[(&str, &str)], program: &str| {
        let choice = project.try_choose(arguments, environment, program).unwrap();
        assert!(choice.profile.is_none() && choice.messages.is_empty());
        assert_eq!(choice.arguments, [] as [&str; 0]);
        choice.skipped.unwrap()
    };
    let app = "/target/debug/app";
    assert_eq!(reason(&["--no-launch-profile"], &[], app), SkipReason::Declined);
    assert_eq!(reason(&[], &[("DOTNET_LAUNCH_PROFILE", "")], app), SkipReason::AlreadyApplied);
    assert_eq!(reason(&[], &[("ASPNETCORE_TOKEN", "x")], app), SkipReason::UnderModule);
    assert_eq!(reason(&[], &[("LISTEN_FDS", "1")], app), SkipReason::HandedSockets);
    assert_eq!(reason(&[], &[], "/target/debug/deps/app-12"), SkipReason::UnderTest);

    let choice = LaunchChoice::make([], |_| None, Path::new(app)).unwrap();
    assert_eq!(choice.skipped, Some(SkipReason::NotUnderCargo));
}

#[test]
fn a_name_that_has_no_effect_is_a_warning_and_still_taken_out() {
    let choice =
        LaunchChoice::make(["-lp", "x", "a"].map(str::to_owned), |_| None, Path::new("/app")).unwrap();
    assert_eq!(choice.arguments, ["a"]);
    let warning = "--launch-profile x has no effect because the program was not started by cargo run";
    assert_eq!(choice.messages, [(Level::WARN, warning.to_owned())]);
}

#[test]
fn without_a_file_nothing_is_said_unless_a_profile_was_named() {
    let project = Project::new(None);
    let choice = project.choose(&["a"]);
    assert!(choice.profile.is_none() && choice.messages.is_empty() && choice.skipped.is_none());
    assert_eq!(
        project.error(&["-lp", "x"]),
        format!("there is no launch profile \"x\": {} does not exist", project.file())
    );
}

#[test]
fn a_profile_that_cannot_be_used_is_a_message() {
    let message = |settings: &str, arguments: &[&str]| {
        let choice = Project::new(Some(settings)).choose(arguments);
        assert!(choice.profile.is_none());
        assert_eq!(choice.arguments, [] as [&str; 0]);
        let (level, text) = choice.messages[1].clone();
        assert_eq!((level, choice.messages.len()), (Level::ERROR, 2));
        text
    };
    assert_eq!(
        message(SETTINGS, &["-lp", "iis express"]),
        "The launch profile \"iis express\" could not be applied. \
         The launch profile type 'IISExpress' starts the program behind the module; use 'cargo host run'."
    );
    assert_eq!(
        message(SETTINGS, &["-lp", "tool"]),
        "The launch profile \"tool\" could not be applied. \
         An 'Executable' launch profile starts another program; use 'cargo host run'."
    );
    assert_eq!(
        message("{}", &[]),
        "The launch profile \"(Default)\" could not be applied. \
         The 'profiles' property of the launch settings document is not a JSON object."
    );
}

#[test]
fn a_broken_file_and_an_unknown_name_are_errors() {
    let broken = Project::new(Some("{ \"profiles\":\n { \"http\" { } } }"));
    assert_eq!(
        broken.error(&[]),
        format!("could not read {}: line 2, column 11: expected ':' after the key", broken.file())
    );
    let project = Project::new(Some(SETTINGS));
    assert_eq!(
        project.error(&["--launch-profile", "nope"]),
        format!(
            "the launch profile \"nope\" doesn't exist: {} has \"IIS Express\", \"http\", \"tool\"",
            project.file()
        )
    );
}
