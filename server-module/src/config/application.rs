//! One application: its keys, over its `web.config`.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hosting::ConfigurationSection;
use serde::Deserialize;

use super::effects;
use super::keys::Keys;
use super::{ApplicationOptions, ModuleOptions, RecycleOptions, Surroundings, WorkerLimits};
use crate::error::Problems;
use crate::web_config::why_no_name;
use crate::worker::Identity;
use crate::{AspNetCore, HandlerSettings, HostingModel, WebConfig, command, nearest, ranges};

const KEYS: [&str; 23] = [
    "Path",
    "Command",
    "Arguments",
    "Hosts",
    "PathPrefix",
    "Endpoints",
    "HostingModel",
    "StartupTimeLimit",
    "ShutdownTimeLimit",
    "RapidFailsPerMinute",
    "RequestTimeout",
    "ProcessesPerApplication",
    "MaxAllowedContentLength",
    "StdoutLogEnabled",
    "StdoutLogFile",
    "ForwardWindowsAuthToken",
    "DisableStartUpErrorPage",
    "EnvironmentVariables",
    "HandlerSettings",
    "User",
    "Group",
    "Limits",
    "Recycle",
];

/// The longest name of an application.
const MAX_NAME: usize = 64;

/// The least memory that a process can be given, in bytes.
const MIN_MEMORY: u64 = 1 << 20;

#[derive(Deserialize)]
enum Model {
    InProcess,
    OutOfProcess,
}

/// Adds the application to the options, as far as it can be read. Whether it is known by what it is reached: if not, there
/// is nothing to compare with others.
pub(super) fn read(
    section: &ConfigurationSection,
    surroundings: &Surroundings,
    options: &mut ModuleOptions,
    problems: &mut Problems,
) -> bool {
    let name = section.key().to_owned();
    let mut keys = Keys::new(section, problems);
    check_name(&name, &mut keys);
    if keys.is_plain() {
        keys.wrong("", "expected a section");
        return false;
    }
    keys.only(&KEYS);
    let folder = folder(&mut keys, surroundings);
    let (user, group) = (account(&mut keys, "User"), account(&mut keys, "Group"));
    let reader = Identity::to_read_as(user.as_deref(), group.as_deref());
    let from_file = web_config(&mut keys, folder.as_deref(), reader.as_ref(), options).unwrap_or_default();
    let folder = folder.unwrap_or_else(|| surroundings.folder.clone());
    let FromFile { mut settings, length, place } = from_file;
    let arguments = overrides(&mut keys, &mut settings);
    let lookup = |name: &str| command::lookup(&surroundings.variables, name).map(str::to_owned);
    options.notes.extend(effects::notes(&keys, &settings, arguments.as_deref(), &folder, lookup));
    let settings = settings.expanded(lookup);
    let search_path = command::lookup(&surroundings.variables, "PATH");
    let program = program(&mut keys, &settings, &folder, search_path, &place);
    let mut application = ApplicationOptions::new(name, folder, program);
    application.arguments = arguments.unwrap_or_else(|| command::split(&settings.arguments));
    application.settings = settings;
    let range = &ranges::MAX_ALLOWED_CONTENT_LENGTH;
    application.max_allowed_content_length = keys.number("MaxAllowedContentLength", range).unwrap_or(length);
    let before = keys.problems();
    application.hosts = parsed_list(&mut keys, "Hosts");
    application.path_prefix = parsed(&mut keys, "PathPrefix").unwrap_or_default();
    application.endpoints = endpoints(&mut keys);
    let is_known = keys.problems() == before;
    (application.user, application.group) = (user, group);
    worker(&mut keys, &mut application);
    options.applications.push(application);
    is_known
}

fn check_name(name: &str, keys: &mut Keys<'_>) {
    let is_right = name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_right {
        keys.wrong("", format_args!("the name of an application begins with a letter and has letters, digits, '-', '_' and '.', at most {MAX_NAME}"));
    }
}

/// The folder of `Path`, if there is one.
fn folder(keys: &mut Keys<'_>, surroundings: &Surroundings) -> Option<PathBuf> {
    let path = surroundings.folder.join(keys.text("Path")?);
    if !path.is_dir() {
        keys.wrong("Path", format_args!("{} is no folder", path.display()));
        return None;
    }
    Some(path)
}

