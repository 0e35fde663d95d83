//! From JSON to the structs.

use std::path::PathBuf;

use jsonc_parser::{
    ast::{Object, ObjectProp, Value},
    common::Ranged,
};

use super::{AncmHostingModel, IisBinding, IisSettings, LaunchProfile, LaunchSettings};
use crate::configuration::jsonc::{Document, Fault, kind};

pub(super) fn settings(path: PathBuf, text: &str) -> Result<LaunchSettings, Fault> {
    let document = Document::new(text);
    let value = document.parse()?;
    let Value::Object(top) = &value else {
        let message = format!("expected an object at the top level, found {}", kind(&value));
        return Err(document.fault(value.start(), message));
    };
    let top = Fields { document: &document, object: top };
    let iis_settings = top.object("iisSettings")?.map(|fields| iis_settings(&fields)).transpose()?;
    let mut settings = LaunchSettings {
        path,
        profiles: Vec::new(),
        iis_settings: iis_settings.unwrap_or_default(),
        has_profiles: false,
        malformed: Vec::new(),
    };
    let Some(Value::Object(profiles)) = top.get("profiles") else { return Ok(settings) };
    settings.has_profiles = true;
    for property in &profiles.properties {
        let name = property.name.as_str().to_owned();
        match &property.value {
            Value::Object(object) => {
                settings.profiles.push(profile(name, &Fields { document: &document, object })?);
            }
            _ => settings.malformed.push(name),
        }
    }
    Ok(settings)
}

fn profile(name: String, fields: &Fields<'_>) -> Result<LaunchProfile, Fault> {
    Ok(LaunchProfile {
        name,
        command_name: fields.text("commandName")?.unwrap_or_default(),
        command_line_args: fields.text("commandLineArgs")?,
        application_url: fields.text("applicationUrl")?,
        environment_variables: environment_variables(fields)?,
        dotnet_run_messages: fields.flag("dotnetRunMessages", false)?,
        launch_browser: fields.flag("launchBrowser", false)?,
        launch_url: fields.text("launchUrl")?,
        executable_path: fields.text("executablePath")?,
        working_directory: fields.text("workingDirectory")?,
        hot_reload_enabled: fields.flag("hotReloadEnabled", true)?,
        inspect_uri: fields.text("inspectUri")?,
        ancm_hosting_model: hosting_model(fields)?,
        use_64_bit: fields.flag("use64Bit", true)?,
        leave_running_on_close: fields.flag("leaveRunningOnClose", false)?,
        external_url_configuration: fields.flag("externalUrlConfiguration", false)?,
        authentication_mode: fields.text("authenticationMode")?,
        native_debugging: fields.flag("nativeDebugging", false)?,
        sql_debugging: fields.flag("sqlDebugging", false)?,
        js_web_view2_debugging: fields.flag("jsWebView2Debugging", false)?,
        remote_debug_enabled: fields.flag("remoteDebugEnabled", false)?,
        remote_debug_machine: fields.text("remoteDebugMachine")?,
        use_ssl: fields.flag("useSSL", false)?,
        ssl_port: fields.port("sslPort")?,
        publish_all_ports: fields.flag("publishAllPorts", false)?,
    })
}

fn environment_variables(profile: &Fields<'_>) -> Result<Vec<(String, String)>, Fault> {
    let Some(variables) = profile.object("environmentVariables")? else { return Ok(Vec::new()) };
    let variables = variables.object.properties.iter().filter_map(|property| {
        let value = variables.text_of(property).transpose()?;
        Some(value.map(|value| (property.name.as_str().to_owned(), value)))
    });
    variables.collect()
}

fn hosting_model(profile: &Fields<'_>) -> Result<Option<AncmHostingModel>, Fault> {
    const NAME: &str = "ancmHostingModel";
    let Some(text) = profile.text(NAME)? else { return Ok(None) };
    if text.eq_ignore_ascii_case("InProcess") {
        Ok(Some(AncmHostingModel::InProcess))
    } else if text.eq_ignore_ascii_case("OutOfProcess") {
        Ok(Some(AncmHostingModel::OutOfProcess))
    } else {
        Err(profile.expected(NAME, "InProcess or OutOfProcess"))
    }
}

fn iis_settings(fields: &Fields<'_>) -> Result<IisSettings, Fault> {
    let binding = |name| fields.object(name)?.map(|fields| iis_binding(&fields)).transpose();
    Ok(IisSettings {
        windows_authentication: fields.flag("windowsAuthentication", false)?,
        anonymous_authentication: fields.flag("anonymousAuthentication", true)?,
        iis_express: binding("iisExpress")?,
        iis: binding("iis")?,
    })
}

fn iis_binding(fields: &Fields<'_>) -> Result<IisBinding, Fault> {
    Ok(IisBinding { application_url: fields.text("applicationUrl")?, ssl_port: fields.port("sslPort")? })
}

/// An object and its text, for typed fields whose errors say where. `null` is as good as nothing.
struct Fields<'a> {
    document: &'a Document<'a>,
    object: &'a Object<'a>,
}

impl<'a> Fields<'a> {
    /// Of several keys with one name the last counts, as with most readers of JSON.
    fn property(&self, name: &str) -> Option<&'a ObjectProp<'a>> {
        let named = |property: &&ObjectProp<'_>| property.name.as_str() == name;
        let property = self.object.properties.iter().rev().find(named)?;
        (!matches!(property.value, Value::NullKeyword(_))).then_some(property)
    }

    fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        Some(&self.property(name)?.value)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        self.property(name).map_or(Ok(None), |property| self.text_of(property))
    }

    /// Numbers and booleans count as the text they are written with.
    fn text_of(&self, property: &ObjectProp<'_>) -> Result<Option<String>, Fault> {
        match &property.value {
            Value::StringLit(text) => Ok(Some(text.value.clone().into_owned())),
            Value::NumberLit(number) => Ok(Some(number.value.to_owned())),
            Value::BooleanLit(boolean) => Ok(Some(boolean.value.to_string())),
            Value::NullKeyword(_) => Ok(None),
            Value::Object(_) | Value::Array(_) => Err(self.wrong(property, "a text")),
        }
    }

    /// `true` and `false`, also as text, which `dotnetRunMessages` is often written as.
    fn flag(&self, name: &str, default: bool) -> Result<bool, Fault> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        text.to_ascii_lowercase().parse().map_err(|_| self.expected(name, "true or false"))
    }

    fn port(&self, name: &str) -> Result<u16, Fault> {
        let Some(text) = self.text(name)? else { return Ok(0) };
        text.parse().map_err(|_| self.expected(name, "a port from 0 to 65535"))
    }

    fn object(&self, name: &str) -> Result<Option<Self>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self { document: self.document, object })),
            Some(_) => Err(self.expected(name, "an object")),
        }
    }

    /// The fault of a field that is there and not what it should be.
    fn expected(&self, name: &str, expected: &str) -> Fault {
        match self.property(name) {
            Some(property) => self.wrong(property, expected),
            None => self.document.fault(self.object.start(), format!("expected {expected} as {name}")),
        }
    }

    fn wrong(&self, property: &ObjectProp<'_>, expected: &str) -> Fault {
        let message = format!("expected {expected} as {}", property.name.as_str());
        self.document.fault(property.value.start(), message)
    }
}
