//! Every attribute of `aspNetCore`: its default, the ends of its range, one beyond each, and what is none of its kind.

use std::time::Duration;

use server_module::{AspNetCore, HostingModel};

use super::{parse, problems};

/// The element with a program and one attribute more.
fn with(attribute: &str, value: &str) -> Result<AspNetCore, String> {
    let attributes = format!("processPath=\"app\" {attribute}=\"{value}\"");
    match parse(&attributes, "") {
        Ok(config) => Ok(config.asp_net_core),
        Err(error) => {
            let found = problems::<()>(Err(error));
            let [problem] = found.as_slice() else { panic!("{attribute}={value}: {found:?}") };
            // The attribute begins behind `    <aspNetCore processPath="app" `.
            let rest = problem.strip_prefix("web.config:3:35: ").unwrap_or_else(|| panic!("{problem}"));
            Err(rest.to_owned())
        }
    }
}

fn default() -> AspNetCore {
    parse("processPath=\"app\"", "").unwrap().asp_net_core
}

/// What an attribute of whole numbers takes and refuses.
fn number(
    name: &str,
    read: impl Fn(&AspNetCore) -> u64,
    (default_value, least, most): (u64, u64, u64),
    unit: &str,
) {
    assert_eq!(read(&default()), default_value, "{name}");
    for value in [least, least + 1, most - 1, most, default_value] {
        assert_eq!(read(&with(name, &value.to_string()).unwrap()), value, "{name}");
    }
    assert_eq!(read(&with(name, &format!("000{most}")).unwrap()), most, "{name}");
    let unit_in_brackets = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
    let below = i128::from(least) - 1;
    for value in [below.to_string(), "-99999999999999999999999999999999999999999".to_owned()] {
        let expected = format!(
            "{name}=\"{value}\" is below {least}{unit_in_brackets}; expected a whole number from {least} to {most}"
        );
        assert_eq!(with(name, &value).unwrap_err(), expected);
    }
    for value in [(most + 1).to_string(), u64::MAX.to_string(), "9".repeat(50)] {
        let expected = format!(
            "{name}=\"{value}\" is above {most}{unit_in_brackets}; expected a whole number from {least} to {most}"
        );
        assert_eq!(with(name, &value).unwrap_err(), expected);
    }
    for value in ["", " ", "ten", "1.5", "1e2", "0x10", "+1", " 10", "10 ", "00:00:10", "-", "١"] {
        let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
        let expected =
            format!("{name}={value:?} is no whole number{of}; expected one from {least} to {most}");
        assert_eq!(with(name, value).unwrap_err(), expected);
    }
}

#[test]
fn startup_time_limit() {
    number("startupTimeLimit", |settings| settings.startup_time_limit.as_secs(), (120, 1, 3600), "seconds");
}

#[test]
fn shutdown_time_limit() {
    number("shutdownTimeLimit", |settings| settings.shutdown_time_limit.as_secs(), (10, 0, 600), "seconds");
}

#[test]
fn rapid_fails_per_minute() {
    number("rapidFailsPerMinute", |settings| settings.rapid_fails_per_minute.into(), (10, 0, 100), "");
}

#[test]
fn processes_per_application() {
    number("processesPerApplication", |settings| settings.processes_per_application.into(), (1, 1, 100), "");
}

#[test]
fn request_timeout() {
    assert_eq!(default().request_timeout, Duration::from_secs(120));
    let taken = [
        ("00:00:01", 1),
        ("00:02:00", 120),
        ("23:59:59", 86_399),
        ("24:00:00", 86_400),
        ("1:2:3", 3723),
        ("1.00:00:00", 86_400),
        ("15.00:00:00", 1_296_000),
        ("359:59:59", 1_295_999),
        ("360:00:00", 1_296_000),
    ];
    for (value, seconds) in taken {
        let settings = with("requestTimeout", value).unwrap();
        assert_eq!(settings.request_timeout, Duration::from_secs(seconds), "{value}");
    }
    for value in ["360:00:01", "15.00:00:01", "999999999:00:00"] {
        let expected = format!(
            "requestTimeout=\"{value}\" is above 360:00:00; expected a time from 00:00:01 to 360:00:00"
        );
        assert_eq!(with("requestTimeout", value).unwrap_err(), expected);
    }
    let none = "requestTimeout=\"00:00:00\" is below 00:00:01; expected a time from 00:00:01 to 360:00:00";
    assert_eq!(with("requestTimeout", "00:00:00").unwrap_err(), none);
    for (value, part, below) in [
        ("00:60:00", "60 minutes", 60),
        ("00:00:60", "60 seconds", 60),
        ("00:99:00", "99 minutes", 60),
        ("1.24:00:00", "24 hours", 24),
    ] {
        let expected = format!("requestTimeout=\"{value}\" has {part}, which must be below {below}");
        assert_eq!(with("requestTimeout", value).unwrap_err(), expected);
    }
    for value in
        ["", "120", "00:02", "-00:00:01", "00:00:00.5", "00:00:0x", "00::00", "1:00:00:00", "::", "two"]
    {
        let expected = format!(
            "requestTimeout=\"{value}\" is no time; expected hh:mm:ss in whole seconds, such as 00:02:00"
        );
        assert_eq!(with("requestTimeout", value).unwrap_err(), expected);
    }
}

