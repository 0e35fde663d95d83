//! Ten thousand connections on one server: what each costs that rests, and what becomes of those that are slow.
//!
//! `many idle|tls-idle|slow [CONNECTIONS]`. As in the timed suite the server has one processor core and the load the
//! other one. What it prints stands in BENCHMARKS.md.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use benches::drive::{Held, LOAD_PINNED};
use benches::server::{BOUND, Folders, PINNED, RunningServer, free_address, with_prefix};
use benches::slow::{Line, Progress, Summary};
use benches::{Error, say};
use tokio::time::Instant;

/// How long the slow clients go on.
const SLOW_SECONDS: u64 = 75;

fn main() -> ExitCode {
    benches::exit_code(run())
}

fn run() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, connections) = match &arguments[..] {
        [what] => (what, 10_000),
        [what, connections] => (what, connections.parse()?),
        _ => return Err("usage: many idle|tls-idle|slow [CONNECTIONS]".into()),
    };
    let server = Counted::start()?;
    match what.as_str() {
        "idle" => server.idle(false, connections),
        "tls-idle" => server.idle(true, connections),
        "slow" => server.slow(connections),
        other => Err(format!("{other:?} is none of idle, tls-idle and slow").into()),
    }
}

/// A server that counts its heap.
struct Counted {
    running: RunningServer,
    tls: SocketAddr,
    programs: PathBuf,
}

impl Counted {
    fn start() -> Result<Self, Error> {
        benches::raise_open_files()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
        let folders = Folders {
            programs: std::env::current_exe()?.parent().ok_or("no folder of programs")?.to_owned(),
            peers: PathBuf::new(),
            configurations: PathBuf::new(),
            work: root.join("target/bench"),
        };
        folders.prepare()?;
        let (address, tls) = (free_address()?, free_address()?);
        let prefix = [BOUND, PINNED].concat();
        let mut command = with_prefix(&prefix, folders.programs.join("kestrel-counted"));
        command.args(["--urls", &format!("http://{address}"), "--tls", &tls.to_string()]);
        command.args([folders.certificate(), folders.key()]);
        let running = RunningServer::start(&mut command, address, &folders.work.join("server.log"))?;
        Ok(Self { running, tls, programs: folders.programs })
    }

    /// The bytes on its heap.
    fn heap(&self) -> Result<u64, Error> {
        let mut stream = TcpStream::connect(self.running.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /heap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no body")?;
        Ok(body.parse()?)
    }

    fn idle(&self, is_tls: bool, connections: u32) -> Result<(), Error> {
        let address = if is_tls { self.tls } else { self.running.address() };
        let held = Held { is_tls, address, connections };
        let read = || Ok((self.running.resident()?, self.heap()?));
        let (before, after) = held.read(&self.running, &self.programs, LOAD_PINNED, read)?;
        let each = |before: u64, after: u64| (after as f64 - before as f64) / f64::from(connections);
        say("| connections | resident before | after | each | live heap before | after | each |");
        say("|---:|---:|---:|---:|---:|---:|---:|");
        say(format_args!(
            "| {connections} | {} KiB | {} KiB | {:.0} bytes | {} KiB | {} KiB | {:.0} bytes |",
            before.0 / 1024,
            after.0 / 1024,
            each(before.0, after.0),
            before.1 / 1024,
            after.1 / 1024,
            each(before.1, after.1),
        ));
        Ok(())
    }

    fn slow(&self, connections: u32) -> Result<(), Error> {
        let limit = (SLOW_SECONDS + 30).to_string();
        let prefix = [&["timeout", "-k", "1", &limit], LOAD_PINNED].concat();
        let mut load = with_prefix(&prefix, self.programs.join("load"))
            .args(["slow", &connections.to_string(), &self.running.address().to_string()])
            .arg(SLOW_SECONDS.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = load.stdout.take().ok_or("the load has no output")?;
        say(
            "| s | open | ended | server's descriptors | resident KiB | live heap KiB | CPU | answers | errors |",
        );
        say("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        self.row(&Progress::default(), 0.0)?;
        let mut seen = (Instant::now(), self.running.cpu()?);
        for line in BufReader::new(output).lines() {
            match serde_json::from_str(&line?)? {
                Line::Progress(progress) => {
                    let now = (Instant::now(), self.running.cpu()?);
                    let cpu = (now.1 - seen.1).as_secs_f64() / (now.0 - seen.0).as_secs_f64();
                    self.row(&progress, cpu)?;
                    seen = now;
                }
                Line::Summary(summary) => tell(&summary),
            }
        }
        let status = load.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the load ended with {status}").into()) }
    }

    fn row(&self, progress: &Progress, cpu: f64) -> Result<(), Error> {
        say(format_args!(
            "| {} | {} | {} | {} | {} | {} | {:.0} % | {} | {} |",
            progress.seconds,
            progress.open,
            progress.ended,
            self.running.open_files()?,
            self.running.resident()? / 1024,
            self.heap()? / 1024,
            cpu * 100.0,
            progress.answers,
            progress.errors,
        ));
        Ok(())
    }
}

fn tell(summary: &Summary) {
    say("\n| ended | times | first after ms | p50 | p99 | last |\n|---|---:|---:|---:|---:|---:|");
    for (how, times) in &summary.ends {
        let [count, min, p50, p99, max] = [times.count, times.min, times.p50, times.p99, times.max];
        say(format_args!("| {how} | {count} | {min} | {p50} | {p99} | {max} |"));
    }
    let times = summary.latencies;
    say(format_args!(
        "\nWell-behaved: {} answers, {} errors, p50 {} µs, p99 {} µs, max {} µs.",
        times.count, summary.errors, times.p50, times.p99, times.max,
    ));
}
