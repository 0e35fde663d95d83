use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;

/// An application.
#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields, default)]
#[schemars(extend("anyOf" = [{ "required": ["Path"] }, { "required": ["Command"] }]))]
pub(super) struct ApplicationSection {
    /// The application's folder, where its `web.config` lies; a relative path starts from the folder of the file. It or
    /// `Command` must be there. Default is the folder of the file, and no `web.config`.
    #[schemars(length(min = 1))]
    path: Option<String>,
    /// The program, in the place of `processPath`; a relative path starts from the application's folder. Default is that
    /// of `web.config`.
    #[schemars(length(min = 1))]
    command: Option<String>,
    /// The program's arguments: a list, taken as it is, or one text as in `web.config`. Default is those of `web.config`.
    arguments: Option<Arguments>,
    /// The hosts that it is reached by: names, `*.` and ends of names, or `*`. Default is any.
    hosts: Option<Vec<String>>,
    /// The beginning of the paths that it is reached by. Default is `/`.
    #[schemars(regex(pattern = r"^/[^%?#\\]*$"), extend("default" = "/", "patternErrorMessage" = "expected a path such as /shop"))]
    path_prefix: Option<String>,
    /// The names of the endpoints that it is served at. Default is all of them.
    endpoints: Option<Vec<String>>,
    /// Whether its processes serve the sockets themselves, or stand behind the module. Default is that of `web.config`,
    /// else `OutOfProcess`.
    hosting_model: Option<Model>,
    /// How long a process may take until it listens, a second to an hour. Default is that of `web.config`, else 120 seconds.
    #[schemars(extend("minimum" = 1, "maximum" = 3600))]
    startup_time_limit: Option<Duration>,
    /// How long a process may take to end, up to 10 minutes. Default is that of `web.config`, else 10 seconds.
    #[schemars(extend("maximum" = 600))]
    shutdown_time_limit: Option<Duration>,
    /// How often a process may fail within a minute before none is started any more. Default is that of `web.config`, else
    /// 10.
    #[schemars(range(max = 100))]
    rapid_fails_per_minute: Option<u32>,
    /// How long the application may take for each step of its answer, from a second to 360 hours; out of process. Default is
    /// that of `web.config`, else 120 seconds.
    #[schemars(extend("minimum" = 1, "maximum" = 1_296_000))]
    request_timeout: Option<Duration>,
    /// How many processes the application has. Default is that of `web.config`, else 1.
    #[schemars(range(min = 1, max = 100))]
    processes_per_application: Option<u32>,
    /// The bytes that the body of a request may have. Default is that of `web.config`, else 30,000,000.
    max_allowed_content_length: Option<u32>,
    /// Whether what processes print goes to files. Default is that of `web.config`, else false.
    stdout_log_enabled: Option<bool>,
    /// How the names of those files begin. Default is that of `web.config`.
    #[schemars(length(min = 1))]
    stdout_log_file: Option<String>,
    /// Whether the Windows identity of clients is passed on. Default is that of `web.config`, else true.
    forward_windows_auth_token: Option<bool>,
    /// Whether the page about a start that failed is left out. Default is that of `web.config`, else false.
    disable_start_up_error_page: Option<bool>,
    /// Variables of the processes, over those of `web.config`; `null` takes one away. Default is those of `web.config`.
    #[schemars(extend("propertyNames" = { "pattern": "^[^=]+$" }))]
    environment_variables: BTreeMap<String, Option<String>>,
    /// The handler's settings. Default is those of `web.config`.
    handler_settings: HandlerSettingsSection,
    /// The user that the processes belong to, by name or number. Default is that of the module.
    #[schemars(regex(pattern = ACCOUNT))]
    user: Option<String>,
    /// The group that the processes belong to, by name or number. Default is that of the user, or of the module.
    #[schemars(regex(pattern = ACCOUNT))]
    group: Option<String>,
    /// What each process may use. Default is no limits.
    limits: WorkerLimitsSection,
    /// When processes are replaced by new ones. Default is never.
    recycle: RecycleSection,
}

/// A name or a number.
const ACCOUNT: &str = r"^[^:/\s]+$";

/// Where requests are served.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the schema is made from the variants, and nothing else")]
enum Model {
    InProcess,
    OutOfProcess,
}

/// Arguments of a program.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema is made from the variants, and nothing else")]
enum Arguments {
    Text(String),
    List(Vec<String>),
}

#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields, default)]
struct HandlerSettingsSection {
    /// Whether the field `Connection` of answers is passed on. Default is that of `web.config`, else false.
    forward_response_connection_header: Option<bool>,
    /// Whether what processes print also goes where the module prints. Default is that of `web.config`, else true.
    enable_out_of_process_console_redirection: Option<bool>,
    /// Whether processes in process start in the application's folder. Default is that of `web.config`, else true.
    set_current_directory: Option<bool>,
}

#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields, default)]
struct WorkerLimitsSection {
    /// The bytes of memory, at least a mebibyte. Default is no limit.
    #[schemars(range(min = 1_048_576))]
    memory_bytes: Option<u64>,
    /// The files and sockets that are open at the same time, at least 16. Default is what the module may have itself.
    #[schemars(range(min = 16))]
    open_files: Option<u64>,
    /// The processes and threads of its user. Default is what the module may have itself.
    #[schemars(range(min = 1))]
    processes: Option<u64>,
    /// The seconds of CPU time in all; a process that has used them is ended. Default is no limit.
    #[schemars(range(min = 1))]
    cpu_seconds: Option<u64>,
}

#[derive(Default, JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields, default)]
struct RecycleSection {
    /// When a process has more bytes of memory than this, at least a mebibyte. Default is never.
    #[schemars(range(min = 1_048_576))]
    memory_bytes: Option<u64>,
    /// When a process is older than this, at least a second. Default is never.
    #[schemars(extend("minimum" = 1))]
    after: Option<Duration>,
    /// Whether they are replaced when the program or the `web.config` has changed. Default is false.
    #[schemars(extend("default" = false))]
    on_file_change: Option<bool>,
}
