//! `openssl`: another implementation than the server's, and a folder for its files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use server_abstractions::{IntoService, Running};
use server_kestrel::HttpsOptions;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{loopback, options, socket_address, start, within};

/// A server on a socket of its own.
pub(super) struct Server {
    address: SocketAddr,
    _running: Running,
}

impl Server {
    pub(super) async fn start<M>(https: HttpsOptions, app: impl IntoService<M>) -> Self {
        let running = start(options([loopback().https(https)]), app).await;
        Self { address: socket_address(&running.addresses()[0]), _running: running }
    }

    /// Connects with these arguments, asks once, and returns all that the tool says.
    pub(super) async fn ask(&self, folder: &Path, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-connect", &self.address.to_string(), "-ign_eof"])
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let ask = async {
            // It may have ended by then.
            let _ = input.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            drop(input);
            child.wait_with_output().await.unwrap()
        };
        let Output { stdout, stderr, .. } = within(Duration::from_secs(30), ask).await;
        String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
    }

    /// Makes a session and keeps it in a file, without or with more arguments.
    pub(super) async fn keep(&self, folder: &Path, file: &str, arguments: &str) {
        let said = self.ask(folder, &format!("{arguments} -sess_out {file}")).await;
        assert_eq!(begun(&said), Begun::New, "{said}");
        assert!(folder.join(file).is_file(), "there is no session: {said}");
    }

    /// Comes again with the session of a file.
    pub(super) async fn again(&self, folder: &Path, file: &str, arguments: &str) -> Begun {
        begun(&self.ask(folder, &format!("{arguments} -sess_in {file}")).await)
    }
}

/// How a connection began.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    New,
    Reused,
    /// There was no answer.
    Not,
}

pub(super) fn begun(said: &str) -> Begun {
    if !said.contains("HTTP/1.1 200") {
        return Begun::Not;
    }
    match (said.contains("\nNew, TLSv1"), said.contains("\nReused, TLSv1")) {
        (true, false) => Begun::New,
        (false, true) => Begun::Reused,
        _ => panic!("neither new nor reused: {said}"),
    }
}

/// A folder of the test's own, removed at its end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("https-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn openssl(folder: &Path, arguments: &str) {
    let output = std::process::Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
