use std::{error::Error as _, path::Path};

use super::{profile::EXECUTABLE, *};

fn parse(text: &str) -> LaunchSettings {
    LaunchSettings::parse("launchSettings.json", text).unwrap()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn select_error(text: &str, name: Option<&str>) -> (String, bool) {
    let settings = parse(text);
    let error = settings.select(name).unwrap_err();
    (error.to_string(), error.is_skippable())
}

fn profile(fields: &str) -> LaunchProfile {
    let text = format!(r#"{{ "profiles": {{ "it": {{ "commandName": "Project", {fields} }} }} }}"#);
    parse(&text).profiles.remove(0)
}

#[test]
fn a_profile_is_read_whole_and_unknown_keys_are_passed_over() {
    let settings = parse(
        r#"{ "profiles": {
            "all": { // comments are allowed
                "commandName": "Project", "commandLineArgs": "a b", "applicationUrl": "https://a:1; http://a:2",
                "environmentVariables": { "A": "1", "B": 2 }, "dotnetRunMessages": "true",
                "launchBrowser": true, "launchUrl": "swagger", "executablePath": "x", "workingDirectory": "y",
                "hotReloadEnabled": false, "inspectUri": "{wsProtocol}://", "ancmHostingModel": "inprocess",
                "use64Bit": false, "leaveRunningOnClose": true, "externalUrlConfiguration": true,
                "authenticationMode": "Windows", "nativeDebugging": true, "sqlDebugging": true,
                "jsWebView2Debugging": true, "remoteDebugEnabled": true, "remoteDebugMachine": "m",
                "useSSL": true, "sslPort": 443, "publishAllPorts": true, "editorsOwn": { "x": [] },
            },
            "bare": { "commandName": "Docker", "launchUrl": null },
        }, }"#,
    );
    let all = LaunchProfile {
        name: "all".into(),
        command_name: "Project".into(),
        command_line_args: text("a b"),
        application_url: text("https://a:1; http://a:2"),
        environment_variables: vec![("A".into(), "1".into()), ("B".into(), "2".into())],
        dotnet_run_messages: true,
        launch_browser: true,
        launch_url: text("swagger"),
        executable_path: text("x"),
        working_directory: text("y"),
        hot_reload_enabled: false,
        inspect_uri: text("{wsProtocol}://"),
        ancm_hosting_model: Some(AncmHostingModel::InProcess),
        use_64_bit: false,
        leave_running_on_close: true,
        external_url_configuration: true,
        authentication_mode: text("Windows"),
        native_debugging: true,
        sql_debugging: true,
        js_web_view2_debugging: true,
        remote_debug_enabled: true,
        remote_debug_machine: text("m"),
        use_ssl: true,
        ssl_port: 443,
        publish_all_ports: true,
    };
    let bare =
        LaunchProfile { name: "bare".into(), command_name: "Docker".into(), ..LaunchProfile::default() };
    assert_eq!(settings.profiles, [all, bare]);
    assert_eq!(settings.profiles[0].application_urls().collect::<Vec<_>>(), ["https://a:1", "http://a:2"]);
}

#[test]
fn the_settings_of_iis_are_read() {
    let settings = parse(
        r#"{ "$schema": "https://json.schemastore.org/launchsettings.json",
            "iisSettings": {
                "windowsAuthentication": true, "anonymousAuthentication": false,
                "iisExpress": { "applicationUrl": "http://localhost:8080", "sslPort": 44300 },
                "iis": { "applicationUrl": "http://localhost/app" },
            } }"#,
    );
    let binding = |url: &str, ssl_port| Some(IisBinding { application_url: text(url), ssl_port });
    assert_eq!(
        settings.iis_settings,
        IisSettings {
            windows_authentication: true,
            anonymous_authentication: false,
            iis_express: binding("http://localhost:8080", 44300),
            iis: binding("http://localhost/app", 0),
        }
    );
    assert_eq!(parse("{}").iis_settings, IisSettings::default());
}

