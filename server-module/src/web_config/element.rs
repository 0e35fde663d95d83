//! The element `aspNetCore`.

use roxmltree::Node;

use super::reader::Reader;
use super::{AspNetCore, handler_settings, values};
use crate::ranges;

const ATTRIBUTES: [&str; 12] = [
    "processPath",
    "arguments",
    "hostingModel",
    "startupTimeLimit",
    "shutdownTimeLimit",
    "rapidFailsPerMinute",
    "requestTimeout",
    "processesPerApplication",
    "stdoutLogEnabled",
    "stdoutLogFile",
    "forwardWindowsAuthToken",
    "disableStartUpErrorPage",
];

const ELEMENTS: [&str; 3] = ["environmentVariables", "handlerSettings", "recycleOnFileChange"];

/// Reads the element; none if it has no program.
pub(super) fn read<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
) -> Option<AspNetCore> {
    reader.only_attributes(element, &ATTRIBUTES);
    let process_path = reader.required(element, "processPath");
    let mut settings = AspNetCore::new(process_path.clone().unwrap_or_default());
    attributes(reader, element, &mut settings);
    let mut seen = Vec::new();
    for child in reader.children(element) {
        let name = child.tag_name().name();
        if seen.contains(&name) {
            reader.problem(child, format_args!("{name} is given twice"));
        } else if ELEMENTS.contains(&name) {
            seen.push(name);
        }
        match name {
            "environmentVariables" => settings.environment_variables = environment_variables(reader, child),
            "handlerSettings" => settings.handler_settings = handler_settings::read(reader, child),
            "recycleOnFileChange" => reader.note(
                child,
                "recycleOnFileChange is not applied; Module:Applications:NAME:Recycle:OnFileChange has the module look at files",
            ),
            _ => reader.unknown(child, &ELEMENTS),
        }
    }
    process_path.map(|_| settings)
}

fn attributes(reader: &mut Reader<'_, '_>, element: Node<'_, '_>, settings: &mut AspNetCore) {
    fn set<T>(option: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *option = value;
        }
    }
    let text = |text: &str| Ok(text.to_owned());
    set(&mut settings.arguments, reader.attribute(element, "arguments", text));
    set(&mut settings.hosting_model, reader.attribute(element, "hostingModel", values::hosting_model));
    let mut seconds = |name, range| reader.attribute(element, name, |text| values::seconds(text, range));
    set(&mut settings.startup_time_limit, seconds("startupTimeLimit", &ranges::STARTUP_TIME_LIMIT));
    set(&mut settings.shutdown_time_limit, seconds("shutdownTimeLimit", &ranges::SHUTDOWN_TIME_LIMIT));
    let mut number = |name, range| reader.attribute(element, name, |text| ranges::number(text, range, ""));
    let fails = number("rapidFailsPerMinute", &ranges::RAPID_FAILS_PER_MINUTE);
    set(&mut settings.rapid_fails_per_minute, fails);
    let processes = number("processesPerApplication", &ranges::PROCESSES_PER_APPLICATION);
    set(&mut settings.processes_per_application, processes);
    let timeout = |text: &str| values::time_span(text, &ranges::REQUEST_TIMEOUT);
    set(&mut settings.request_timeout, reader.attribute(element, "requestTimeout", timeout));
    set(&mut settings.stdout_log_enabled, reader.attribute(element, "stdoutLogEnabled", values::bool));
    let file = reader.attribute(element, "stdoutLogFile", text);
    // An empty one is none, as it is for the original.
    set(&mut settings.stdout_log_file, file.filter(|file| !file.is_empty()));
    let forward = reader.attribute(element, "forwardWindowsAuthToken", values::bool);
    if forward == Some(true) {
        reader.note(element, "forwardWindowsAuthToken is not applied: there are no Windows identities here");
    }
    set(&mut settings.forward_windows_auth_token, forward);
    let disable = reader.attribute(element, "disableStartUpErrorPage", values::bool);
    set(&mut settings.disable_start_up_error_page, disable);
}

fn environment_variables<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for (variable, name, value) in pairs(reader, element, "environmentVariable") {
        if let Some(reason) = why_no_name(&name) {
            reader.problem(variable, format_args!("environmentVariable name={name:?} {reason}"));
        } else {
            variables.push((name, value));
        }
    }
    variables
}

/// Why a text cannot be the name of an environment variable.
pub(crate) fn why_no_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty, which it must not be")
    } else if name.contains(['=', '\0']) {
        Some("is no name of a variable: it has a character that cannot be in one")
    } else {
        None
    }
}

/// The names and values of a collection, each with its element. `<clear />` takes away what stands before it.
pub(super) fn pairs<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
    child_name: &'static str,
) -> Vec<(Node<'a, 'input>, String, String)> {
    reader.only_attributes(element, &[]);
    let mut found: Vec<(Node<'a, 'input>, String, String)> = Vec::new();
    for child in reader.children(element) {
        match child.tag_name().name() {
            "clear" => {
                reader.only_attributes(child, &[]);
                found.clear();
            }
            name if name == child_name => {
                let Some((name, value)) = pair(reader, child) else { continue };
                if found.iter().any(|(_, known, _)| known.eq_ignore_ascii_case(&name)) {
                    reader.problem(child, format_args!("{child_name} name={name:?} is given twice"));
                    continue;
                }
                found.push((child, name, value));
            }
            _ => reader.unknown(child, &[child_name, "clear"]),
        }
    }
    found
}

fn pair<'a, 'input>(reader: &mut Reader<'a, 'input>, element: Node<'a, 'input>) -> Option<(String, String)> {
    reader.only_attributes(element, &["name", "value"]);
    for child in reader.children(element) {
        reader.unknown(child, &[]);
    }
    let name = reader.required(element, "name");
    let value = element.attribute("value");
    if value.is_none() {
        reader
            .problem(element, format_args!("{} has no value, which it must have", element.tag_name().name()));
    }
    Some((name?, value?.to_owned()))
}
