//! What IIS and the ASP.NET Core Module read of web.config.

use std::time::Duration;

use roxmltree::{Document, Node};

/// The attributes of `aspNetCore` that the module knows.
const ATTRIBUTES: &[&str] = &[
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

pub(super) struct WebConfig {
    /// In the spelling of this platform.
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) startup: Duration,
    pub(super) shutdown: Duration,
    pub(super) request: Duration,
    pub(super) variables: Vec<(String, String)>,
    /// In bytes.
    pub(super) max_body: u64,
}

impl WebConfig {
    pub(super) fn read(text: &str) -> Self {
        let document = Document::parse(text).unwrap();
        let server = only(document.root_element(), "system.webServer");
        let handler = only(only(server, "handlers"), "add");
        let wanted =
            [("name", "aspNetCore"), ("path", "*"), ("verb", "*"), ("modules", "AspNetCoreModuleV2")];
        for (name, value) in wanted {
            assert_eq!(handler.attribute(name), Some(value), "{name}");
        }
        let module = only(server, "aspNetCore");
        for attribute in module.attributes() {
            assert!(ATTRIBUTES.contains(&attribute.name()), "the module does not know {}", attribute.name());
        }
        assert_eq!(module.attribute("hostingModel"), Some("outofprocess"));
        assert!(number(module, "rapidFailsPerMinute", 10) <= 100);
        for name in ["stdoutLogEnabled", "forwardWindowsAuthToken"] {
            assert!(matches!(module.attribute(name), None | Some("true" | "false")), "{name}");
        }
        let (startup, shutdown) =
            (number(module, "startupTimeLimit", 120), number(module, "shutdownTimeLimit", 10));
        assert!(startup <= 3600 && shutdown <= 600, "{startup} {shutdown}");
        let limits = only(only(server, "requestFiltering"), "requestLimits");
        let max_body = number(limits, "maxAllowedContentLength", 30_000_000);
        assert!(u32::try_from(max_body).is_ok(), "IIS has 32 bits for it: {max_body}");
        let path = module.attribute("processPath").expect("a program");
        Self {
            program: path.strip_suffix(".exe").expect("a program of Windows").replace('\\', "/"),
            arguments: words(module.attribute("arguments")),
            startup: Duration::from_secs(startup),
            shutdown: Duration::from_secs(shutdown),
            request: time_span(module.attribute("requestTimeout").unwrap_or("00:02:00")),
            variables: variables(module),
            max_body,
        }
    }
}

fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The one element of a name at or below a node.
fn only<'a>(node: Node<'a, 'a>, name: &str) -> Node<'a, 'a> {
    let mut found = node.descendants().filter(|node| node.has_tag_name(name));
    let first = found.next().unwrap_or_else(|| panic!("no <{name}>"));
    assert!(found.next().is_none(), "more than one <{name}>");
    first
}

fn number(node: Node<'_, '_>, name: &str, default: u64) -> u64 {
    node.attribute(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn variables(module: Node<'_, '_>) -> Vec<(String, String)> {
    let elements = module.descendants().filter(|node| node.has_tag_name("environmentVariable"));
    let pairs = elements.map(|node| {
        let part = |name| node.attribute(name).filter(|text| !text.is_empty()).expect("name and value");
        (part("name").to_owned(), part("value").to_owned())
    });
    pairs.collect()
}

/// `hh:mm:ss`, at most 360 hours.
fn time_span(text: &str) -> Duration {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds] = parts[..] else { panic!("{text} is not hh:mm:ss") };
    assert!(minutes < 60 && seconds < 60, "{text}");
    let span = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
    assert!(span <= Duration::from_secs(1_296_000), "{text}");
    span
}
