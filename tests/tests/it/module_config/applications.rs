//! The keys of an application, over its `web.config`.

use std::time::Duration;

use server_module::{ApplicationOptions, HostingModel, ModuleOptions, SettingsError, Surroundings};

use super::module_section::{WEB_CONFIG, folder, load, surroundings};
use super::problems;
use crate::program::Folder;

/// The application of the folder `shop`, with these keys besides.
fn shop(folder: &Folder, keys: &str) -> Result<ApplicationOptions, SettingsError> {
    let section = format!(r#"{{ "Applications": {{ "shop": {{ "Path": "shop", {keys} }} }} }}"#);
    load(folder, &section).map(|mut options| options.applications.remove(0))
}

/// What is wrong with one key, which may be one in a section, behind its value and place.
fn wrong(folder: &Folder, key: &str, value: &str) -> String {
    let keys = match key.split_once(':') {
        Some((outer, inner)) => format!("\"{outer}\": {{ \"{inner}\": {value} }}"),
        None => format!("\"{key}\": {value}"),
    };
    let found = problems(shop(folder, &keys));
    let [problem] = found.as_slice() else { panic!("{key}: {value}: {found:?}") };
    let path = format!("Module:Applications:shop:{key}");
    assert!(problem.starts_with(&path) && problem.contains("/module.json:1:"), "{problem}");
    problem.split_once("): ").unwrap().1.to_owned()
}

#[test]
fn without_keys_it_is_what_the_file_says() {
    let folder = folder();
    let application = shop(&folder, r#""Hosts": []"#).unwrap();
    assert_eq!(application.settings.hosting_model, HostingModel::OutOfProcess);
    assert_eq!(application.max_allowed_content_length, 30_000_000);
    assert_eq!((application.user, application.group), (None, None));
    assert_eq!(application.limits, server_module::WorkerLimits::default());
    assert_eq!(application.recycle, server_module::RecycleOptions::default());
    assert!(application.path_prefix.is_root() && application.endpoints.is_empty());
}

#[test]
fn every_key_goes_before_the_file() {
    let folder = folder();
    let variables = "<environmentVariables><environmentVariable name=\"A\" value=\"1\" /><environmentVariable name=\"B\" value=\"2\" /></environmentVariables>";
    let element = format!("shutdownTimeLimit=\"20\">{variables}</aspNetCore>");
    folder.write("shop/web.config", WEB_CONFIG.replace("/>", &element));
    super::program(&folder, "shop/other");
    let application = shop(
        &folder,
        r#""Command": ".\\other", "Arguments": "x \"y z\"", "HostingModel": "inprocess",
           "StartupTimeLimit": "00:01:00", "RapidFailsPerMinute": 3, "RequestTimeout": "15.00:00:00",
           "ProcessesPerApplication": 4, "MaxAllowedContentLength": 100, "StdoutLogEnabled": true,
           "StdoutLogFile": "logs/out", "ForwardWindowsAuthToken": false, "DisableStartUpErrorPage": true,
           "EnvironmentVariables": { "a": "new", "B": null, "C": "3" },
           "HandlerSettings": { "SetCurrentDirectory": false, "ForwardResponseConnectionHeader": true },
           "User": "www-data", "Group": "33",
           "Limits": { "MemoryBytes": 1048576, "OpenFiles": 16, "Processes": 1, "CpuSeconds": 1 },
           "Recycle": { "MemoryBytes": 2000000, "After": "1.05:00:00", "OnFileChange": true }"#,
    )
    .unwrap();
    let settings = &application.settings;
    assert_eq!(application.program, folder.path().join("shop/other"));
    assert_eq!(application.arguments, ["x", "y z"]);
    assert_eq!(settings.hosting_model, HostingModel::InProcess);
    assert_eq!(settings.startup_time_limit, Duration::from_secs(60));
    assert_eq!(settings.shutdown_time_limit, Duration::from_secs(20));
    assert_eq!((settings.rapid_fails_per_minute, settings.processes_per_application), (3, 4));
    assert_eq!(settings.request_timeout, Duration::from_secs(1_296_000));
    assert_eq!(application.max_allowed_content_length, 100);
    assert!(settings.stdout_log_enabled && settings.disable_start_up_error_page);
    assert!(!settings.forward_windows_auth_token && !settings.handler_settings.set_current_directory);
    assert!(settings.handler_settings.forward_response_connection_header);
    assert!(settings.handler_settings.enable_out_of_process_console_redirection);
    assert_eq!(settings.stdout_log_file, "logs/out");
    let mut variables = settings.environment_variables.clone();
    variables.sort();
    assert_eq!(variables, [("C".to_owned(), "3".to_owned()), ("a".to_owned(), "new".to_owned())]);
    assert_eq!((application.user.as_deref(), application.group.as_deref()), (Some("www-data"), Some("33")));
    assert_eq!(application.limits.memory_bytes, Some(1_048_576));
    assert_eq!(application.limits.open_files, Some(16));
    assert_eq!((application.limits.processes, application.limits.cpu_seconds), (Some(1), Some(1)));
    assert_eq!(application.recycle.memory_bytes, Some(2_000_000));
    assert_eq!(application.recycle.after, Some(Duration::from_secs(29 * 3600)));
    assert!(application.recycle.on_file_change);
}

#[test]
fn numbers_and_times_have_the_ranges_of_the_file() {
    let folder = folder();
    let numbers = [
        ("RapidFailsPerMinute", 0, 100),
        ("ProcessesPerApplication", 1, 100),
        ("MaxAllowedContentLength", 0, i64::from(u32::MAX)),
    ];
    for (key, least, most) in numbers {
        for value in [least, most] {
            shop(&folder, &format!("\"{key}\": {value}")).unwrap();
        }
        let expected = format!("expected a whole number from {least} to {most}");
        assert_eq!(wrong(&folder, key, &(least - 1).to_string()), format!("it is below {least}; {expected}"));
        assert_eq!(wrong(&folder, key, &(most + 1).to_string()), format!("it is above {most}; {expected}"));
        for value in ["1.5", "\"ten\"", "true"] {
            let expected = format!("it is no whole number; expected one from {least} to {most}");
            assert_eq!(wrong(&folder, key, value), expected);
        }
    }
    let times = [
        ("StartupTimeLimit", 1, 3600, "01:00:00"),
        ("ShutdownTimeLimit", 0, 600, "00:10:00"),
        ("RequestTimeout", 1, 1_296_000, "360:00:00"),
    ];
    for (key, least, most, shown) in times {
        for value in [&least.to_string(), &most.to_string(), "\"00:00:01\""] {
            shop(&folder, &format!("\"{key}\": {value}")).unwrap();
        }
        assert_eq!(
            wrong(&folder, key, &format!("{}", most + 1)),
            format!("it is above {shown}; expected a time from 00:00:0{least} to {shown}")
        );
        for value in ["-1", "\"soon\"", "\"00:60:00\"", "true"] {
            assert!(wrong(&folder, key, value).starts_with("expected a time such as"), "{key}: {value}");
        }
    }
}

#[test]
fn what_is_none_of_its_kind_is_refused() {
    let folder = folder();
    for key in [
        "StdoutLogEnabled",
        "ForwardWindowsAuthToken",
        "DisableStartUpErrorPage",
        "HandlerSettings:SetCurrentDirectory",
        "Recycle:OnFileChange",
    ] {
        assert_eq!(wrong(&folder, key, "\"yes\""), "expected true or false");
    }
    for (key, least) in [
        ("Limits:MemoryBytes", 1 << 20),
        ("Limits:OpenFiles", 16),
        ("Limits:Processes", 1),
        ("Limits:CpuSeconds", 1),
        ("Recycle:MemoryBytes", 1 << 20),
    ] {
        assert_eq!(wrong(&folder, key, &(least - 1).to_string()), format!("it is below {least}"));
        assert!(wrong(&folder, key, "\"many\"").starts_with("expected a whole number"));
    }
    assert_eq!(wrong(&folder, "Recycle:After", "0.5"), "it is below a second");
    assert!(
        wrong(&folder, "HostingModel", "\"both\"").starts_with("expected one of InProcess, OutOfProcess")
    );
    assert_eq!(wrong(&folder, "User", "\"a b\""), "it is neither a name nor a number");
    assert_eq!(wrong(&folder, "Group", "\"\""), "it is empty");
    assert_eq!(wrong(&folder, "StdoutLogFile", "\"\""), "it is empty");
    assert_eq!(
        wrong(&folder, "Arguments", "\"a\\u0000\""),
        "it has a NUL, which no text for the system can have"
    );
    assert!(wrong(&folder, "Hosts", "\"a\"").starts_with("expected a list"));
    assert_eq!(wrong(&folder, "Limits", "\"a\""), "expected a section");
    assert_eq!(
        wrong(&folder, "Limits:Memory", "1"),
        "unknown key; the known ones are MemoryBytes, OpenFiles, Processes, CpuSeconds"
    );
    assert_eq!(
        wrong(&folder, "EnvironmentVariables:A=B", "\"1\""),
        "the name is no name of a variable: it has a character that cannot be in one"
    );
    assert_eq!(
        wrong(&folder, "EnvironmentVariables:A", "\"\\u0000\""),
        "it has a NUL, which no text for the system can have"
    );
}

#[test]
fn a_list_of_arguments_is_taken_as_it_is_and_a_text_is_expanded_and_split() {
    let folder = folder();
    let variables = vec![("HOME".to_owned(), "/home/x y".to_owned())];
    let surroundings = Surroundings { variables, ..surroundings(&folder) };
    let arguments = |arguments: &str| {
        let text = format!(
            r#"{{ "Module": {{ "Applications": {{ "a": {{ "Command": "app", "Arguments": {arguments} }} }} }} }}"#
        );
        folder.write("module.json", text);
        ModuleOptions::load("module.json", &surroundings).unwrap().applications.remove(0).arguments
    };
    assert_eq!(arguments(r#"["%HOME%", "a \"b", ""]"#), ["%HOME%", "a \"b", ""]);
    assert_eq!(arguments(r#""\"%home%\" %NO%""#), ["/home/x y", "%NO%"]);
    assert_eq!(arguments("[]"), [""; 0]);
    assert_eq!(arguments(r#""""#), [""; 0]);
}

#[test]
fn what_the_file_says_for_iis_is_noted() {
    let folder = folder();
    folder.write("shop/web.config", WEB_CONFIG.replace("<aspNetCore", "<rewrite />\n<aspNetCore"));
    let options = load(&folder, r#"{ "Applications": { "shop": { "Path": "shop" } } }"#).unwrap();
    assert!(
        options.notes.len() == 1 && options.notes[0].contains("shop/web.config:3:5: rewrite is not applied"),
        "{:?}",
        options.notes
    );
}
