//! What the hosting models of the module cost beside the program alone: the instructions of a request in process, where the
//! module is not there, and the time of the first request, which starts the program.
//!
//! `models [ROUNDS]`: the program is the sample `features`. Instructions are counted by callgrind, which the module starts in the
//! place of the program; times are medians. What it prints stands in BENCHMARKS.md.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use benches::callgrind::{self, Requests};
use benches::front::{self, LISTENS};
use benches::server::{BOUND, RunningServer, free_address, with_prefix};
use benches::{Error, say};
use serde_json::{Value, json};
use tokio::time::Instant;

fn main() -> ExitCode {
    benches::exit_code(run())
}

fn run() -> Result<(), Error> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(11), |rounds| rounds.parse())?;
    let folder = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let work = std::env::temp_dir().join(format!("models-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let place = Place { programs: folder, work: work.clone() };
    let measured = place.instructions().and_then(|()| place.first_requests(rounds));
    fs::remove_dir_all(work)?;
    measured
}

/// How the program is reached.
#[derive(Clone, Copy)]
enum Model {
    Alone,
    InProcess,
    OutOfProcess,
}

impl Model {
    fn about(self) -> &'static str {
        match self {
            Self::Alone => "the program alone, from its start",
            Self::InProcess => "behind the module, in process",
            Self::OutOfProcess => "behind the module, out of process",
        }
    }
}

/// Where programs lie, and where a run may write.
struct Place {
    programs: PathBuf,
    work: PathBuf,
}

impl Place {
    fn instructions(&self) -> Result<(), Error> {
        let requests = Requests { batch: 1, fields: "" };
        let count = |model| callgrind::per_request(requests, || self.counted(model));
        let (alone, in_process) = (count(Model::Alone)?, count(Model::InProcess)?);
        say(format_args!(
            "User-space instructions of a request: {in_process:.1} in process, {alone:.1} alone, {:.4} times.\n",
            in_process / alone
        ));
        Ok(())
    }

    /// Starts the program under callgrind, on a runtime of one thread.
    fn counted(&self, model: Model) -> Result<RunningServer, Error> {
        let address = free_address()?;
        let mut command = self.command(model, callgrind::PREFIX, address)?;
        command.env("TOKIO_WORKER_THREADS", "1");
        RunningServer::start(&mut command, address, &self.work.join("log"))
    }

    fn command(&self, model: Model, prefix: &[&str], address: SocketAddr) -> Result<Command, Error> {
        if matches!(model, Model::Alone) {
            let mut command = with_prefix(&[BOUND, prefix].concat(), self.program());
            command.args(["--no-launch-profile", "--urls", &format!("http://{address}")]);
            return Ok(command);
        }
        front::module(&self.programs, &self.work, BOUND, address, &self.application(model, prefix))
    }

    fn program(&self) -> PathBuf {
        self.programs.join("features")
    }

    fn application(&self, model: Model, prefix: &[&str]) -> Value {
        let hosting = if matches!(model, Model::InProcess) { "InProcess" } else { "OutOfProcess" };
        let command = with_prefix(prefix, self.program());
        let words = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
        let arguments: Vec<_> = command.get_args().map(words).collect();
        let program = match prefix.first() {
            Some(name) => format!("/usr/bin/{name}"),
            None => words(command.get_program()),
        };
        json!({ "Command": program, "Arguments": arguments, "HostingModel": hosting })
    }

    fn first_requests(&self, rounds: usize) -> Result<(), Error> {
        say("| first answer | ms, median (least to most) |\n|---|---:|");
        let models = [Model::Alone, Model::InProcess, Model::OutOfProcess];
        let mut samples = models.map(|model| (model, Vec::new()));
        for _ in 0..rounds {
            for (model, times) in &mut samples {
                times.push(self.first_request(*model)?);
            }
        }
        for (model, times) in &mut samples {
            times.sort();
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            let (least, most) = (millis(times[0]), millis(times[times.len() - 1]));
            let median = millis(times[times.len() / 2]);
            say(format_args!("| {} | {median:.1} ({least:.1} to {most:.1}) |", model.about()));
        }
        Ok(())
    }

    /// How long the first answer takes: of a module that has started nothing yet, or of a program that is started for it.
    fn first_request(&self, model: Model) -> Result<Duration, Error> {
        let address = free_address()?;
        let log = self.work.join("log");
        let mut command = self.command(model, &[], address)?;
        if matches!(model, Model::Alone) {
            let start = Instant::now();
            let _program = RunningServer::start(&mut command, address, &log)?;
            ask(address)?;
            return Ok(start.elapsed());
        }
        let _module = RunningServer::start_silently(&mut command, address, &log, LISTENS)?;
        let start = Instant::now();
        ask(address)?;
        Ok(start.elapsed())
    }
}

fn ask(address: SocketAddr) -> Result<(), Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("not an answer: {answer:?}").into()) }
}