/// What the folder's file says. It may be missing if the command is given.
fn web_config(
    keys: &mut Keys<'_>,
    folder: Option<&Path>,
    reader: Option<&Identity>,
    options: &mut ModuleOptions,
) -> Option<FromFile> {
    let has_command = keys.has("Command");
    let Some(folder) = folder else {
        if !has_command && !keys.has("Path") {
            keys.wrong(
                "",
                "it has neither a Path, the folder with its web.config, nor a Command, its program",
            );
        }
        return None;
    };
    let file = folder.join(WebConfig::FILE_NAME);
    if !file.exists() {
        if !has_command {
            let message =
                format_args!("the folder has no {}; expected one, or the key Command", WebConfig::FILE_NAME);
            keys.wrong("Path", message);
        }
        return None;
    }
    match WebConfig::load_for(&file, reader) {
        Ok(found) => {
            options.notes.extend(found.notes);
            Some(FromFile {
                settings: found.asp_net_core,
                length: found.max_allowed_content_length,
                place: found.process_path_at,
            })
        }
        Err(error) => {
            // That its program is not there is told all the same.
            let named = error.process_path.clone();
            keys.take(error);
            let (process_path, place) = named?;
            Some(FromFile { settings: AspNetCore::new(process_path), place, ..FromFile::default() })
        }
    }
}

/// What the application's own file says.
struct FromFile {
    settings: AspNetCore,
    /// The bytes that a body may have.
    length: u32,
    /// Where it names the program.
    place: String,
}

impl Default for FromFile {
    fn default() -> Self {
        Self {
            settings: AspNetCore::new(""),
            length: WebConfig::DEFAULT_MAX_ALLOWED_CONTENT_LENGTH,
            place: String::new(),
        }
    }
}

/// Puts the keys over what `web.config` says; gives the arguments that are a list.
fn overrides(keys: &mut Keys<'_>, settings: &mut AspNetCore) -> Option<Vec<String>> {
    fn set<T>(option: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *option = value;
        }
    }
    set(&mut settings.process_path, keys.text("Command"));
    let list = arguments(keys, settings);
    let model = keys.value("HostingModel").map(|model| match model {
        Model::InProcess => HostingModel::InProcess,
        Model::OutOfProcess => HostingModel::OutOfProcess,
    });
    set(&mut settings.hosting_model, model);
    let limit = keys.time_in("StartupTimeLimit", &ranges::STARTUP_TIME_LIMIT);
    set(&mut settings.startup_time_limit, limit);
    let limit = keys.time_in("ShutdownTimeLimit", &ranges::SHUTDOWN_TIME_LIMIT);
    set(&mut settings.shutdown_time_limit, limit);
    set(&mut settings.request_timeout, keys.time_in("RequestTimeout", &ranges::REQUEST_TIMEOUT));
    let fails = keys.number("RapidFailsPerMinute", &ranges::RAPID_FAILS_PER_MINUTE);
    set(&mut settings.rapid_fails_per_minute, fails);
    let processes = keys.number("ProcessesPerApplication", &ranges::PROCESSES_PER_APPLICATION);
    set(&mut settings.processes_per_application, processes);
    set(&mut settings.stdout_log_enabled, keys.value("StdoutLogEnabled"));
    set(&mut settings.stdout_log_file, keys.text("StdoutLogFile"));
    set(&mut settings.forward_windows_auth_token, keys.value("ForwardWindowsAuthToken"));
    set(&mut settings.disable_start_up_error_page, keys.value("DisableStartUpErrorPage"));
    environment_variables(keys, &mut settings.environment_variables);
    handler_settings(keys, &mut settings.handler_settings);
    list
}

fn arguments(keys: &mut Keys<'_>, settings: &mut AspNetCore) -> Option<Vec<String>> {
    const KEY: &str = "Arguments";
    if keys.is_text(KEY) {
        let text = keys.value(KEY)?;
        settings.arguments = keys.without_nul(KEY, text)?;
        return None;
    }
    let list = keys.value::<Vec<String>>(KEY)?;
    list.into_iter()
        .enumerate()
        .map(|(index, text)| keys.without_nul(&format!("{KEY}:{index}"), text))
        .collect()
}

/// Variables over those that are there, by their names, regardless of case.
fn environment_variables(keys: &mut Keys<'_>, variables: &mut Vec<(String, String)>) {
    let given = keys.named("EnvironmentVariables", "a section of names with values: { \"NAME\": \"value\" }");
    for child in given {
        let name = child.key().to_owned();
        let path = format!("EnvironmentVariables:{name}");
        if let Some(reason) = why_no_name(&name) {
            keys.wrong(&path, format_args!("the name {reason}"));
            continue;
        }
        let value = keys.value::<String>(&path).and_then(|value| keys.without_nul(&path, value));
        // `null` takes it away.
        variables.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        variables.extend(value.map(|value| (name, value)));
    }
}