#[test]
fn hosting_model() {
    assert_eq!(default().hosting_model, HostingModel::OutOfProcess);
    let taken = [
        ("inprocess", HostingModel::InProcess),
        ("InProcess", HostingModel::InProcess),
        ("OUTOFPROCESS", HostingModel::OutOfProcess),
        ("outofprocess", HostingModel::OutOfProcess),
        ("", HostingModel::OutOfProcess),
    ];
    for (value, model) in taken {
        assert_eq!(with("hostingModel", value).unwrap().hosting_model, model, "{value}");
    }
    for value in ["in-process", "inprocess ", "both"] {
        let expected =
            format!("hostingModel=\"{value}\" is no hosting model; expected inprocess or outofprocess");
        assert_eq!(with("hostingModel", value).unwrap_err(), expected);
    }
}

#[test]
fn switches() {
    type Read = fn(&AspNetCore) -> bool;
    let switches: [(&str, bool, Read); 3] = [
        ("stdoutLogEnabled", false, |settings| settings.stdout_log_enabled),
        ("forwardWindowsAuthToken", true, |settings| settings.forward_windows_auth_token),
        ("disableStartUpErrorPage", false, |settings| settings.disable_start_up_error_page),
    ];
    for (name, default_value, read) in switches {
        assert_eq!(read(&default()), default_value, "{name}");
        for (value, expected) in [("true", true), ("True", true), ("false", false), ("FALSE", false)] {
            assert_eq!(read(&with(name, value).unwrap()), expected, "{name}={value}");
        }
        for value in ["", "1", "0", "yes", " true"] {
            let expected = format!("{name}=\"{value}\" is no switch; expected true or false");
            assert_eq!(with(name, value).unwrap_err(), expected);
        }
    }
}

#[test]
fn texts() {
    assert_eq!(default().process_path, "app");
    assert_eq!(default().arguments, "");
    assert_eq!(default().stdout_log_file, r".\aspnetcore-stdout");
    assert_eq!(with("arguments", "").unwrap().arguments, "");
    assert_eq!(with("arguments", "a &quot;b c&quot; %D%").unwrap().arguments, "a \"b c\" %D%");
    assert_eq!(with("stdoutLogFile", r".\logs\stdout").unwrap().stdout_log_file, r".\logs\stdout");
    assert_eq!(with("stdoutLogFile", "").unwrap().stdout_log_file, r".\aspnetcore-stdout");
    assert_eq!(
        problems(parse("arguments=\"a\"", "")),
        ["web.config:3:5: aspNetCore has no processPath, which it must have"]
    );
    assert_eq!(
        problems(parse("processPath=\"\"", "")),
        ["web.config:3:17: processPath=\"\" is empty, which it must not be"]
    );
}

#[test]
fn texts_are_expanded_where_the_original_expands_them() {
    let attributes = "processPath=\"%APP%\" arguments=\"%APP% %NO%\" stdoutLogFile=\"%APP%.log\"";
    let children = "<environmentVariables><environmentVariable name=\"%APP%\" value=\"%app%;x\" /></environmentVariables>";
    let settings = parse(attributes, children).unwrap().asp_net_core;
    assert_eq!(settings.process_path, "%APP%");
    let variables = [("APP".to_owned(), "shop".to_owned())];
    let expanded =
        settings.expanded(|name| server_module::command::lookup(&variables, name).map(str::to_owned));
    assert_eq!(expanded.process_path, "shop");
    assert_eq!(expanded.arguments, "shop %NO%");
    assert_eq!(expanded.stdout_log_file, "shop.log");
    assert_eq!(expanded.environment_variables, [("%APP%".to_owned(), "shop;x".to_owned())]);
}
