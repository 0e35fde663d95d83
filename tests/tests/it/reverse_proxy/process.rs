//! A server of the system, in the foreground, ended with its children.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

pub(crate) struct Process(Child);

impl Process {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(program: &str, arguments: &[&str], ports: &[u16]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let mut process = Self(child.unwrap_or_else(|error| panic!("{program}: {error}; run ./test")));
        let begun = Instant::now();
        for port in ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                let ended = process.0.try_wait().unwrap();
                assert!(ended.is_none(), "{program} has ended: {ended:?}");
                assert!(begun.elapsed() < Duration::from_secs(10), "{program} does not listen on {port}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        process
    }
}

/// Told to end, so that it ends its workers.
impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
