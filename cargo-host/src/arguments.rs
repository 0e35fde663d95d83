//! What the command line asks for.

mod dev_certs;
mod new;
mod run;
mod schema;

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

pub(crate) use self::{
    dev_certs::{Action, DevCertsOptions, Export, Format, Import, Verbosity},
    new::{Hosting, NewOptions, Template},
    run::RunOptions,
    schema::SchemaOptions,
};

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print a text and be done.
    Help(&'static str),
    /// Run a program.
    Run(RunOptions),
    /// Make, export, trust or remove the development certificate.
    DevCerts(DevCertsOptions),
    /// Make a crate.
    New(NewOptions),
    /// Write the schemas of the settings files.
    Schema(SchemaOptions),
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongUse {
    pub(crate) message: String,
    /// What to ask for help, such as `cargo host run`.
    pub(crate) command: &'static str,
    pub(crate) exit_code: i32,
}

/// The exit code for options that are wrong, as shells have it.
const WRONG_USE: i32 = 2;

const HELP: &str = "\
Runs an application under a launch profile, and makes what it needs.

Usage: cargo host <COMMAND>

Commands:
  run        Build a crate and run its program with a profile of Properties/launchSettings.json
  new        Make a crate that runs at once
  dev-certs  Make, export, trust or remove the certificate for https in development
  schema     Write the JSON Schemas of the settings files for an editor

See 'cargo host <COMMAND> --help' for the options of each.
";

impl Command {
    /// Reads the arguments, without the tool's own name. Cargo puts `host` first when it calls the tool.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, WrongUse> {
        let mut arguments = arguments.into_iter().peekable();
        arguments.next_if(|argument| argument == "host");
        let mut parser = Parser::from_args(arguments);
        let wrong = |command, exit_code| {
            move |error: lexopt::Error| WrongUse { message: error.to_string(), command, exit_code }
        };
        let command = parse_command(&mut parser).map_err(wrong("cargo host", WRONG_USE))?;
        Ok(match command.as_str() {
            "run" => {
                let options = run::parse(parser).map_err(wrong("cargo host run", WRONG_USE))?;
                options.map_or(Self::Help(run::HELP), Self::Run)
            }
            "new" => {
                let options = new::parse(parser).map_err(wrong("cargo host new", WRONG_USE))?;
                options.map_or(Self::Help(new::HELP), Self::New)
            }
            "dev-certs" => {
                let options = dev_certs::parse(parser)?;
                options.map_or(Self::Help(dev_certs::HELP), Self::DevCerts)
            }
            "schema" => {
                let options = schema::parse(parser).map_err(wrong("cargo host schema", WRONG_USE))?;
                options.map_or(Self::Help(schema::HELP), Self::Schema)
            }
            _ => Self::Help(HELP),
        })
    }
}

/// The name of a command that there is; nothing for help.
fn parse_command(parser: &mut Parser) -> Result<String, lexopt::Error> {
    match parser.next()? {
        Some(Arg::Value(command)) => match command.to_str() {
            Some(name @ ("run" | "new" | "dev-certs" | "schema")) => Ok(name.to_owned()),
            _ => Err(format!("there is no command {command:?}").into()),
        },
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(String::new()),
        Some(other) => Err(other.unexpected()),
        None => Err("a command is missing, such as run".into()),
    }
}

/// The value of an option with one dash and several letters, `-lp NAME` or `-lp=NAME`, if that comes next. To the
/// parser it would be several options.
fn value_of_word(parser: &mut Parser, word: &str) -> Result<Option<OsString>, lexopt::Error> {
    let Some(mut raw) = parser.try_raw_args() else { return Ok(None) };
    let Some(rest) = raw.peek().and_then(OsStr::to_str).and_then(|argument| argument.strip_prefix(word))
    else {
        return Ok(None);
    };
    let value = match (rest, rest.strip_prefix('=')) {
        ("", _) => None,
        (_, Some(value)) => Some(value.into()),
        (_, None) => return Ok(None),
    };
    raw.next();
    match value {
        Some(value) => Ok(Some(value)),
        None => parser.value().map(Some),
    }
}

/// Whether an option with one dash, several letters and no value comes next.
fn is_word(parser: &mut Parser, word: &str) -> bool {
    parser.try_raw_args().is_some_and(|mut raw| raw.next_if(|argument| argument == word).is_some())
}

#[cfg(test)]
mod tests;
