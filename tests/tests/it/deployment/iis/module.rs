//! A stand-in for IIS with the ASP.NET Core Module, out of process: it starts the program as web.config says, with the
//! variables of the module, and passes requests on to it as the module does.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use server_abstractions::{Body, Running};
use server_kestrel::{
    ClientCertificateMode, ClientCertificateValidation, ClientCertificates, Endpoint, HttpProtocols,
    HttpsOptions,
};
use tokio::time::sleep;

use super::forward::{Backend, forward};
use super::web_config::WebConfig;
use crate::deployment::file;
use crate::program::{End, Folder, Launch, Program, binary, free_port};
use crate::support::{Certificate, Client, Response, loopback, options, socket_address, start, within};

/// The site, with the application that the module has started.
pub(super) struct Module {
    pub(super) program: Program,
    pub(super) backend: Arc<Backend>,
    pub(super) certificate: Certificate,
    pub(super) config: WebConfig,
    application_path: String,
    front: Running,
}

impl Module {
    /// For an application at this path of the site.
    pub(super) async fn start(application_path: &str, web_sockets: bool) -> Self {
        let folder = Folder::new();
        let text = file("iis/web.config", &[]);
        let config = WebConfig::read(&text);
        folder.write("web.config", text);
        folder.write("appsettings.json", file("iis/appsettings.json", &[]));
        let program = folder.path().join(&config.program);
        symlink(binary("reverse-proxy"), &program).unwrap();
        let backend =
            Arc::new(Backend { port: free_port(), token: token(), web_sockets, limit: config.request });
        let launch = Launch::in_folder(folder, program).args(&config.arguments);
        let launch = variables(launch, &config, application_path, &backend);
        let program = launch.spawn();
        within(config.startup, listens(program.id(), backend.port)).await;

        let certificate = Certificate::new();
        let forwarded = Arc::clone(&backend);
        let app = move |request: http::Request<Body>| forward(request, Arc::clone(&forwarded));
        let mut options = options([loopback(), tls(&certificate)]);
        options.limits.max_request_body_size = Some(config.max_body);
        let front = start(options, app).await;
        Self { program, backend, certificate, config, application_path: application_path.to_owned(), front }
    }

    /// Where clients find the site.
    pub(super) fn http(&self) -> SocketAddr {
        socket_address(&self.front.addresses()[0])
    }

    pub(super) fn https(&self) -> SocketAddr {
        socket_address(&self.front.addresses()[1])
    }

    /// A connection to the application that does not come from the site.
    pub(super) async fn around(&self) -> Client {
        Client::tcp((Ipv4Addr::LOCALHOST, self.backend.port).into()).await
    }

    /// The module's request to stop.
    pub(super) async fn request_stop(&self, token: &str) -> Response {
        let place = self.application_path.trim_end_matches('/');
        let request = format!(
            "POST {place}/iisintegration HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\n\
             MS-ASPNETCORE-EVENT: shutdown\r\nMS-ASPNETCORE-TOKEN: {token}\r\n\r\n",
            self.backend.port
        );
        self.around().await.exchange(&request).await
    }

    /// Waits until the application has ended, as long as the module does.
    pub(super) async fn end(self) -> End {
        within(self.config.shutdown, self.program.end()).await
    }
}

fn token() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

/// The site's endpoint for https, which asks for a certificate.
fn tls(certificate: &Certificate) -> Endpoint {
    let client_certificates = ClientCertificates {
        mode: ClientCertificateMode::Allow,
        validation: Some(ClientCertificateValidation::any()),
        ..ClientCertificates::default()
    };
    let https = HttpsOptions { client_certificates, ..certificate.https() };
    loopback().https(https).protocols(HttpProtocols::Http1)
}

/// Those of web.config, then those of the module.
fn variables(launch: Launch, config: &WebConfig, application_path: &str, backend: &Backend) -> Launch {
    let launch = config.variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    launch
        .env("ASPNETCORE_PORT", backend.port.to_string())
        .env("ASPNETCORE_APPL_PATH", application_path)
        .env("ASPNETCORE_TOKEN", &backend.token)
        .env("ASPNETCORE_IIS_HTTPAUTH", "anonymous;")
        .env("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", backend.web_sockets.to_string())
        .env("ASPNETCORE_IIS_PHYSICAL_PATH", "/LM/W3SVC/1/ROOT")
        .env("ASPNETCORE_ANCM_HTTPS_PORT", "443")
        .env("ASPNETCORE_HOSTINGSTARTUPASSEMBLIES", ";Microsoft.AspNetCore.Server.IISIntegration")
}

/// Waits until this process listens on the port; the module looks into the table of IPv4 alone.
async fn listens(process: u32, port: u16) {
    while !owns(process, port) {
        sleep(Duration::from_millis(20)).await;
    }
}

fn owns(process: u32, port: u16) -> bool {
    let wanted = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut sockets = rows.filter(|row| row.get(1) == Some(&wanted.as_str()) && row.get(3) == Some(&"0A"));
    sockets.any(|row| {
        let socket = format!("socket:[{}]", row.get(9).expect("an inode"));
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs");
        descriptors
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == socket.as_str()))
    })
}
