//! Measures the field; `./bench` builds and starts it. See `--help`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use benches::Error;
use benches::drive::measure;
use benches::machine::{Machine, missing};
use benches::peer::{PEERS, Peer};
use benches::results::{Results, Series};
use benches::server::Folders;
use benches::workload::{WORKLOADS, Workload};
use benches::{plot, report, say};
use indicatif::{ProgressBar, ProgressStyle};

const HELP: &str = "\
Measures the server beside others, in turns, on this machine.

Usage: ./bench [OPTIONS]

  --full             every peer and every workload (about 45 minutes), not the quick set (about 3)
  --peer NAME        this peer in place of the set's; may be given again
  --workload NAME    this workload in place of the set's; may be given again
  --rounds N         how often each peer has its turn [default: 5]
  --seconds N        how long a turn lasts [default: 2]
  --compare FILE     shows what has changed since the results in FILE, such as benches/results.json
  --results FILE     measures nothing and takes the results in FILE
  --publish          writes the tables to BENCHMARKS.md and the plots to benches/plots; of whole runs only
  --list             prints the names of peers and workloads
  --check-tools      tells what must be installed, and does nothing else

The tables, plots and results.json go to target/bench; those of the run before stay as results.previous.json.
Needs two processor cores.";

#[derive(Default)]
struct Options {
    is_full: bool,
    peers: Vec<String>,
    workloads: Vec<String>,
    rounds: Option<usize>,
    seconds: Option<u32>,
    compare: Option<PathBuf>,
    results: Option<PathBuf>,
    is_publishing: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(is_complete) => ExitCode::from(u8::from(!is_complete)),
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Option<Options>, Error> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("full") => options.is_full = true,
            Long("peer") => options.peers.push(known(&parser.value()?.string()?, Peer::named, "peer")?),
            Long("workload") => {
                options.workloads.push(known(&parser.value()?.string()?, Workload::named, "workload")?);
            }
            Long("rounds") => options.rounds = Some(parser.value()?.parse()?),
            Long("seconds") => options.seconds = Some(parser.value()?.parse()?),
            Long("compare") => options.compare = Some(parser.value()?.into()),
            Long("results") => options.results = Some(parser.value()?.into()),
            Long("check-tools") => {
                check_tools()?;
                return Ok(None);
            }
            Long("publish") => options.is_publishing = true,
            Long("list") => {
                PEERS.iter().for_each(|peer| say(format_args!("peer      {}", peer.name)));
                WORKLOADS.iter().for_each(|workload| {
                    say(format_args!("workload  {:22} {}", workload.name, workload.about))
                });
                return Ok(None);
            }
            Long("help") | Short('h') => {
                say(HELP);
                return Ok(None);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.rounds == Some(0) || options.seconds == Some(0) {
        return Err("--rounds and --seconds begin at 1".into());
    }
    Ok(Some(options))
}

fn known<T>(name: &str, find: fn(&str) -> Option<T>, what: &str) -> Result<String, Error> {
    find(name)
        .map(|_| name.to_owned())
        .ok_or_else(|| format!("no {what} is called {name:?}; see --list").into())
}

fn check_tools() -> Result<(), Error> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("missing tools; on Debian: apt-get install -y {}", missing.join(" ")).into())
}

/// Whether every peer could be measured.
fn run() -> Result<bool, Error> {
    let Some(options) = options()? else { return Ok(true) };
    let before = options.compare.as_deref().map(Results::load).transpose()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
    let results = match &options.results {
        Some(file) => Results::load(file)?,
        None => measured(&options, root)?,
    };
    let tables = report::tables(&results);
    say(&tables);
    if let Some(before) = before {
        say(report::comparison(&before, &results)?);
    }
    let failures: Vec<&Series> = results.series.iter().filter(|series| series.failure.is_some()).collect();
    for series in &failures {
        let reason = series.failure.as_deref().unwrap_or_default();
        say(format_args!("{} failed at {}: {reason}", series.peer, series.workload));
    }
    if options.is_publishing {
        if !failures.is_empty() || !is_complete(&results) {
            return Err("not published: only a whole run without a failure is".into());
        }
        publish(&results, &tables, root)?;
    }
    Ok(failures.is_empty())
}

/// Whether every workload was measured.
fn is_complete(results: &Results) -> bool {
    WORKLOADS.iter().all(|workload| results.of(workload.name).next().is_some())
}

