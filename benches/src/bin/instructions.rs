//! Counts the user-space instructions of a keep-alive `GET /plaintext` under callgrind and compares them with those
//! of a yardstick, mostly bare hyper: `cargo build --release -p benches -p features && ./target/release/instructions`.
//!
//! With `--check` a ratio that is more than 3 % above its baseline in `benches/instructions.json` makes the exit code
//! 1. Whoever raises a baseline says why in the commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use benches::callgrind::{self, Requests};
use benches::server::{RunningServer, free_address, with_prefix};
use benches::{Error, say};

/// A ratio may be so many times its baseline.
const TOLERANCE: f64 = 1.03;

const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

const ONE: Requests = Requests { batch: 1, fields: "" };

/// What a proxy adds.
const FORWARDED: Requests = Requests {
    fields: "X-Forwarded-For: 203.0.113.60\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n",
    ..ONE
};

/// What is compared: a program and its yardstick on the same kind of runtime.
const PAIRS: [Pair; 11] = [
    Pair {
        name: "kestrel",
        about: "Kestrel, on a runtime of one thread, to bare hyper",
        requests: ONE,
        program: Program { file: "kestrel", arguments: &[] },
        yardstick: Program { file: "bare-hyper", arguments: &[] },
    },
    Pair {
        name: "kestrel-pipelined",
        about: "the same, 16 requests in one piece",
        requests: Requests { batch: 16, ..ONE },
        program: Program { file: "kestrel", arguments: &[] },
        yardstick: Program { file: "bare-hyper", arguments: &["--pipeline-flush"] },
    },
    Pair {
        name: "hosted",
        about: "the features sample, hosted, as `#[tokio::main]` runs it, to bare hyper",
        requests: ONE,
        program: Program { file: "features", arguments: &["--no-launch-profile"] },
        yardstick: Program { file: "bare-hyper", arguments: &["--multi-thread"] },
    },
    Pair {
        name: "behind-proxy-unused",
        about: "four layers of server-proxy-integration that find nothing, to the same service without them",
        requests: ONE,
        program: Program { file: "kestrel-behind-proxy", arguments: &["--layers"] },
        yardstick: Program { file: "kestrel-behind-proxy", arguments: &[] },
    },
    Pair {
        name: "kestrel-metrics",
        about: "metrics of requests and connections, with nobody who collects them, to the same service without",
        requests: ONE,
        program: Program { file: "kestrel-metrics", arguments: &["--metrics"] },
        yardstick: Program { file: "kestrel-metrics", arguments: &[] },
    },
    Pair {
        name: "kestrel-metrics-sdk",
        about: "the same with the SDK of OpenTelemetry",
        requests: ONE,
        program: Program { file: "kestrel-metrics", arguments: &["--metrics", "--sdk"] },
        yardstick: Program { file: "kestrel-metrics", arguments: &[] },
    },
    Pair {
        name: "behind-proxy",
        about: "the same, of which one believes three fields",
        requests: FORWARDED,
        program: Program { file: "kestrel-behind-proxy", arguments: &["--layers"] },
        yardstick: Program { file: "kestrel-behind-proxy", arguments: &[] },
    },
    Pair {
        name: "traced-unheard",
        about: "a layer for traces to which nobody listens, to the same service without it",
        requests: ONE,
        program: Program { file: "kestrel-traced", arguments: &["--layer"] },
        yardstick: Program { file: "kestrel-traced", arguments: &[] },
    },
    Pair {
        name: "traced",
        about: "the same with a subscriber that keeps the spans, to the same without the layer",
        requests: ONE,
        program: Program { file: "kestrel-traced", arguments: &["--layer", "--listen"] },
        yardstick: Program { file: "kestrel-traced", arguments: &["--listen"] },
    },
    Pair {
        name: "kestrel-access-log",
        about: "an access log in W3C's format with its default fields, to the same service without it",
        requests: ONE,
        program: Program { file: "kestrel-access-log", arguments: &["--access-log", "w3c"] },
        yardstick: Program { file: "kestrel-access-log", arguments: &[] },
    },
    Pair {
        name: "kestrel-access-log-json",
        about: "the same as JSON",
        requests: ONE,
        program: Program { file: "kestrel-access-log", arguments: &["--access-log", "json"] },
        yardstick: Program { file: "kestrel-access-log", arguments: &[] },
    },
];

struct Pair {
    name: &'static str,
    about: &'static str,
    requests: Requests,
    program: Program,
    yardstick: Program,
}

struct Program {
    file: &'static str,
    arguments: &'static [&'static str],
}

fn main() -> ExitCode {
    benches::exit_code(run())
}

fn run() -> Result<(), Error> {
    let is_checking = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => return Err(format!("the only option is --check, not {other:?}").into()),
    };
    let folder = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let baselines: BTreeMap<String, f64> = serde_json::from_slice(&std::fs::read(BASELINES)?)?;
    let mut too_high = Vec::new();
    say("| program | instructions per request | yardstick | ratio |\n|---|---|---|---|");
    for pair in PAIRS {
        let count = count(&folder, &pair.program, pair.requests)?;
        let bare = self::count(&folder, &pair.yardstick, pair.requests)?;
        let ratio = count / bare;
        say(format_args!("| {} | {count:.0} | {bare:.0} | {ratio:.3} |", pair.about));
        let baseline =
            baselines.get(pair.name).ok_or_else(|| format!("{BASELINES} lacks {:?}", pair.name))?;
        if ratio > baseline * TOLERANCE {
            too_high.push(format!("{}: {ratio:.3}, of which the baseline is {baseline}", pair.name));
        }
    }
    if is_checking && !too_high.is_empty() {
        return Err(
            format!("more than 3 % above the baseline in {BASELINES}: {}", too_high.join("; ")).into()
        );
    }
    Ok(())
}

fn count(folder: &Path, program: &Program, requests: Requests) -> Result<f64, Error> {
    callgrind::per_request(requests, || {
        let address = free_address()?;
        let mut command = with_prefix(callgrind::PREFIX, folder.join(program.file));
        command.args(program.arguments).args(["--urls", &format!("http://{address}")]);
        command.env("TOKIO_WORKER_THREADS", "1");
        RunningServer::start(&mut command, address, &folder.join("instructions.log"))
    })
}
