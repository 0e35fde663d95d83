//! `cargo host`: runs an application under a launch profile.
//!
//! `cargo host run` reads `Properties/launchSettings.json` of a crate, sets the environment variables of a
//! profile, and starts the crate's program with `cargo run`, as `dotnet run` does. The program's exit code
//! is the tool's.

mod arguments;
mod browser;
mod child;
mod launch;
mod signals;
mod workspace;

use std::{
    env,
    error::Error,
    io::{self, Write},
    process,
};

use self::{
    arguments::{Command, RunOptions},
    launch::Launch,
    workspace::Package,
};

/// The exit code for options that are wrong, as shells have it.
const WRONG_USE: i32 = 2;
/// The exit code when the program could not be started.
const FAILED: i32 = 1;

fn main() {
    process::exit(match Command::parse(env::args_os().skip(1)) {
        Ok(Command::Help(text)) => print_help(text),
        Ok(Command::Run(options)) => run(options).unwrap_or_else(|error| {
            eprintln!("cargo host: {}", one_line(&*error));
            FAILED
        }),
        Err(error) => {
            eprintln!("cargo host: {error}; see 'cargo host run --help'");
            WRONG_USE
        }
    })
}

/// Runs the program to its end and tells its exit code.
fn run(options: RunOptions) -> Result<i32, Box<dyn Error>> {
    let package = Package::find(options.package.as_deref(), &env::current_dir()?)?;
    let mut messages = Vec::new();
    let launch = Launch::plan(options, &package, |name| env::var(name).ok(), &mut messages);
    for message in messages {
        eprintln!("{message}");
    }
    child::run(launch?)
}

fn print_help(text: &str) -> i32 {
    // Whoever reads the help may stop reading.
    let _ = io::stdout().write_all(text.as_bytes());
    0
}

/// An error with its causes.
fn one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
