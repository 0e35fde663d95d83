//! Measures the server beside what its users would pick instead, in one run on one machine, so that every claim is a
//! ratio.
//!
//! `./bench` at the top of the repository builds and starts it. A *peer* is a server, a *workload* is what it is
//! asked, a *measure* is what is read off meanwhile; peers take turns in several rounds. The programs that stand for
//! the peers are a workspace of their own in `benches/peers`. Beside it stands `instructions`, the yardstick that the
//! tests hold.

use std::io::{self, Write};

pub mod callgrind;
pub mod drive;
pub mod front;
pub mod machine;
pub mod measure;
pub mod peer;
pub mod plot;
pub mod report;
pub mod results;
pub mod server;
pub mod slow;
pub mod workload;

/// What goes wrong here is told to whoever measures, and to nobody else.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Prints a line on the standard output: the result.
#[expect(clippy::print_stdout, reason = "what these programs print is their result")]
pub fn say(line: impl std::fmt::Display) {
    println!("{line}");
    let _ = io::stdout().flush();
}

/// The value of `--urls`: where a program of this crate listens.
///
/// # Errors
/// When it is not given.
pub fn url() -> Result<String, Error> {
    std::env::args()
        .skip_while(|argument| argument != "--urls")
        .nth(1)
        .ok_or_else(|| "--urls is missing".into())
}

/// Raises the limit of open files as far as it goes; processes that are started have it as well.
///
/// # Errors
/// When the system does not let it.
pub fn raise_open_files() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Tells an error in one line.
#[must_use]
pub fn exit_code(result: Result<(), Error>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
