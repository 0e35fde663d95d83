//! Counts the user-space instructions of a keep-alive `GET /plaintext` under callgrind and compares them with those
//! of bare hyper: `cargo build --release -p benches -p features && ./target/release/instructions`.
//!
//! With `--check` a ratio that is more than 3 % above its baseline in `benches/instructions.json` makes the exit code
//! 1. Whoever raises a baseline says why in the commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use benches::server::{RunningServer, free_address, with_prefix};
use benches::{Error, callgrind, say};

/// A ratio may be so many times its baseline.
const TOLERANCE: f64 = 1.03;

const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

/// What is compared: a program and its yardstick on the same kind of runtime.
const PAIRS: [Pair; 3] = [
    Pair {
        name: "kestrel",
        about: "Kestrel, on a runtime of one thread",
        batch: 1,
        program: Program { file: "kestrel", arguments: &[] },
        yardstick: Program { file: "bare-hyper", arguments: &[] },
    },
    Pair {
        name: "kestrel-pipelined",
        about: "the same, 16 requests in one piece",
        batch: 16,
        program: Program { file: "kestrel", arguments: &[] },
        yardstick: Program { file: "bare-hyper", arguments: &["--pipeline-flush"] },
    },
    Pair {
        name: "hosted",
        about: "the features sample, hosted, as `#[tokio::main]` runs it",
        batch: 1,
        program: Program { file: "features", arguments: &["--no-launch-profile"] },
        yardstick: Program { file: "bare-hyper", arguments: &["--multi-thread"] },
    },
];

struct Pair {
    name: &'static str,
    about: &'static str,
    /// How many requests go out in one piece.
    batch: u64,
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
    say("| program | instructions per request | bare hyper | ratio |\n|---|---|---|---|");
    for pair in PAIRS {
        let count = count(&folder, &pair.program, pair.batch)?;
        let bare = self::count(&folder, &pair.yardstick, pair.batch)?;
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

fn count(folder: &Path, program: &Program, batch: u64) -> Result<f64, Error> {
    callgrind::per_request(batch, || {
        let address = free_address()?;
        let mut command = with_prefix(callgrind::PREFIX, folder.join(program.file));
        command.args(program.arguments).args(["--urls", &format!("http://{address}")]);
        command.env("TOKIO_WORKER_THREADS", "1");
        RunningServer::start(&mut command, address, &folder.join("instructions.log"))
    })
}
