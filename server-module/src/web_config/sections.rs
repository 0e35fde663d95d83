//! The way from the root of the file to the elements that are read.

use roxmltree::Node;

use super::reader::Reader;
use super::{AspNetCore, WebConfig, element, values};
use crate::{SettingsError, ranges};

/// Sections of the file that are for .NET Framework or for IIS.
const OTHERS: [&str; 22] = [
    "appSettings",
    "assemblyBinding",
    "configProtectedData",
    "configSections",
    "connectionStrings",
    "mscorlib",
    "protocolBindings",
    "runtime",
    "satelliteassemblies",
    "startup",
    "system.applicationHost",
    "system.codedom",
    "system.data",
    "system.diagnostics",
    "system.ftpServer",
    "system.identityModel",
    "system.net",
    "system.runtime.serialization",
    "system.serviceModel",
    "system.transactions",
    "system.web",
    "uri",
];

/// Sections of `system.webServer` that are for other parts of IIS.
const OTHERS_OF_SERVER: [&str; 32] = [
    "applicationInitialization",
    "asp",
    "caching",
    "cgi",
    "cors",
    "defaultDocument",
    "directoryBrowse",
    "fastCgi",
    "globalModules",
    "handlers",
    "httpCompression",
    "httpErrors",
    "httpLogging",
    "httpPlatform",
    "httpProtocol",
    "httpRedirect",
    "httpTracing",
    "isapiFilters",
    "management",
    "modules",
    "odbcLogging",
    "proxy",
    "rewrite",
    "serverRuntime",
    "serverSideInclude",
    "staticContent",
    "tracing",
    "urlCompression",
    "validation",
    "wdeploy",
    "webSocket",
    "webdav",
];

const OTHERS_OF_SECURITY: [&str; 7] = [
    "access",
    "applicationDependencies",
    "authentication",
    "authorization",
    "dynamicIpSecurity",
    "ipSecurity",
    "isapiCgiRestriction",
];

const OTHERS_OF_FILTERING: [&str; 8] = [
    "alwaysAllowedQueryStrings",
    "alwaysAllowedUrls",
    "denyQueryStringSequences",
    "denyUrlSequences",
    "fileExtensions",
    "filteringRules",
    "hiddenSegments",
    "verbs",
];

/// Reads the file.
pub(super) fn read(mut reader: Reader<'_, '_>) -> Result<WebConfig, SettingsError> {
    let root = reader.document.root_element();
    let mut found = FoundSections::default();
    if root.tag_name().name() == "configuration" {
        top(&mut reader, root, &mut found);
        if found.element.is_none() {
            let message = "there is no element aspNetCore in configuration/system.webServer; it names the program: <aspNetCore processPath=\".\\app\" />";
            reader.problem(root, message);
        }
    } else {
        let name = root.tag_name().name();
        reader.problem(root, format_args!("the file begins with the element {name}; expected configuration"));
    }
    let named = found.process_path.clone();
    let config = reader.finish(|notes| {
        Some(WebConfig {
            process_path_at: found.process_path.map(|(_, place)| place).unwrap_or_default(),
            asp_net_core: found.asp_net_core?,
            max_allowed_content_length: found
                .max_allowed_content_length
                .unwrap_or(WebConfig::DEFAULT_MAX_ALLOWED_CONTENT_LENGTH),
            notes,
        })
    });
    config.map_err(|error| error.naming(named))
}

#[derive(Default)]
struct FoundSections {
    /// Where the element `aspNetCore` stands.
    element: Option<usize>,
    asp_net_core: Option<AspNetCore>,
    /// The program, and where it is named.
    process_path: Option<(String, String)>,
    max_allowed_content_length: Option<u32>,
}

/// The element `configuration`, or a `location` that is about the whole application.
fn top<'a, 'input>(reader: &mut Reader<'a, 'input>, element: Node<'a, 'input>, found: &mut FoundSections) {
    let is_location = element.tag_name().name() == "location";
    for child in reader.children(element) {
        match child.tag_name().name() {
            "system.webServer" => server(reader, child, found),
            "location" if !is_location => location(reader, child, found),
            name if OTHERS.contains(&name) || is_declared(reader, name) => {
                reader.note(child, format_args!("{name} is not applied: it is for .NET Framework or IIS"));
            }
            _ if is_location => reader.unknown(child, &[&["system.webServer"][..], &OTHERS].concat()),
            _ => reader.unknown(child, &[&["system.webServer", "location"][..], &OTHERS].concat()),
        }
    }
}