fn handler_settings(keys: &mut Keys<'_>, settings: &mut HandlerSettings) {
    let section = keys.section("HandlerSettings");
    let mut keys = keys.of(&section);
    let mut switches = [
        ("ForwardResponseConnectionHeader", &mut settings.forward_response_connection_header),
        ("EnableOutOfProcessConsoleRedirection", &mut settings.enable_out_of_process_console_redirection),
        ("SetCurrentDirectory", &mut settings.set_current_directory),
    ];
    keys.only(&switches.each_ref().map(|(key, _)| *key));
    for (key, switch) in &mut switches {
        **switch = keys.value(key).unwrap_or(**switch);
    }
}

/// The program that the settings name; nothing if it has been said already that it is not there.
fn program(
    keys: &mut Keys<'_>,
    settings: &AspNetCore,
    folder: &Path,
    search_path: Option<&str>,
    place: &str,
) -> PathBuf {
    if settings.process_path.is_empty() {
        return PathBuf::new();
    }
    match command::find_program(&settings.process_path, folder, search_path.map(OsStr::new)) {
        Ok(program) => program,
        Err(error) => {
            match keys.has("Command") {
                true => keys.wrong("Command", error),
                false => keys.push(format_args!("{place}: processPath: {error}")),
            }
            PathBuf::new()
        }
    }
}

fn parsed<T: FromStr<Err: Display>>(keys: &mut Keys<'_>, key: &str) -> Option<T> {
    let text = keys.value::<String>(key)?;
    text.parse().map_err(|error| keys.wrong(key, error)).ok()
}

fn parsed_list<T: FromStr<Err: Display>>(keys: &mut Keys<'_>, key: &str) -> Vec<T> {
    let length = keys.value::<Vec<String>>(key).map_or(0, |list| list.len());
    (0..length).filter_map(|index| parsed(keys, &format!("{key}:{index}"))).collect()
}

/// The names of endpoints, spelled as they are there.
fn endpoints(keys: &mut Keys<'_>) -> Vec<String> {
    const KEY: &str = "Endpoints";
    let known = keys.names_at("Module:Endpoints");
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let names = keys.value::<Vec<String>>(KEY).unwrap_or_default();
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(known) => found.push((*known).to_owned()),
            None => {
                let advice = nearest::advice(name, &known);
                keys.wrong(
                    &format!("{KEY}:{index}"),
                    format_args!("no endpoint below Module:Endpoints has this name; {advice}"),
                );
            }
        }
    }
    found
}

/// What the processes may use, and whose they are.
fn worker(keys: &mut Keys<'_>, application: &mut ApplicationOptions) {
    for key in ["User", "Group", "Limits"] {
        if !cfg!(unix) && keys.has(key) {
            keys.wrong(key, "this system has nothing like it");
        }
    }
    let section = keys.section("Limits");
    let mut limits = keys.of(&section);
    limits.only(&["MemoryBytes", "OpenFiles", "Processes", "CpuSeconds"]);
    application.limits = WorkerLimits {
        memory_bytes: limits.at_least("MemoryBytes", MIN_MEMORY),
        open_files: limits.at_least("OpenFiles", 16),
        processes: limits.at_least("Processes", 1),
        cpu_seconds: limits.at_least("CpuSeconds", 1),
    };
    let section = keys.section("Recycle");
    let mut recycle = keys.of(&section);
    recycle.only(&["MemoryBytes", "After", "OnFileChange"]);
    let after = recycle.time("After");
    if after.is_some_and(|after| after.as_secs() == 0) {
        recycle.wrong("After", "it is below a second");
    }
    application.recycle = RecycleOptions {
        memory_bytes: recycle.at_least("MemoryBytes", MIN_MEMORY),
        after,
        on_file_change: recycle.value("OnFileChange").unwrap_or_default(),
    };
}

/// The name or number of a user or group.
fn account(keys: &mut Keys<'_>, key: &str) -> Option<String> {
    let name = keys.text(key)?;
    if name.contains([':', '/']) || name.contains(char::is_whitespace) {
        keys.wrong(key, "it is neither a name nor a number");
        return None;
    }
    Some(name)
}
