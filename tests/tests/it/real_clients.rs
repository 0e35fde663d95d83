//! Clients that others have written, against a program that is configured by its files alone.

mod chromium;
mod curl;
mod openssl;

use std::fmt::Display;
use std::path::PathBuf;

use rcgen::CertificateParams;
use serde_json::{Value, json};

use crate::program::{Folder, Launch, Program};
use crate::support::{Authority, Issued};

/// An authority, and a folder for what it issues.
struct Keys {
    authority: Authority,
    folder: Folder,
}

impl Keys {
    fn new() -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        folder.write("authority.pem", &authority.pem);
        Self { authority, folder }
    }

    fn path(&self, name: impl Display) -> String {
        self.folder.path().join(name.to_string()).display().to_string()
    }

    /// Issues a certificate into two files.
    fn issue(&self, file: &str, name: &str) -> Issued {
        self.issue_with(file, name, |_| ())
    }

    fn issue_with(&self, file: &str, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let issued = self.authority.issue_with(name, change);
        self.folder.write(&format!("{file}.pem"), &issued.pem);
        self.folder.write(&format!("{file}.key"), &issued.key_pem);
        issued
    }

    /// The files as a section of the configuration.
    fn section(&self, file: &str) -> Value {
        json!({ "Path": self.path(format_args!("{file}.pem")), "KeyPath": self.path(format_args!("{file}.key")) })
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        self.folder.write(name, content)
    }
}

/// The sample `features` with one endpoint and these settings of it.
async fn serve(endpoint: Value) -> Program {
    serve_with(endpoint, json!({})).await
}

/// The same with settings for all endpoints.
async fn serve_with(mut endpoint: Value, defaults: Value) -> Program {
    endpoint["Url"] = json!("https://127.0.0.1:0");
    let settings = json!({ "Kestrel": { "EndpointDefaults": defaults, "Endpoints": { "Web": endpoint } } });
    Launch::of("features").file("appsettings.json", settings.to_string()).start().await
}
