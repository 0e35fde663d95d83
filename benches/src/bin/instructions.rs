//! Counts the user-space instructions of a keep-alive `GET /plaintext` under callgrind and compares them with those
//! of bare hyper: `cargo build --release -p benches -p features && cargo run --release -p benches --bin instructions`.
//!
//! A program is run twice with different numbers of requests on one connection; the difference is free of its start
//! and end. With `--max RATIO` a program above it makes the exit code 1.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

const FEW: u64 = 500;
const MANY: u64 = 4500;

/// What curl sends.
const REQUEST: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: localhost:5000\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

/// What is compared: a program and its yardstick on the same kind of runtime.
const PAIRS: [(&str, Program, Program); 2] = [
    (
        "Kestrel, on a runtime of one thread",
        Program { file: "kestrel", arguments: &[] },
        Program { file: "bare-hyper", arguments: &[] },
    ),
    (
        "the features sample, hosted, as `#[tokio::main]` runs it",
        Program { file: "features", arguments: &["--urls", "http://127.0.0.1:0", "--no-launch-profile"] },
        Program { file: "bare-hyper", arguments: &["--multi-thread"] },
    ),
];

struct Program {
    file: &'static str,
    arguments: &'static [&'static str],
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn main() -> io::Result<ExitCode> {
    let max = max_ratio()?;
    let folder = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let mut is_within = true;
    println!("| program | instructions per request | bare hyper | ratio |\n|---|---|---|---|");
    for (name, program, yardstick) in PAIRS {
        let per_request = |program: &Program| {
            let few = measure(&folder.join(program.file), program.arguments, FEW)?;
            let many = measure(&folder.join(program.file), program.arguments, MANY)?;
            io::Result::Ok((many - few) / (MANY - FEW))
        };
        let (count, bare) = (per_request(&program)?, per_request(&yardstick)?);
        let ratio = count as f64 / bare as f64;
        is_within &= max.is_none_or(|max| ratio <= max);
        println!("| {name} | {count} | {bare} | {ratio:.3} |");
    }
    if !is_within {
        println!("a ratio is above {}", max.unwrap_or_default());
    }
    Ok(if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn max_ratio() -> io::Result<Option<f64>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(None),
        (Some("--max"), Some(ratio)) => ratio.parse().map(Some).map_err(io::Error::other),
        _ => Err(io::Error::other("the only option is --max RATIO")),
    }
}

/// All user-space instructions of a program that answers so many requests.
fn measure(program: &Path, arguments: &[&str], requests: u64) -> io::Result<u64> {
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .env_remove("CARGO_MANIFEST_DIR")
        .env("TOKIO_WORKER_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io::Error::other(format!("cannot start valgrind (Debian's package valgrind): {error}"))
        })?;
    let counted = drive(&mut child, requests);
    if counted.is_err() {
        let _ = child.kill();
    }
    let output = child.wait_with_output()?;
    counted?;
    let report = String::from_utf8_lossy(&output.stderr);
    let total = report.lines().find_map(|line| line.split_once("Collected : "));
    total.and_then(|(_, count)| count.trim().parse().ok()).ok_or_else(|| {
        io::Error::other(format!("callgrind reported nothing for {}: {report}", program.display()))
    })
}

/// Waits for the program, asks so many times, and ends it.
fn drive(child: &mut Child, requests: u64) -> io::Result<()> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let address = loop {
        let line = lines.next().ok_or_else(|| io::Error::other("the program ended before it listened"))??;
        if let Some((_, address)) = line.split_once("Now listening on: http://") {
            break address.to_owned();
        }
    };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    for _ in 0..requests {
        stream.write_all(REQUEST)?;
        read_response(&mut stream)?;
    }
    drop(stream);
    // The measured programs end with their input; a hosted one by a signal.
    drop(child.stdin.take());
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().map(drop)
}

fn read_response(stream: &mut TcpStream) -> io::Result<()> {
    let mut response = Vec::with_capacity(256);
    let mut piece = [0; 512];
    while !response.ends_with(b"\r\n\r\nHello, World!") {
        match stream.read(&mut piece)? {
            0 => return Err(io::Error::other("the connection was closed in the middle")),
            count => response.extend_from_slice(&piece[..count]),
        }
    }
    Ok(())
}
