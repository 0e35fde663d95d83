//! The socket of commands to the module: HTTP on a Unix socket, which its owner and root may open.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hosting::header::{CONTENT_TYPE, HeaderValue};
use hosting::server_abstractions::{App, Server};
use hosting::server_kestrel::Kestrel;
use hosting::{
    ApplicationLifetime, Body, BoxError, BoxFuture, Endpoint, HostedService, KestrelOptions, Method, Request,
    Response, Running, SocketOptions, StartError, StatusCode,
};
use serde::Serialize;
use tokio::time::{Duration, Instant};

use crate::status::{ApplicationStatus, Managed};

/// How long answers under way may take at the stop.
const STOP: Duration = Duration::from_secs(1);
/// A command is no longer than this.
const MAX_BODY: u64 = 1024;
/// How many commands there are at the same time.
const MAX_CONNECTIONS: u64 = 16;
/// How long the head of a command may take, and how long a connection may wait for one.
const READ: Duration = Duration::from_secs(10);

/// The applications that commands are about.
pub(crate) type Applications = Arc<[Arc<dyn Managed>]>;

/// Answers commands as long as the module runs.
pub(crate) struct Control {
    path: PathBuf,
    applications: Applications,
    running: Option<Running>,
    file: SocketFile,
}

/// The file of the socket, for who ends the module without a stop.
#[derive(Clone, Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode, once it is listened on.
    own: Arc<OnceLock<(u64, u64)>>,
}

impl SocketFile {
    fn note(&self) {
        if let Some(own) = self.found() {
            let _ = self.own.set(own);
        }
    }

    /// Removes the file, unless somebody has replaced it.
    pub(crate) fn remove(&self) {
        if self.own.get().is_some_and(|own| self.found() == Some(*own)) {
            // There is nobody left who could do it better.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn found(&self) -> Option<(u64, u64)> {
        let file = self.path.symlink_metadata().ok()?;
        Some((file.dev(), file.ino()))
    }
}

/// What `GET /status` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModuleStatus {
    version: &'static str,
    pid: u32,
    uptime_seconds: u64,
    applications: Vec<ApplicationStatus>,
}

#[derive(Serialize)]
struct Failure {
    error: String,
}

impl Control {
    pub(crate) fn new(path: PathBuf, applications: Applications) -> Self {
        let file = SocketFile { path: path.clone(), own: Arc::default() };
        Self { path, applications, running: None, file }
    }

    pub(crate) fn file(&self) -> SocketFile {
        self.file.clone()
    }

    async fn listen(&mut self, lifetime: ApplicationLifetime) -> Result<(), BoxError> {
        let url = format!("http://unix:{}", self.path.display());
        let mut endpoint = Endpoint::url(&url)?.configured_at("Module:ControlSocket");
        endpoint.socket_options = SocketOptions { unix_mode: Some(0o600), ..SocketOptions::default() };
        let mut options = KestrelOptions { endpoints: vec![endpoint], ..KestrelOptions::default() };
        // Sockets that the module was handed are for its clients.
        options.inherit_listeners = false;
        options.limits.max_request_body_size = Some(MAX_BODY);
        options.limits.max_concurrent_connections = Some(MAX_CONNECTIONS);
        options.limits.request_headers_timeout = READ;
        options.limits.keep_alive_timeout = READ;
        let commands =
            Arc::new(Commands { applications: self.applications.clone(), lifetime, begun: Instant::now() });
        let app = App::new(move |request: Request<Body>| {
            let commands = Arc::clone(&commands);
            async move { commands.obey(request.method().clone(), request.uri().path().to_owned()).await }
        });
        let started = Box::new(Kestrel::new(options)).start(app).await;
        self.running = Some(started.map_err(|error| refused(&self.path, error))?);
        self.file.note();
        Ok(())
    }
}

/// Why the socket cannot be listened on, for whoever has named it.
fn refused(path: &Path, error: StartError) -> StartError {
    let shown = path.display();
    let is_socket = || path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    if !error.is_address_in_use() {
        return StartError::new("there is no control socket (Module:ControlSocket)").with_source(error);
    }
    let reason = match is_socket() {
        true => format!(
            "another module answers at the control socket {shown}; end it by 'server-module stop --control {shown}', or name another path in Module:ControlSocket"
        ),
        false => format!(
            "the control socket cannot be {shown}, where something else is; name another path in Module:ControlSocket"
        ),
    };
    StartError::address_in_use(reason)
}

impl HostedService for Control {
    fn name(&self) -> &'static str {
        "control socket"
    }

    fn start<'a>(&'a mut self, lifetime: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(self.listen(lifetime.clone()))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            if let Some(running) = self.running.take() {
                running.stop(tokio::time::sleep(STOP)).await;
            }
            Ok(())
        })
    }
}

struct Commands {
    applications: Applications,
    lifetime: ApplicationLifetime,
    begun: Instant,
}

impl Commands {
    async fn obey(&self, method: Method, path: String) -> Response<Body> {
        let path: Vec<_> = path.split('/').skip(1).collect();
        match (&method, &path[..]) {
            (&Method::GET, ["status"]) => answer(StatusCode::OK, &self.status()),
            (&Method::POST, ["stop"]) => {
                self.lifetime.stop();
                answer(StatusCode::ACCEPTED, &serde_json::json!({ "stopping": true }))
            }
            (&Method::POST, ["applications", name, "recycle"]) => self.recycle(name).await,
            _ => failure(
                StatusCode::NOT_FOUND,
                "there is GET /status, POST /stop and POST /applications/NAME/recycle",
            ),
        }
    }

    fn status(&self) -> ModuleStatus {
        ModuleStatus {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            uptime_seconds: self.begun.elapsed().as_secs(),
            applications: self.applications.iter().map(|application| application.status()).collect(),
        }
    }

    async fn recycle(&self, name: &str) -> Response<Body> {
        let mut known = Vec::new();
        for application in self.applications.iter() {
            let status = application.status();
            if status.name == name {
                return match application.recycle().await {
                    Ok(()) => answer(StatusCode::OK, &application.status()),
                    Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error),
                };
            }
            known.push(status.name);
        }
        let known = known.join(", ");
        failure(StatusCode::NOT_FOUND, format!("there is no application {name:?}; there is {known}"))
    }
}

fn failure(status: StatusCode, error: impl Into<String>) -> Response<Body> {
    answer(status, &Failure { error: error.into() })
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // What is told here has names that are texts and no maps of anything else, so it can be written.
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut response = Response::new(Body::from(text + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
