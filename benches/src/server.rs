//! A server process: how it is started, what it uses, and its end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use procfs::process::Process;

use crate::Error;
use crate::peer::{Peer, Program};
use crate::workload::Workload;

/// How long a server may take until it accepts; under callgrind it starts slowly.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What is put before every server's command line, so that none outlives whoever measures.
pub const BOUND: &[&str] = &["setpriv", "--pdeathsig", "KILL"];

/// What is put before the command line of a server that has a core of its own.
pub const PINNED: &[&str] = &["taskset", "-c", "0"];

/// Where the programs lie and where the run may write.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The programs of this crate.
    pub programs: PathBuf,
    /// The programs of `benches/peers`.
    pub peers: PathBuf,
    /// The configurations of nginx.
    pub configurations: PathBuf,
    /// What the run makes: files to serve, a certificate, results.
    pub work: PathBuf,
}

impl Folders {
    /// The file that `/file` serves.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.work.join("www/file")
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.work.join("certificate.pem")
    }

    /// Its key, in PEM.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.work.join("key.pem")
    }

    /// Makes the files to serve and the certificate.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare(&self) -> Result<(), Error> {
        let www = self.work.join("www");
        fs::create_dir_all(&www)?;
        for (name, length) in [("file", 65_536), ("100k", 102_400), ("10m", 10_485_760)] {
            fs::write(www.join(name), vec![b'x'; length])?;
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        fs::write(self.certificate(), made.cert.pem())?;
        fs::write(self.key(), made.signing_key.serialize_pem())?;
        Ok(())
    }
}

/// A server that accepts connections, until it is dropped.
#[derive(Debug)]
pub struct RunningServer {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl RunningServer {
    /// Starts a peer for a workload, with `prefix` before its command line.
    ///
    /// # Errors
    /// When it cannot be started or does not accept in time.
    pub fn of(peer: &Peer, workload: &Workload, folders: &Folders, prefix: &[&str]) -> Result<Self, Error> {
        let address = free_address()?;
        let prefix = &[BOUND, prefix].concat()[..];
        let mut command = match peer.program {
            Program::Peer(file, arguments) => {
                let mut command = with_prefix(prefix, folders.peers.join(file));
                command.args(arguments).arg("--listen").arg(address.to_string());
                command.arg("--file").arg(folders.file());
                if workload.is_tls() {
                    command.arg("--tls").args([folders.certificate(), folders.key()]);
                }
                if workload.is_h2c() {
                    command.arg("--h2c");
                }
                command
            }
            Program::Nginx => nginx(workload, folders, prefix, address)?,
        };
        Self::start(&mut command, address, &folders.work.join("server.log"))
    }

    /// Starts a command that is going to accept at the address. What it prints goes to the log.
    ///
    /// # Errors
    /// When it cannot be started or does not accept in time.
    pub fn start(command: &mut Command, address: SocketAddr, log: &Path) -> Result<Self, Error> {
        Self::start_until(command, address, log, |server| TcpStream::connect(server.address).is_ok())
    }

    /// The same without a connection to it: it listens once it has printed this text.
    ///
    /// # Errors
    /// When it cannot be started or does not print it in time.
    pub fn start_silently(
        command: &mut Command,
        address: SocketAddr,
        log: &Path,
        text: &str,
    ) -> Result<Self, Error> {
        Self::start_until(command, address, log, |server| server.said().contains(text))
    }

    fn start_until(
        command: &mut Command,
        address: SocketAddr,
        log: &Path,
        is_there: impl Fn(&Self) -> bool,
    ) -> Result<Self, Error> {
        let output = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .env_remove("CARGO_MANIFEST_DIR")
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
        let mut server = Self { child, address, log: log.to_owned() };
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_there(&server) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{command:?} ended with {status}: {}", server.said()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{command:?} did not accept at {address}: {}", server.said()).into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(server)
    }

    /// Where it accepts.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time of the process and of those that it has started.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn cpu(&self) -> Result<Duration, Error> {
        let ticks = self.processes()?.into_iter().map(|process| {
            let stat = process.stat()?;
            Ok(stat.utime + stat.stime)
        });
        let ticks = ticks.sum::<Result<u64, procfs::ProcError>>()?;
        Ok(Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64))
    }

    /// Resident memory of the process and of those that it has started, in bytes.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn resident(&self) -> Result<u64, Error> {
        let pages = self.processes()?.into_iter().map(|process| Ok(process.statm()?.resident));
        Ok(pages.sum::<Result<u64, procfs::ProcError>>()? * procfs::page_size())
    }

    /// The sockets and other files that the process has open.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn open_files(&self) -> Result<usize, Error> {
        Ok(Process::new(self.child.id().cast_signed())?.fd_count()?)
    }

    /// The process and those that it has started.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>, Error> {
        let mut found = vec![Process::new(self.child.id().cast_signed())?];
        let mut next = 0;
        while let Some(process) = found.get(next) {
            let mut children = Vec::new();
            for task in process.tasks()? {
                children.extend(task?.children()?);
            }
            for child in children {
                found.push(Process::new(child.cast_signed())?);
            }
            next += 1;
        }
        Ok(found)
    }

    /// Ends it and returns what it has printed.
    ///
    /// # Errors
    /// When its end cannot be awaited.
    pub fn stop(mut self) -> Result<String, Error> {
        self.end()?;
        Ok(self.said())
    }

    /// The last of what it has printed.
    #[must_use]
    pub fn tail(&self) -> String {
        let said = self.said();
        said.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A command with another one before it.
pub fn with_prefix(prefix: &[&str], program: impl AsRef<OsStr>) -> Command {
    match prefix {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}

/// A port of the loopback interface that nobody uses now.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn nginx(
    workload: &Workload,
    folders: &Folders,
    prefix: &[&str],
    address: SocketAddr,
) -> Result<Command, Error> {
    let template = match (workload.is_tls(), workload.is_h2c()) {
        (true, _) => "nginx-tls.conf",
        (_, true) => "nginx-h2c.conf",
        _ => "nginx.conf",
    };
    let cores = if workload.is_pinned { 1 } else { std::thread::available_parallelism()?.get() };
    let mut text = fs::read_to_string(folders.configurations.join(template))?;
    for (place, value) in [
        ("@LISTEN@", address.to_string()),
        ("@FOLDER@", folders.work.join("www").display().to_string()),
        ("@CERTIFICATE@", folders.certificate().display().to_string()),
        ("@KEY@", folders.key().display().to_string()),
        ("@WORKERS@", cores.to_string()),
    ] {
        text = text.replace(place, &value);
    }
    let configuration = folders.work.join("nginx.conf");
    fs::write(&configuration, text)?;
    let mut command = with_prefix(prefix, "nginx");
    command.arg("-p").arg(folders.work.join("www")).arg("-c").arg(configuration).args(["-e", "stderr"]);
    Ok(command)
}