/// Measures, and keeps what was found.
fn measured(options: &Options, root: &Path) -> Result<Results, Error> {
    check_tools()?;
    benches::raise_open_files()?;
    if std::thread::available_parallelism()?.get() < 2 {
        return Err("two processor cores are needed, one for the server and one for the load".into());
    }
    let folders = Folders {
        programs: std::env::current_exe()?.parent().ok_or("no folder of programs")?.to_owned(),
        peers: root.join("target/peers/release"),
        configurations: root.join("benches/peers"),
        work: root.join("target/bench"),
    };
    if !folders.peers.join("bare-hyper").is_file() {
        return Err(format!("{} lacks the peers; ./bench builds them", folders.peers.display()).into());
    }
    folders.prepare()?;
    fs::write(folders.work.join("wrk.lua"), include_str!("../wrk.lua"))?;
    let series = measure_all(options, &folders);
    if series.is_empty() {
        return Err("none of the chosen peers can do what the chosen workloads ask".into());
    }
    let arguments = std::env::args()
        .skip(1)
        .map(|argument| if argument.contains([' ', ':']) { format!("'{argument}'") } else { argument });
    let command = std::iter::once("./bench".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ");
    let machine = Machine::this(&folders.configurations.join("Cargo.lock"));
    let results = Results { command, machine, series };
    let path = folders.work.join("results.json");
    if path.exists() {
        fs::rename(&path, folders.work.join("results.previous.json"))?;
    }
    results.save(&path)?;
    plot::draw(&results, &folders.work.join("plots"))?;
    let tables = report::tables(&results);
    fs::write(folders.work.join("BENCHMARKS.md"), format!("{}\n{tables}", report::origin(&results)))?;
    Ok(results)
}

fn measure_all(options: &Options, folders: &Folders) -> Vec<Series> {
    let is_wanted = |names: &[String], name: &str, is_quick: bool| {
        if names.is_empty() { options.is_full || is_quick } else { names.iter().any(|wanted| wanted == name) }
    };
    let workloads = WORKLOADS.iter().filter(|w| is_wanted(&options.workloads, w.name, w.is_quick));
    let peers: Vec<&Peer> = PEERS.iter().filter(|p| is_wanted(&options.peers, p.name, p.is_quick)).collect();
    let turns: Vec<(&Workload, Vec<&Peer>)> = workloads
        .map(|workload| (workload, peers.iter().copied().filter(|peer| peer.can(workload.needs)).collect()))
        .collect();
    let rounds = options.rounds.unwrap_or(5);
    let total: usize = turns.iter().map(|(workload, peers)| workload.rounds(rounds) * peers.len()).sum();
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} eta {eta} {msg}");
    let progress =
        ProgressBar::new(total as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut all = Vec::new();
    for (workload, peers) in turns {
        let mut series: Vec<Series> = peers.iter().map(|peer| empty(workload, peer)).collect();
        for round in 0..workload.rounds(rounds) {
            // Each round begins with another peer, so that none always follows the same one from afar.
            for turn in 0..peers.len() {
                let turn = (turn + round) % peers.len();
                let (peer, series) = (peers[turn], &mut series[turn]);
                progress.set_message(format!("{} {}", workload.name, peer.name));
                match measure(peer, workload, folders, options.seconds.unwrap_or(2)) {
                    Ok(sample) => series.samples.push(sample),
                    // Every round has its place, so that ratios are of the same round.
                    Err(error) => {
                        series.samples.push(Default::default());
                        series.failure = Some(error.to_string());
                    }
                }
                progress.inc(1);
            }
        }
        all.append(&mut series);
    }
    progress.finish_and_clear();
    all
}

fn empty(workload: &Workload, peer: &Peer) -> Series {
    Series {
        workload: workload.name.to_owned(),
        peer: peer.name.to_owned(),
        samples: Vec::new(),
        failure: None,
    }
}

const BEGIN: &str = "<!-- what follows is written by ./bench --publish -->\n";
const END: &str = "<!-- the end of what is written by ./bench --publish -->\n";

/// Replaces the part of BENCHMARKS.md that lies between the marks.
fn publish(results: &Results, tables: &str, root: &Path) -> Result<(), Error> {
    let plots = plot::draw(results, &root.join("benches/plots"))?;
    let path = root.join("BENCHMARKS.md");
    let text = fs::read_to_string(&path)?;
    let (head, rest) = text.split_once(BEGIN).ok_or("BENCHMARKS.md has lost its first mark")?;
    let (_, tail) = rest.split_once(END).ok_or("BENCHMARKS.md has lost its last mark")?;
    let mut body = format!("{}\n{tables}", report::origin(results));
    for plot in plots {
        let name = plot.trim_end_matches(".svg");
        let place = format!("### {name}: ");
        let image = format!("![{name}](benches/plots/{plot})\n\n");
        if let Some(at) = body.find(&place)
            && let Some(line) = body[at..].find("\n\n")
        {
            body.insert_str(at + line + 2, &image);
        }
    }
    fs::write(path, format!("{head}{BEGIN}\n{body}\n{END}{tail}"))?;
    results.save(&root.join("benches/results.json"))
}
