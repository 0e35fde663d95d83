//! The command line of the module.

mod arguments;
mod client;
mod help;
mod program;
mod table;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{ModuleOptions, SettingsError, Surroundings};

use arguments::{Command, RunOptions, Settings};
use client::{Client, ClientError};

/// Something could not be done, or settings are wrong.
const FAILED: u8 = 1;
/// The command line is wrong.
const WRONG_USE: u8 = 2;
/// Nobody answers at the control socket.
const NOBODY: u8 = 3;

/// Runs a command line without the name of the program; what becomes the exit code of the process.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | done |
/// | 1 | it could not be done, or settings are wrong |
/// | 2 | the command line is wrong |
/// | 3 | no module answers at the control socket |
pub fn run_command_line(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match Command::parse(arguments) {
        Ok(Command::Help(of)) => {
            print(help::of(of));
            0
        }
        Ok(Command::Version) => {
            print(concat!("server-module ", env!("CARGO_PKG_VERSION"), "\n"));
            0
        }
        Ok(Command::Run(options)) => run(options),
        Ok(Command::Check(settings)) => check(&settings),
        Ok(Command::Status { settings, is_json }) => told(&settings, async |client| {
            let status = client.status().await?;
            Ok(if is_json { status.to_string() + "\n" } else { table::status(&status) })
        }),
        Ok(Command::Recycle { settings, application }) => {
            told(&settings, async |client| Ok(table::recycled(&client.recycle(&application).await?)))
        }
        Ok(Command::Stop(settings)) => told(&settings, async |client| {
            client.stop().await?;
            Ok("the module has ended\n".to_owned())
        }),
        Err(wrong) => {
            fail(format_args!("{wrong}; see 'server-module --help'"));
            WRONG_USE
        }
    };
    ExitCode::from(code)
}

fn print(text: &str) {
    // Whoever reads may stop reading.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn fail(text: impl Display) {
    eprintln!("server-module: {text}");
}

/// Tells each fault in a line of its own.
fn fail_with(error: &SettingsError) -> u8 {
    error.problems().for_each(|problem| eprintln!("{problem}"));
    FAILED
}

fn run(options: RunOptions) -> u8 {
    let options = match read(options).and_then(checked) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(format_args!("the system has no threads for it: {error}"));
            return FAILED;
        }
    };
    match runtime.block_on(crate::run(options)) {
        Ok(()) => 0,
        Err(error) => {
            fail(one_line(&*error));
            FAILED
        }
    }
}

fn read(options: RunOptions) -> Result<ModuleOptions, u8> {
    let surroundings = surroundings()?;
    match options {
        RunOptions::Settings(settings) => load(&settings, &surroundings),
        RunOptions::Program(program) => program::read(program, &surroundings),
    }
}

fn check(settings: &Settings) -> u8 {
    match surroundings().and_then(|surroundings| load(settings, &surroundings)).and_then(checked) {
        Ok(options) => {
            print(&table::checked(&options));
            0
        }
        Err(code) => code,
    }
}

/// The options, if the system has what they need.
fn checked(mut options: ModuleOptions) -> Result<ModuleOptions, u8> {
    options.check_system().map_err(|error| fail_with(&error))?;
    Ok(options)
}

fn surroundings() -> Result<Surroundings, u8> {
    Surroundings::of_the_process().map_err(|error| {
        fail(format_args!("the current folder cannot be seen: {error}"));
        FAILED
    })
}

fn load(settings: &Settings, surroundings: &Surroundings) -> Result<ModuleOptions, u8> {
    ModuleOptions::load(file(settings)?, surroundings).map_err(|error| fail_with(&error))
}

fn file(settings: &Settings) -> Result<PathBuf, u8> {
    settings.file().map_err(|error| {
        fail(error);
        FAILED
    })
}

/// Asks the module that runs, and prints the answer.
fn told(settings: &Settings, ask: impl AsyncFnOnce(Client) -> Result<String, ClientError>) -> u8 {
    let socket = match socket(settings) {
        Ok(socket) => socket,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(format_args!("the system has nothing to wait with: {error}"));
            return FAILED;
        }
    };
    match runtime.block_on(ask(Client::new(socket))) {
        Ok(text) => {
            print(&text);
            0
        }
        Err(error) => {
            let is_nobody = error.is_nobody();
            fail(error);
            if is_nobody { NOBODY } else { FAILED }
        }
    }
}

/// The path of the control socket: that of the command line, or of the file.
fn socket(settings: &Settings) -> Result<PathBuf, u8> {
    if let Some(socket) = &settings.control {
        return Ok(socket.clone());
    }
    let surroundings = surroundings()?;
    let file = file(settings)?;
    let socket = ModuleOptions::control_socket_of(&file, &surroundings).map_err(|error| fail_with(&error))?;
    socket.ok_or_else(|| {
        fail(format_args!(
            "{} has no Module:ControlSocket, so nobody can be asked; add it and start the module again, or give --control",
            file.display()
        ));
        FAILED
    })
}

/// An error with its causes.
fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