/// Whether `configSections` has a section or a group of this name.
fn is_declared(reader: &Reader<'_, '_>, name: &str) -> bool {
    let root = reader.document.root_element();
    let sections = root.children().find(|child| child.has_tag_name("configSections"));
    sections.is_some_and(|sections| {
        let mut declared = sections.descendants();
        declared.any(|section| section.attribute("name") == Some(name))
    })
}

fn location<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
    found: &mut FoundSections,
) {
    reader.only_attributes(element, &["path", "inheritInChildApplications", "allowOverride", "overrideMode"]);
    // It is about applications below this one, which have settings of their own here.
    reader.attribute(element, "inheritInChildApplications", values::bool);
    let path = element.attribute("path").unwrap_or_default();
    if path.is_empty() || path == "." {
        return top(reader, element, found);
    }
    let mut below = element.descendants();
    match below.find(|node| node.tag_name().name() == "aspNetCore") {
        Some(inner) => reader.problem(
            inner,
            format_args!("aspNetCore is for the path {path:?} only; expected it for the whole application, in <location path=\".\">"),
        ),
        None => reader.note(element, format_args!("location is not applied: it is for the path {path:?} only")),
    }
}

fn server<'a, 'input>(reader: &mut Reader<'a, 'input>, element: Node<'a, 'input>, found: &mut FoundSections) {
    for child in reader.children(element) {
        let name = child.tag_name().name();
        match name {
            "aspNetCore" => match found.element {
                None => {
                    found.element = Some(child.range().start);
                    found.process_path = child.attribute_node("processPath").map(|attribute| {
                        (attribute.value().to_owned(), reader.place(attribute.range().start))
                    });
                    found.asp_net_core = element::read(reader, child);
                }
                Some(first) => {
                    let first = reader.place(first);
                    reader.problem(child, format_args!("aspNetCore is given twice, first at {first}"));
                }
            },
            "security" => security(reader, child, found),
            "handlers" => reader
                .note(child, "handlers is not applied: every request of the application goes to its process"),
            _ if OTHERS_OF_SERVER.contains(&name) => {
                reader.note(child, format_args!("{name} is not applied: it is for other parts of IIS"));
            }
            _ => {
                let known = [&["aspNetCore", "security"][..], &OTHERS_OF_SERVER].concat();
                reader.unknown(child, &known);
            }
        }
    }
}

fn security<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
    found: &mut FoundSections,
) {
    for child in reader.children(element) {
        match child.tag_name().name() {
            "requestFiltering" => filtering(reader, child, found),
            name if OTHERS_OF_SECURITY.contains(&name) => {
                let message = format_args!("{name} is not applied: it does not protect the application here");
                reader.note(child, message);
            }
            _ => reader.unknown(child, &[&["requestFiltering"][..], &OTHERS_OF_SECURITY].concat()),
        }
    }
}

fn filtering<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
    found: &mut FoundSections,
) {
    for name in element.attributes().map(|attribute| attribute.name()) {
        reader.note(element, format_args!("{name} of requestFiltering is not applied"));
    }
    for child in reader.children(element) {
        match child.tag_name().name() {
            "requestLimits" => limits(reader, child, found),
            name if OTHERS_OF_FILTERING.contains(&name) => {
                let message =
                    format_args!("{name} is not applied: no request is kept from the application by it");
                reader.note(child, message);
            }
            _ => reader.unknown(child, &[&["requestLimits"][..], &OTHERS_OF_FILTERING].concat()),
        }
    }
}

fn limits<'a, 'input>(reader: &mut Reader<'a, 'input>, element: Node<'a, 'input>, found: &mut FoundSections) {
    reader.only_attributes(element, &["maxAllowedContentLength", "maxUrl", "maxQueryString"]);
    for name in ["maxUrl", "maxQueryString"] {
        if element.has_attribute(name) {
            reader.note(
                element,
                format_args!("{name} is not applied; Module:Limits:MaxRequestLineSize bounds both"),
            );
        }
    }
    let length = |text: &str| ranges::number(text, &ranges::MAX_ALLOWED_CONTENT_LENGTH, "bytes");
    let length = reader.attribute(element, "maxAllowedContentLength", length);
    found.max_allowed_content_length = length.or(found.max_allowed_content_length);
    for child in reader.children(element) {
        match child.tag_name().name() {
            "headerLimits" => {
                reader.note(
                    child,
                    "headerLimits is not applied; Module:Limits:MaxRequestHeadersTotalSize bounds fields",
                );
            }
            _ => reader.unknown(child, &["headerLimits"]),
        }
    }
}
