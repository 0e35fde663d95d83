//! What the workers of an application are started with.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::ApplicationOptions;
use crate::config::GivenEndpoints;
use crate::environment::{STOP_TIMEOUT, is_setting_of_the_module, stop_timeout};
use crate::output::{self, Captured, Destination, LogFile};
use crate::worker::{Identity, IdentityError, Launch, Output, Worker};

use super::notify::NotifySocket;

/// The sockets of an application, by the names of their endpoints.
pub(super) type Sockets = Arc<Vec<(String, OwnedFd)>>;

/// Which sockets a worker was given. It does not keep them open.
#[derive(Debug)]
pub(super) struct GivenSockets(Weak<Vec<(String, OwnedFd)>>);

impl GivenSockets {
    pub(super) fn are(&self, sockets: &Sockets) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(sockets))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) options: ApplicationOptions,
    identity: Option<Identity>,
    /// What is said of the endpoints.
    endpoints: String,
    sockets: Sockets,
}

/// A worker that has been started, and what is heard of it.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) worker: Worker,
    pub(super) notify: NotifySocket,
    /// None: its output is where that of the module is.
    pub(super) output: Option<Captured>,
}

impl Program {
    pub(super) fn new(
        options: ApplicationOptions,
        given: &GivenEndpoints,
        sockets: Sockets,
    ) -> Result<Self, IdentityError> {
        let identity = Identity::of_worker(options.user.as_deref(), options.group.as_deref())?;
        let mut names: Vec<_> = sockets.iter().map(|(name, _)| name.clone()).collect();
        // `localhost` has two sockets of one name.
        names.dedup();
        let endpoints = given.text(&names, options.max_allowed_content_length);
        Ok(Self { options, identity, endpoints, sockets })
    }

    /// The same with other sockets.
    pub(super) fn with_sockets(&self, sockets: Sockets) -> Self {
        Self { sockets, ..self.clone() }
    }

    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// What a worker that is started with it gets, to tell it from others.
    pub(super) fn given_sockets(&self) -> GivenSockets {
        GivenSockets(Arc::downgrade(&self.sockets))
    }

    pub(super) fn startup_limit(&self) -> Duration {
        self.options.settings.startup_time_limit
    }

    pub(super) fn shutdown_limit(&self) -> Duration {
        self.options.settings.shutdown_time_limit
    }

    /// Starts a worker. None: it was given up before it was there.
    pub(super) async fn start(&self, given_up: impl Future<Output = ()>) -> io::Result<Option<Started>> {
        let notify = NotifySocket::bind()?;
        let log = LogFile::of(&self.options.settings, &self.options.folder);
        let (output, pending) = match &log {
            Some(_) => output::pipe().map(|(output, pending)| (output, Some(pending)))?,
            None => (Output::Inherit, None),
        };
        let folder = match self.options.settings.handler_settings.set_current_directory {
            true => self.options.folder.clone(),
            false => std::env::current_dir()?,
        };
        let launch = Launch {
            program: &self.options.program,
            arguments: &self.options.arguments,
            folder: &folder,
            environment: self.environment(notify.variable()),
            sockets: &self.sockets,
            output,
            log: log.as_ref().map(LogFile::path),
            identity: self.identity.as_ref(),
            limits: self.options.limits,
            shutdown_limit: self.shutdown_limit(),
        };
        let Some((worker, file)) = Worker::start(launch, given_up).await? else { return Ok(None) };
        let output = match (log, pending) {
            (Some(log), Some(pending)) => Some(pending.capture(Destination::File(log, file), worker.pid())?),
            _ => None,
        };
        Ok(Some(Started { worker, notify, output }))
    }

    /// The environment of the module without what is meant for the module alone, that of the application over it.
    fn environment(&self, notify: OsString) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<_> =
            std::env::vars_os().filter(|(name, _)| !is_of_the_module(name)).collect();
        let mut set = |name: &str, value: OsString| {
            environment.retain(|(other, _)| other != name);
            environment.push((name.into(), value));
        };
        set("ASPNETCORE_CONTENTROOT", self.options.folder.clone().into());
        if let Some(timeout) = stop_timeout(self.shutdown_limit()) {
            let grace = GRACE.min(timeout.div_ceil(2));
            set(STOP_TIMEOUT, timeout.to_string().into());
            set("ASPNETCORE_SHUTDOWNGRACESECONDS", grace.to_string().into());
        }
        for (name, value) in &self.options.settings.environment_variables {
            set(name, value.into());
        }
        set("ASPNETCORE_MODULE_ENDPOINTS", self.endpoints.clone().into());
        set("NOTIFY_SOCKET", notify);
        environment
    }
}

/// The longest time in which connections of a worker that is replaced wait for the request that is their last one.
const GRACE: u64 = 5;

/// Sockets and supervisors of the module, its own settings, and what it is told by another module out of process.
fn is_of_the_module(name: &std::ffi::OsStr) -> bool {
    if is_setting_of_the_module(name) {
        return true;
    }
    let name = name.to_string_lossy().to_uppercase();
    let prefixes = ["LISTEN_", "WATCHDOG_", "ASPNETCORE_IIS_", "ASPNETCORE_SHUTDOWN"];
    let names = [
        "NOTIFY_SOCKET",
        "ASPNETCORE_PORT",
        "ASPNETCORE_APPL_PATH",
        "ASPNETCORE_TOKEN",
        "ASPNETCORE_MODULE_ENDPOINTS",
        "ASPNETCORE_MODULE_SOCKET",
        "ASPNETCORE_CONTENTROOT",
    ];
    names.contains(&name.as_str()) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}
