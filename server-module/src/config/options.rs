use std::path::PathBuf;
use std::time::Duration;

use crate::{AspNetCore, HostPattern, PathPrefix};

/// An application: its program, the requests that it gets, and what it may use.
///
/// | key below `Module:Applications:{name}` | meaning | default |
/// |---|---|---|
/// | `Path` | the application's folder, where its `web.config` lies | the folder of the module's file, and no `web.config` |
/// | `Command` | the program, in the place of `processPath` | that of `web.config` |
/// | `Arguments` | a list, taken as it is, or one text as in `web.config`, in the place of `arguments` | those of `web.config` |
/// | `Hosts` | a list of names, `*.` and ends of names, or `*` | any |
/// | `PathPrefix` | the beginning of paths | `/` |
/// | `Endpoints` | a list of names out of `Module:Endpoints` | all |
/// | `HostingModel` | `InProcess` or `OutOfProcess` | that of `web.config` |
/// | `StartupTimeLimit`, `ShutdownTimeLimit`, `RequestTimeout` | times, in the ranges of `web.config` | those of `web.config` |
/// | `RapidFailsPerMinute`, `ProcessesPerApplication`, `MaxAllowedContentLength` | numbers, in the ranges of `web.config` | those of `web.config` |
/// | `StdoutLogEnabled`, `DisableStartUpErrorPage`, `ForwardWindowsAuthToken` | `true` or `false` | those of `web.config` |
/// | `StdoutLogFile` | a path | that of `web.config` |
/// | `EnvironmentVariables` | names and values, over those of `web.config`; `null` takes one away | those of `web.config` |
/// | `HandlerSettings` | `ForwardResponseConnectionHeader`, `EnableOutOfProcessConsoleRedirection`, `SetCurrentDirectory` | those of `web.config` |
/// | `User`, `Group` | whom the processes belong to | those of the module |
/// | `Limits` | `MemoryBytes`, `OpenFiles`, `Processes`, `CpuSeconds` | none |
/// | `Recycle` | `MemoryBytes`, `After`, `OnFileChange` | never |
///
/// `Path` or `Command` must be there. Texts of `Command`, `Arguments`, `StdoutLogFile` and variables are expanded as those
/// of `web.config` are, but for a list of arguments.
///
/// An application in process reads the module's sockets itself, so nothing can choose it by host or path: it has its
/// endpoints for itself, and neither `Hosts` nor `PathPrefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplicationOptions {
    /// The name, for commands and events.
    pub name: String,
    /// The folder that its processes start in. It is absolute.
    #[doc(alias = "physicalPath")]
    pub folder: PathBuf,
    /// The program, which was there and could be executed when this was read.
    pub program: PathBuf,
    /// The arguments, one by one. Default is none.
    pub arguments: Vec<String>,
    /// What `web.config` says, with the keys of the application over it. Variables have been expanded. The program and its
    /// arguments are [`program`](Self::program) and [`arguments`](Self::arguments).
    pub settings: AspNetCore,
    /// The bytes that the body of a request may have. Range is 0 to 4,294,967,295. Default is 30,000,000.
    pub max_allowed_content_length: u32,
    /// The hosts that it is reached by. Default is none at all, which is any.
    pub hosts: Vec<HostPattern>,
    /// The beginning of the paths that it is reached by, which is its path base. Default is `/`.
    pub path_prefix: PathPrefix,
    /// The names of the endpoints that it is served at, spelled as they are there. Default is none, which is all of them.
    pub endpoints: Vec<String>,
    /// The user that its processes belong to, by name or number. Default is that of the module.
    ///
    /// For another one the module needs `CAP_SETUID`, `CAP_SETGID` and `CAP_KILL`, and `CAP_SYS_PTRACE` to see exactly which
    /// socket is whose; without that a socket of the user on the application's port counts as the application's. The user
    /// enters the folder and opens the files of the output, and `web.config` and `app_offline.htm` must be files that it may
    /// read, not links.
    pub user: Option<String>,
    /// The group that its processes belong to, by name or number. Default is that of the user, or of the module.
    pub group: Option<String>,
    /// What each of its processes may use. Default is no limits.
    pub limits: WorkerLimits,
    /// When its processes are replaced by new ones. Default is never.
    pub recycle: RecycleOptions,
}

/// What one process of an application may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerLimits {
    /// The bytes of memory, at least a mebibyte. Default is no limit.
    pub memory_bytes: Option<u64>,
    /// The files and sockets that are open at the same time, at least 16. Default is what the module may have itself.
    pub open_files: Option<u64>,
    /// The processes and threads of its user, at least 1. Default is what the module may have itself.
    pub processes: Option<u64>,
    /// The seconds of CPU time in all, at least 1; a process that has used them is ended. Default is no limit.
    pub cpu_seconds: Option<u64>,
}

/// When a process of an application is replaced by a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecycleOptions {
    /// When it has more bytes of memory than this, at least a mebibyte. Default is never.
    #[doc(alias = "privateMemory")]
    pub memory_bytes: Option<u64>,
    /// When it is older than this, at least a second. Default is never.
    #[doc(alias = "periodicRestart")]
    pub after: Option<Duration>,
    /// When its program or its `web.config` has changed. Default is false.
    #[doc(alias = "recycleOnFileChange")]
    pub on_file_change: bool,
}
