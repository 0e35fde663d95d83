//! Programs of this workspace as processes of their own, and the tools that talk to them.
//!
//! A program sees nothing of the environment of the tests: it has the variables that a test gives it, and a temporary
//! folder as its current folder and its home.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::soon;

mod curl;

pub(crate) use curl::{Answer, curl, curl_exit_code};

/// A program's file, which `cargo build` puts into the folder above that of the tests.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the tests have a file");
    let folder = test.parent().and_then(Path::parent).expect("the tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing: build the samples first: cargo build --workspace, or run ./test",
        path.display()
    );
    path
}

/// A folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace")
}

/// A temporary folder, removed with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("it-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }

    /// Makes a file of so many zero bytes below the folder.
    pub(crate) fn zeros(&self, name: &str, length: u64) -> PathBuf {
        let path = self.write(name, "");
        fs::File::options().write(true).open(&path).and_then(|file| file.set_len(length)).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that is free on both loopback addresses and that the system gives to nobody who asks for any.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id() as u16 % 1500;
    loop {
        let port = 10_000 + process * 13 + NEXT.fetch_add(1, Ordering::Relaxed) % 1000;
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        if v4.is_ok() && v6.is_ok() {
            return port;
        }
    }
}

/// A program that is about to start.
pub(crate) struct Launch {
    command: Command,
    folder: Folder,
}

impl Launch {
    /// A program of the workspace, without arguments and variables.
    pub(crate) fn of(name: &str) -> Self {
        Self::in_folder(Folder::new(), binary(name))
    }

    /// Any program, with a folder that has been made for it.
    pub(crate) fn in_folder(folder: Folder, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path().join("data"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command, folder }
    }

    /// The sample `hello` on ports that the system chooses.
    pub(crate) fn hello() -> Self {
        Self::of("hello").args(["--urls", "http://127.0.0.1:0"])
    }

    /// The sample `features`, in cleartext on ports that the system chooses.
    pub(crate) fn features() -> Self {
        Self::of("features").args(["--urls", "http://127.0.0.1:0"])
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What its standard input is; nothing if this is not called.
    pub(crate) fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    /// Where development certificates are kept, when several programs are to share them.
    pub(crate) fn data(self, folder: &Folder) -> Self {
        self.env("XDG_DATA_HOME", folder.path())
    }

    /// Writes a file below the program's folder.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.folder.write(name, content);
        self
    }

    /// As if `cargo run` had started it for a crate in its folder with these launch settings.
    pub(crate) fn under_cargo(mut self, launch_settings: &str) -> Self {
        self.command.env("CARGO_MANIFEST_DIR", self.folder.path());
        self.file("Properties/launchSettings.json", launch_settings)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it and waits until the application has started.
    pub(crate) async fn start(self) -> Program {
        let mut program = self.spawn();
        program.line("Hosting environment").await;
        program
    }

    /// Starts it.
    pub(crate) fn spawn(mut self) -> Program {
        let mut child = self.command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line);
            }
        });
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.expect("text");
            text
        });
        Program { stdin: child.stdin.take(), child, lines, seen: Vec::new(), stderr, folder: self.folder }
    }

    /// Starts it with a pipe to its standard input.
    pub(crate) fn spawn_with_input(mut self) -> Program {
        self.command.stdin(Stdio::piped());
        self.spawn()
    }

    /// Starts it in vain: it ends with an exit code that is not 0 and one line on the standard error, which is
    /// returned, and it never listened.
    pub(crate) async fn fail(self) -> String {
        let end = self.spawn().end().await;
        assert!(!matches!(end.code, None | Some(0)), "{end:?}");
        assert_eq!(end.stderr.lines().count(), 1, "{end:?}");
        assert!(!end.stderr.contains("panicked") && !end.stderr.contains("RUST_BACKTRACE"), "{end:?}");
        assert!(!end.stdout.iter().any(|line| line.contains("Now listening on")), "{end:?}");
        end.stderr.trim_end().to_owned()
    }
}

/// A program that runs, killed with this.
pub(crate) struct Program {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<String>,
    stderr: JoinHandle<String>,
    folder: Folder,
}

/// How a program came to its end.
#[derive(Debug)]
pub(crate) struct End {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Program {
    /// Waits for a line of the standard output that contains this text, which must not have come yet.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        loop {
            let Some(line) = soon(self.lines.recv()).await else {
                self.stderr.abort();
                panic!("no line with {text:?} came: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The lines of the standard output so far.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    /// The addresses that it listens on, as it says.
    pub(crate) fn urls(&self) -> Vec<String> {
        let urls = self.seen.iter().filter_map(|line| line.split_once("Now listening on: "));
        urls.map(|(_, url)| url.trim().to_owned()).collect()
    }

    /// The address of a path on the first address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.urls().first().expect("it listens"))
    }

    /// The first address, on 127.0.0.1 whatever it says.
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.url("");
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(pid, signal).expect("a signal that can be sent");
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> End {
        let status = soon(self.child.wait()).await.expect("a child");
        while let Some(line) = soon(self.lines.recv()).await {
            self.seen.push(line);
        }
        let stderr = soon(self.stderr).await.expect("the standard error is read");
        End { code: status.code(), stdout: self.seen, stderr }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) async fn stop(self) -> End {
        self.signal(Signal::TERM);
        self.end().await
    }
}

/// Runs a tool of the system to its end, without the environment of the tests.
pub(crate) async fn tool<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    tool_with_input(name, arguments, "").await
}

/// The same with something on its standard input.
pub(crate) async fn tool_with_input<S: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
    input: &str,
) -> Output {
    soon(output_with_input(name, command(name).args(arguments), input)).await
}

/// A tool of the system, without the environment of the tests.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).kill_on_drop(true);
    command
}

/// Runs a tool to its end. What it is given must be short enough for a pipe, since it may begin with talking.
pub(crate) async fn output_with_input(name: &str, command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{name} is missing: install it, or run ./test")
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    // One that does not want to read says why.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs a tool that must succeed and returns what it printed.
pub(crate) async fn output_of<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = tool(name, arguments).await;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {stdout}{stderr}");
    stdout
}
