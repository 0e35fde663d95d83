//! Asks a running server, with another process as the load, and reads the measures.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::callgrind;
use crate::measure::{Measure, Sample};
use crate::peer::Peer;
use crate::server::{Folders, PINNED, RunningServer, with_prefix};
use crate::workload::{Load, Workload};

/// The other core.
pub const LOAD_PINNED: &[&str] = &["taskset", "-c", "1"];

/// What a load prints at its end, as one line of JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// How often it was answered.
    pub answers: u64,
    /// Within how many microseconds.
    pub micros: u64,
    /// How often it was not answered, or not as it should be.
    pub errors: u64,
    /// The latencies, in microseconds.
    pub p50: u64,
    /// 99 % of the answers took no longer.
    pub p99: u64,
    /// 99.9 % of the answers took no longer.
    pub p999: u64,
}

/// How a peer did in one round.
///
/// # Errors
/// When the server or the load cannot be started, or an answer was wrong.
pub fn measure(peer: &Peer, workload: &Workload, folders: &Folders, seconds: u32) -> Result<Sample, Error> {
    let (server, load): (&[_], &[_]) = if workload.is_pinned { (PINNED, LOAD_PINNED) } else { (&[], &[]) };
    let start = || RunningServer::of(peer, workload, folders, server);
    match workload.load {
        Load::Callgrind { mode } => {
            let requests = callgrind::Requests { batch: if mode == "pipeline" { 16 } else { 1 }, fields: "" };
            let prefix = [server, callgrind::PREFIX].concat();
            let count =
                callgrind::per_request(requests, || RunningServer::of(peer, workload, folders, &prefix))?;
            Ok(Sample::from([(Measure::Instructions, count)]))
        }
        Load::StartUp => start_up(start),
        Load::Idle { connections } => idle(&start()?, workload, folders, load, connections),
        _ => busy(&start()?, workload, folders, load, seconds),
    }
}

fn busy(
    server: &RunningServer,
    workload: &Workload,
    folders: &Folders,
    prefix: &[&str],
    seconds: u32,
) -> Result<Sample, Error> {
    // A load ends by itself, unless a server does not answer.
    let deadline = (seconds + 30).to_string();
    let prefix = &[&["timeout", "-k", "1", &deadline], prefix].concat()[..];
    let scheme = if workload.is_tls() { "https" } else { "http" };
    let url = |path: &str| format!("{scheme}://{}{path}", server.address());
    let log = folders.work.join("h2load.log");
    let mut command = match workload.load {
        Load::Wrk { path, connections, mode } => {
            let threads = if workload.is_pinned { 1 } else { 2 };
            let mut command = with_prefix(prefix, "wrk");
            command.args(["-t", &threads.min(connections).to_string(), "-c", &connections.to_string()]);
            command.args(["-d", &format!("{seconds}s"), "-s"]).arg(folders.work.join("wrk.lua"));
            command.args([&url(path), "--", mode]);
            command
        }
        Load::H2load { connections, streams } => {
            let _ = fs::remove_file(&log);
            let mut command = with_prefix(prefix, "h2load");
            command.args(["-c", &connections.to_string(), "-m", &streams.to_string(), "--npn-list", "h2"]);
            command.args(["-D", &seconds.to_string(), "--log-file"]).arg(&log).arg(url("/plaintext"));
            command
        }
        Load::Handshakes { kind, groups } => {
            let mut command = with_prefix(prefix, folders.programs.join("load"));
            command.args(["handshakes", kind, groups]);
            command.arg(server.address().to_string()).arg(seconds.to_string());
            command
        }
        Load::WebSocket { connections } => {
            let mut command = with_prefix(prefix, folders.programs.join("load"));
            command.arg("websocket").arg(connections.to_string());
            command.arg(server.address().to_string()).arg(seconds.to_string());
            command
        }
        Load::Idle { .. } | Load::StartUp | Load::Callgrind { .. } => unreachable!("not a busy load"),
    };
    let before = server.cpu()?;
    let report = run(&mut command, &log)?;
    let cpu = server.cpu()?.saturating_sub(before);
    if report.errors > 0 || report.answers == 0 {
        let tail = server.tail();
        return Err(format!("{} answers and {} errors: {tail}", report.answers, report.errors).into());
    }
    let answers = report.answers as f64;
    let mut sample = Sample::from([
        (Measure::PerSecond, answers * 1e6 / report.micros as f64),
        (Measure::CpuMicros, cpu.as_secs_f64() * 1e6 / answers),
        (Measure::ResidentKib, server.resident()? as f64 / 1024.0),
    ]);
    // Of pipelined requests wrk knows no latencies.
    if !matches!(workload.load, Load::Wrk { mode: "pipeline", .. }) {
        sample.insert(Measure::P50Micros, report.p50 as f64);
        sample.insert(Measure::P99Micros, report.p99 as f64);
        sample.insert(Measure::P999Micros, report.p999 as f64);
    }
    Ok(sample)
}

