//! The top level of `appsettings.json`. The host reads its keys one by one, so they have their types here.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::access_log::AccessLogSection;
use crate::diagnostics::section::DiagnosticsSection;
use crate::health::section::HealthSection;
use crate::kestrel_section::KestrelSection;
use crate::logging::console::Formatter;
use crate::metrics_section::MetricsSection;
use crate::request_id::section::RequestIdsSection;
use crate::traces::section::TracingSection;

/// Settings of an application: those of its host and its server, and its own.
#[derive(Default, JsonSchema)]
#[schemars(rename_all = "camelCase", title = "appsettings.json", default)]
#[schemars(extend("allowComments" = true, "allowTrailingCommas" = true))]
pub(super) struct AppSettings {
    /// Where the schema of this file is, for editors.
    #[schemars(rename = "$schema")]
    schema: Option<String>,
    /// The addresses to listen on, separated by `;`. Default is `http://localhost:5000`.
    #[schemars(regex(pattern = URLS), extend("default" = "http://localhost:5000", "patternErrorMessage" = "expected addresses such as http://localhost:5000, separated by ;"))]
    urls: Option<String>,
    /// Ports to listen on at every address of the machine, separated by `;`; only without `urls`. Default is none.
    #[schemars(rename = "http_ports", with = "Ports")]
    http_ports: Ports,
    /// Ports to listen on with TLS at every address of the machine, separated by `;`; only without `urls`. Default is
    /// none.
    #[schemars(rename = "https_ports", with = "Ports")]
    https_ports: Ports,
    /// The port that clients are sent to by the redirection to https. Default is that of the https addresses.
    #[schemars(rename = "https_port", range(min = 1))]
    https_port: Option<u16>,
    /// Whether `urls` are listened on although `Kestrel:Endpoints` says where. Default is false.
    #[schemars(extend("default" = false))]
    prefer_hosting_urls: Option<bool>,
    /// The seconds that the application goes on after a stop was asked for: it is not ready any more, but still takes requests,
    /// and each connection ends with its next answer. Default is 0.
    #[schemars(extend("default" = 0))]
    shutdown_delay_seconds: Option<u32>,
    /// The seconds that a stop may take after that. Default is 30.
    #[schemars(extend("default" = 30))]
    shutdown_timeout_seconds: Option<u32>,
    /// The seconds of that in which nothing new is accepted and connections end with their next answer, before they are
    /// closed. Default is 0.
    #[schemars(extend("default" = 0))]
    shutdown_grace_seconds: Option<u32>,
    /// Whether the lines about start and stop are left out. Default is false.
    #[schemars(extend("default" = false))]
    suppress_status_messages: Option<bool>,
    /// The hosts that requests may name, separated by `;`, such as `shop.example;*.shop.example`, without scheme and port. The
    /// latter does not stand for `shop.example` itself. Default is `*`, all of them.
    #[schemars(rename = "AllowedHosts", extend("default" = "*"))]
    allowed_hosts: Option<String>,
    /// Probes of load balancers and orchestrators. Default is what each key says.
    #[schemars(rename = "Health")]
    health: HealthSection,
    /// A page that shows what the server does. Default is what each key says.
    #[schemars(rename = "Diagnostics")]
    diagnostics: DiagnosticsSection,
    /// A line for each request; `{}` switches it on. Default is none.
    #[schemars(rename = "AccessLog")]
    access_log: Option<AccessLogSection>,
    /// What is logged. Default is what each key says.
    #[schemars(rename = "Logging")]
    logging: Logging,
    /// Ids of requests in responses. Default is what each key says.
    #[schemars(rename = "RequestIds")]
    request_ids: RequestIdsSection,
    /// A span for each request. Default is what each key says.
    #[schemars(rename = "Tracing")]
    tracing: TracingSection,
    /// Metrics of requests and connections, through the API of OpenTelemetry. Default is none.
    #[schemars(rename = "Metrics")]
    metrics: MetricsSection,
    /// The server. Default is what each key says.
    #[schemars(rename = "Kestrel")]
    kestrel: KestrelSection,
}

/// Addresses with `;` between them.
const URLS: &str =
    r"^[;\s]*([Hh][Tt][Tt][Pp][Ss]?://[^/;\s][^;]*(;[;\s]*[Hh][Tt][Tt][Pp][Ss]?://[^/;\s][^;]*)*[;\s]*)?$";

/// What is logged.
#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", default)]
struct Logging {
    /// The least level that is shown, by target such as `server_kestrel`; `Default` is for all others. Default is
    /// `Information`.
    log_level: BTreeMap<String, LogLevel>,
    /// How events are written to the standard output. Default is what each key says.
    console: Console,
}

/// How events are written to the standard output.
#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", default)]
struct Console {
    /// `simple` is for people, `systemd` for its journal, and `json` has an object in each line. Default is `systemd` if the
    /// journal reads the standard output, else `simple`.
    formatter_name: Option<Formatter>,
}

/// A level of the log.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[expect(missing_docs, reason = "the schema would have each as a choice of its own, and the names say it")]
#[non_exhaustive]
pub enum LogLevel {
    Trace,
    Debug,
    Information,
    Warning,
    Error,
    Critical,
    None,
}

/// One port as a number, or several in a text.
#[derive(Default, JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema is made from the variants, and nothing else")]
enum Ports {
    #[default]
    None,
    One(u16),
    Several(#[schemars(regex(pattern = r"^[;\s]*([0-9]{1,5}[;\s]*)*$"))] String),
}