#[test]
fn a_broken_file_names_path_line_and_column() {
    let error = |text: &str| {
        let error = LaunchSettings::parse("/x/launchSettings.json", text).unwrap_err();
        assert!(!error.is_skippable());
        error.to_string()
    };
    assert_eq!(
        error("{\n  \"profiles\": {\n"),
        "could not read /x/launchSettings.json: line 2, column 15: expected a '}' for this '{'"
    );
    assert_eq!(
        error("[]"),
        "could not read /x/launchSettings.json: line 1, column 1: expected an object at the top level, found a list"
    );
    for (fields, expected) in [
        ("\"launchBrowser\": 1", "line 2, column 18: expected true or false as launchBrowser"),
        ("\"launchUrl\": []", "line 2, column 14: expected a text as launchUrl"),
        ("\"sslPort\": 65536", "line 2, column 12: expected a port from 0 to 65535 as sslPort"),
        ("\"environmentVariables\": 5", "line 2, column 25: expected an object as environmentVariables"),
        ("\"environmentVariables\": { \"A\": {} }", "line 2, column 32: expected a text as A"),
        (
            "\"ancmHostingModel\": \"x\"",
            "line 2, column 21: expected InProcess or OutOfProcess as ancmHostingModel",
        ),
    ] {
        let text = format!("{{ \"profiles\": {{ \"it\": {{\n{fields} }} }} }}");
        assert_eq!(error(&text), format!("could not read /x/launchSettings.json: {expected}"));
    }
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_cause() {
    let error = LaunchSettings::load("/nowhere/launchSettings.json").unwrap_err();
    assert_eq!(error.to_string(), "could not read /nowhere/launchSettings.json");
    assert!(error.source().is_some() && !error.is_skippable());
    assert_eq!(LaunchSettings::find(Path::new("/nowhere")), None);
}

#[test]
fn a_profile_is_found_without_regard_to_case() {
    let settings = parse(
        r#"{ "profiles": { "Http": { "commandName": "Project" }, "x": { "commandName": "Executable" } } }"#,
    );
    assert_eq!(settings.select(Some("hTTP")).unwrap().name, "Http");
    assert_eq!(settings.select(Some("X")).unwrap().name, "x");
    assert_eq!(settings.select(Some("")).unwrap().name, "Http");
}

#[test]
fn without_a_name_the_first_project_is_taken_then_what_can_be_used() {
    let command = |names: &[&str]| {
        let profiles =
            names.iter().enumerate().map(|(n, name)| format!(r#""{n}": {{ "commandName": "{name}" }}"#));
        let text = format!(r#"{{ "profiles": {{ "no": 5, {} }} }}"#, profiles.collect::<Vec<_>>().join(","));
        parse(&text).select(None).map(|profile| profile.name.clone()).map_err(|error| error.to_string())
    };
    assert_eq!(command(&["IISExpress", "Executable", "Project", "Project"]), Ok("2".to_owned()));
    assert_eq!(command(&["Docker", "project", "Executable", "Module"]), Ok("2".to_owned()));
    assert_eq!(command(&["Docker", "IISExpress", "Executable"]), Ok("1".to_owned()));
    let none = Err("A usable launch profile could not be located.".to_owned());
    assert_eq!(command(&["Docker", "project"]), none);
    assert_eq!(command(&[]), none);
}

#[test]
fn selecting_tells_what_is_wrong() {
    let profiles =
        r#"{ "profiles": { "a": { "commandName": "Docker" }, "b": 5, "c": {} , "D": {}, "d": {} } }"#;
    for (name, message, skippable) in [
        ("a", "The launch profile type 'Docker' is not supported.", true),
        ("b", "The launch profile 'b' is not a JSON object.", true),
        ("c", "A usable launch profile could not be located.", true),
        (
            "d",
            "launchSettings.json has several launch profiles that differ only in case: \"D\", \"d\"",
            false,
        ),
        (
            "e",
            "the launch profile \"e\" doesn't exist: launchSettings.json has \"a\", \"c\", \"D\", \"d\"",
            false,
        ),
    ] {
        assert_eq!(select_error(profiles, Some(name)), (message.to_owned(), skippable));
    }
    let no_profiles = "The 'profiles' property of the launch settings document is not a JSON object.";
    for text in ["{}", r#"{ "profiles": [] }"#, r#"{ "profiles": null }"#] {
        assert_eq!(select_error(text, None), (no_profiles.to_owned(), true));
    }
    assert_eq!(
        select_error(r#"{ "profiles": {} }"#, Some("x")).0,
        "the launch profile \"x\" doesn't exist: launchSettings.json has none"
    );
}

#[test]
fn explicit_variables_win_over_the_application_url() {
    let profile = profile(
        r#""applicationUrl": "http://a", "environmentVariables": { "X": "%USER%", "ASPNETCORE_URLS": "http://b" }"#,
    );
    let environment = profile.environment(|name| (name == "USER").then(|| "me".to_owned()));
    let expected = [("ASPNETCORE_URLS", "http://b"), ("DOTNET_LAUNCH_PROFILE", "it"), ("X", "me")];
    assert_eq!(environment, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn an_executable_profile_is_seen_from_the_folder_of_its_file() {
    let folder = std::env::temp_dir();
    let settings = folder.join("launchSettings.json");
    let lookup = |name: &str| (name == "TOOL").then(|| "bin/tool".to_owned());
    let executable = |path: Option<&str>, directory: Option<&str>| {
        LaunchProfile {
            command_name: EXECUTABLE.into(),
            executable_path: path.map(Into::into),
            working_directory: directory.map(Into::into),
            command_line_args: Some("run \"%TOOL%\"".into()),
            application_url: Some("http://a".into()),
            ..LaunchProfile::default()
        }
        .executable(&settings, lookup)
    };

    let launch = executable(Some("%TOOL%"), Some(".")).unwrap();
    assert_eq!(launch.program, folder.join(".").join("bin/tool"));
    assert_eq!(launch.arguments, ["run", "bin/tool"]);
    assert_eq!(launch.working_directory, Some(folder.join(".")));

    let launch = executable(Some("tool"), None).unwrap();
    assert_eq!((launch.program, launch.working_directory), ("tool".into(), None));

    for path in [None, Some("")] {
        let error = executable(path, None).unwrap_err();
        assert_eq!(error.to_string(), "An 'Executable' launch profile needs the 'executablePath' property.");
    }
    let error = executable(Some("x"), Some("nowhere at all")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("The working directory '{}' does not exist.", folder.join("nowhere at all").display())
    );
    assert!(error.is_skippable());
}

#[test]
fn an_executable_profile_does_not_say_where_to_listen() {
    let profile = LaunchProfile {
        name: "x".into(),
        command_name: EXECUTABLE.into(),
        application_url: Some("http://a".into()),
        ..LaunchProfile::default()
    };
    assert_eq!(profile.environment(|_| None), [("DOTNET_LAUNCH_PROFILE".to_owned(), "x".to_owned())]);
}

#[test]
fn profiles_of_iis_and_the_module_say_where_the_module_listens() {
    let settings = parse(
        r#"{ "profiles": {
                "express": { "commandName": "IISExpress" },
                "iis": { "commandName": "IIS", "ancmHostingModel": "OutOfProcess" },
                "own": { "commandName": "IIS", "applicationUrl": "http://localhost:1" },
                "module": { "commandName": "Module", "applicationUrl": "https://localhost:2; http://localhost:3" },
                "bare": { "commandName": "Module" },
                "project": { "commandName": "Project", "applicationUrl": "http://localhost:4" },
            },
            "iisSettings": {
                "iisExpress": { "applicationUrl": "http://localhost:8080/", "sslPort": 44300 },
                "iis": { "applicationUrl": "http://localhost" },
            } }"#,
    );
    let module = |name: &str| {
        let launch = settings.select(Some(name)).unwrap().module(&settings.iis_settings)?;
        Some((launch.urls.join(" "), launch.hosting_model == AncmHostingModel::InProcess))
    };
    let expected = |urls: &str, is_in_process| Some((urls.to_owned(), is_in_process));
    assert_eq!(module("express"), expected("https://localhost:44300 http://localhost:8080", true));
    assert_eq!(module("iis"), expected("http://localhost", false));
    assert_eq!(module("own"), expected("http://localhost:1", true));
    assert_eq!(module("module"), expected("https://localhost:2 http://localhost:3", true));
    assert_eq!(module("bare"), expected("", true));
    assert_eq!(module("project"), None);
    // The module has the addresses, and not its application.
    let environment = settings.select(Some("own")).unwrap().environment(|_| None);
    assert_eq!(environment, [("DOTNET_LAUNCH_PROFILE".to_owned(), "own".to_owned())]);
}