/// Runs a load to its end.
fn run(command: &mut Command, h2load_log: &Path) -> Result<Report, Error> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}: {text}{errors}", output.status).into());
    }
    if let Some(line) = text.lines().find(|line| line.starts_with('{')) {
        return Ok(serde_json::from_str(line)?);
    }
    let log = fs::read_to_string(h2load_log).unwrap_or_default();
    h2load_report(&text, &log).ok_or_else(|| format!("{command:?} reported nothing: {text}{errors}").into())
}

/// Reads what h2load prints for people, and the log with a line for each request: start, status, microseconds.
fn h2load_report(text: &str, log: &str) -> Option<Report> {
    let number = |line: &str, word: &str| -> Option<u64> {
        let before = line.split(',').find(|part| part.trim_end().ends_with(word))?;
        before.split_whitespace().rev().nth(1)?.parse().ok()
    };
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in "))?;
    let requests = text.lines().find_map(|line| line.strip_prefix("requests:"))?;
    let (duration, _) = finished.split_once(',')?;
    let seconds = match duration.strip_suffix("ms") {
        Some(millis) => millis.parse::<f64>().ok()? / 1000.0,
        None => duration.strip_suffix('s')?.parse().ok()?,
    };
    let mut latencies: Vec<u64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    latencies.sort_unstable();
    let percentile = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Some(Report {
        answers: number(requests, "succeeded")?,
        micros: (seconds * 1e6) as u64,
        errors: number(requests, "failed")? + number(requests, "errored")? + number(requests, "timeout")?,
        p50: percentile(0.5),
        p99: percentile(0.99),
        p999: percentile(0.999),
    })
}

/// Resident memory 10 s after the last of the connections was opened and has been answered once.
fn idle(
    server: &RunningServer,
    workload: &Workload,
    folders: &Folders,
    prefix: &[&str],
    connections: u32,
) -> Result<Sample, Error> {
    let held = Held { is_tls: workload.is_tls(), address: server.address(), connections };
    let (before, after) = held.read(server, &folders.programs, prefix, || server.resident())?;
    Ok(Sample::from([
        (Measure::IdleBytes, (after as f64 - before as f64) / f64::from(connections)),
        (Measure::ResidentKib, after as f64 / 1024.0),
    ]))
}

/// Connections that rest after one request each.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Whether they are encrypted.
    pub is_tls: bool,
    /// Where the server accepts them.
    pub address: SocketAddr,
    /// How many; no more than 1,000 are opened in a second.
    pub connections: u32,
}

impl Held {
    /// Reads something before the first is opened, and 10 s after the last was answered.
    ///
    /// # Errors
    /// When they cannot be held so long.
    pub fn read<T>(
        self,
        server: &RunningServer,
        programs: &Path,
        prefix: &[&str],
        mut read: impl FnMut() -> Result<T, Error>,
    ) -> Result<(T, T), Error> {
        let before = read()?;
        let deadline = (self.connections / 100 + 60).to_string();
        let prefix = [&["timeout", "-k", "1", &deadline], prefix].concat();
        let scheme = if self.is_tls { "https" } else { "http" };
        let mut holder = with_prefix(&prefix, programs.join("load"))
            .args(["idle", scheme, &self.connections.to_string(), &self.address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.trim() != "held" {
            let status = holder.wait()?;
            return Err(format!("the idle connections could not be held: {status}: {}", server.tail()).into());
        }
        std::thread::sleep(Duration::from_secs(10));
        let after = read()?;
        // The end of its input is its end.
        drop(holder.stdin.take());
        let status = holder.wait()?;
        if !status.success() {
            return Err(format!("the idle connections did not last: {status}: {}", server.tail()).into());
        }
        Ok((before, after))
    }
}

fn start_up(start: impl FnOnce() -> Result<RunningServer, Error>) -> Result<Sample, Error> {
    let began = Instant::now();
    let server = start()?;
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut response = [0; 12];
    stream.read_exact(&mut response)?;
    let took = began.elapsed();
    if &response != b"HTTP/1.1 200" {
        return Err(format!("the first answer is {}", String::from_utf8_lossy(&response)).into());
    }
    Ok(Sample::from([
        (Measure::StartUpMillis, took.as_secs_f64() * 1e3),
        (Measure::ResidentKib, server.resident()? as f64 / 1024.0),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_h2load_is_read() {
        let text = "finished in 1.50s, 55044.00 req/s, 2.10MB/s\n\
            requests: 55044 total, 55052 started, 55044 done, 55041 succeeded, 2 failed, 1 errored, 0 timeout\n";
        let log = "1795407062121745\t200\t836\n1795407062121746\t200\t871\n1795407062121746\t200\t873\n";
        let report = h2load_report(text, log).expect("a report");
        assert_eq!((report.answers, report.errors, report.micros), (55041, 3, 1_500_000));
        assert_eq!((report.p50, report.p999), (871, 873));
        assert!(h2load_report("", log).is_none());
    }
}
