//! What it costs to forward a request: the module out of process beside nginx's `proxy_pass`, each in front of the same
//! program, turn by turn.
//!
//! `forwarding [ROUNDS [SECONDS]]`, with `wrk` as the load: 64 connections, 13 bytes. What is counted is the CPU time of the
//! process in front alone, by answer; the front has one processor core, the application and the load share the rest. Both
//! keep connections to the application, the sample `features`: nginx to its port, as operators have it, and once more to a
//! Unix socket, by which the module reaches what `hosting` hosts. What it prints stands in BENCHMARKS.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use benches::drive::LOAD_PINNED;
use benches::front;
use benches::server::{BOUND, PINNED, RunningServer, free_address, with_prefix};
use benches::{Error, say};
use procfs::process::Process;
use serde_json::json;

fn main() -> ExitCode {
    benches::exit_code(run())
}

fn run() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let rounds: u32 = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let seconds: u32 = arguments.next().map_or(Ok(3), |seconds| seconds.parse())?;
    let folder = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let work = std::env::temp_dir().join(format!("forwarding-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let place = Place { programs: folder, work: work.clone() };
    let measured = place.rounds(rounds, seconds);
    fs::remove_dir_all(work)?;
    measured
}

/// What is asked for.
const PATH: &str = "/plaintext";

/// Where programs lie, and where a run may write.
struct Place {
    programs: PathBuf,
    work: PathBuf,
}

/// What a front has done.
struct Sample {
    micros: f64,
    per_second: f64,
}

impl Place {
    fn rounds(&self, rounds: u32, seconds: u32) -> Result<(), Error> {
        let (mut module, mut nginx, mut by_socket) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            module.push(self.module(seconds)?);
            nginx.push(self.nginx(&free_address()?.to_string(), seconds)?);
            by_socket.push(self.nginx(&format!("unix:{}", self.work.join("app.sock").display()), seconds)?);
        }
        say("| front | CPU µs for an answer, median (least to most) | answers a second |\n|---|---|---|");
        let module = summary("server-module, out of process", &mut module);
        let nginx = summary("nginx, proxy_pass to a port", &mut nginx);
        let by_socket = summary("nginx, proxy_pass to a Unix socket", &mut by_socket);
        say(format_args!(
            "\nAnswers per CPU second to those of nginx: {:.2}; by a Unix socket: {:.2}",
            nginx / module,
            by_socket / module
        ));
        Ok(())
    }

    fn module(&self, seconds: u32) -> Result<Sample, Error> {
        let address = free_address()?;
        let application = self.application();
        let settings = json!({ "Command": application });
        let prefix = [BOUND, PINNED].concat();
        let mut command = front::module(&self.programs, &self.work, &prefix, address, &settings)?;
        let front = RunningServer::start(&mut command, address, &self.work.join("module.log"))?;
        let url = format!("http://{address}{PATH}");
        load(&url, 1)?;
        // The application has the core of the load, as it has behind nginx.
        for process in front.processes()? {
            if process.exe()? == application {
                Command::new("taskset").args(["-a", "-p", "-c", "1", &process.pid.to_string()]).output()?;
            }
        }
        let own =
            |process: &Process| process.cmdline().is_ok_and(|line| line.iter().any(|part| part == "run"));
        sample(&front, &url, seconds, own)
    }

    fn application(&self) -> PathBuf {
        self.programs.join("features")
    }

    fn nginx(&self, behind: &str, seconds: u32) -> Result<Sample, Error> {
        let (address, own) = (free_address()?, free_address()?);
        let mut command = with_prefix(&[BOUND, LOAD_PINNED].concat(), self.application());
        // Where it is waited for, and where nginx sends requests to.
        command.args(["--no-launch-profile", "--urls", &format!("http://{own};http://{behind}")]);
        // nginx serves as a user of its own.
        command.env("Kestrel__EndpointDefaults__SocketOptions__UnixMode", "0666");
        let _application = RunningServer::start(&mut command, own, &self.work.join("application.log"))?;
        let configuration = self.work.join("nginx.conf");
        fs::write(&configuration, nginx_configuration(&self.work, &address.to_string(), behind))?;
        let mut command = with_prefix(&[BOUND, PINNED].concat(), "nginx");
        command.arg("-c").arg(&configuration).args(["-e", "stderr"]);
        let front = RunningServer::start(&mut command, address, &self.work.join("nginx.log"))?;
        let url = format!("http://{address}{PATH}");
        load(&url, 1)?;
        sample(&front, &url, seconds, |_| true)
    }
}

fn nginx_configuration(work: &Path, address: &str, behind: &str) -> String {
    format!(
        "daemon off; worker_processes 1; pid {0}/nginx.pid; events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n\
         client_body_temp_path {0}/1; proxy_temp_path {0}/2; fastcgi_temp_path {0}/3; uwsgi_temp_path {0}/4;\n\
         scgi_temp_path {0}/5;\n\
         upstream app {{ server {behind}; keepalive 128; keepalive_requests 100000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://app; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; }} }} }}\n",
        work.display()
    )
}

fn sample(
    front: &RunningServer,
    url: &str,
    seconds: u32,
    is_counted: impl Fn(&Process) -> bool,
) -> Result<Sample, Error> {
    let counted: Vec<_> = front.processes()?.into_iter().filter(is_counted).collect();
    let ticks = || {
        counted.iter().try_fold(0, |sum, process| {
            let stat = process.stat()?;
            Ok::<_, Error>(sum + stat.utime + stat.stime)
        })
    };
    let before = ticks()?;
    let answers = load(url, seconds)?;
    let used = Duration::from_secs_f64((ticks()? - before) as f64 / procfs::ticks_per_second() as f64);
    Ok(Sample {
        micros: used.as_secs_f64() * 1e6 / answers as f64,
        per_second: answers as f64 / f64::from(seconds),
    })
}

/// Asks for a while; the number of answers.
fn load(url: &str, seconds: u32) -> Result<u64, Error> {
    let mut command = with_prefix(LOAD_PINNED, "wrk");
    let output = command.args(["-t1", "-c64", &format!("-d{seconds}s"), url]).output()?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("not every answer was as it should be: {text}").into());
    }
    let answers = text.lines().find_map(|line| line.split_once(" requests in")?.0.trim().parse().ok());
    answers.ok_or_else(|| format!("wrk says no number: {text}").into())
}

/// Prints a row; the median.
fn summary(name: &str, samples: &mut [Sample]) -> f64 {
    samples.sort_by(|one, other| one.micros.total_cmp(&other.micros));
    let median = &samples[samples.len() / 2];
    let (least, most) = (samples[0].micros, samples[samples.len() - 1].micros);
    say(format_args!(
        "| {name} | {:.1} ({least:.1} to {most:.1}) | {:.0} |",
        median.micros, median.per_second
    ));
    median.micros
}
