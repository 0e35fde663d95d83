//! `cargo host`: runs an application under a launch profile, makes new ones, keeps the development certificate.
//!
//! `cargo host run` reads `Properties/launchSettings.json` of a crate, sets the environment variables of a
//! profile, and starts the crate's program with `cargo run`, as `dotnet run` does; or, if the profile is one of
//! IIS or of the module, builds the program and has `server-module` run it. The program's exit code is the tool's.

mod arguments;
mod browser;
mod build;
mod child;
mod dev_certs;
mod launch;
mod new;
mod schema;
mod signals;
mod workspace;

use std::{
    env,
    error::Error,
    io::{self, Write},
    process,
};

use self::{
    arguments::{Command, RunOptions, WrongUse},
    launch::Launch,
    workspace::Package,
};

/// The exit code when the program could not be started, or the crate not be made.
const FAILED: i32 = 1;

fn main() {
    process::exit(match Command::parse(env::args_os().skip(1)) {
        Ok(Command::Help(text)) => print_help(text),
        Ok(Command::Run(options)) => run(options).unwrap_or_else(|error| failed(&*error)),
        Ok(Command::New(options)) => new::run(&options).map_or_else(|error| failed(&*error), |()| 0),
        Ok(Command::Schema(options)) => schema::run(&options).map_or_else(|error| failed(&*error), |()| 0),
        Ok(Command::DevCerts(options)) => dev_certs::run(options),
        Err(WrongUse { message, command, exit_code }) => {
            eprintln!("cargo host: {message}; see '{command} --help'");
            exit_code
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

fn failed(error: &(dyn Error + 'static)) -> i32 {
    eprintln!("cargo host: {}", one_line(error));
    FAILED
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
