//! `cargo host run`.

use std::ffi::OsString;

use lexopt::{Arg, Parser, ValueExt};

use super::value_of_word;

/// The options of `cargo host run`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RunOptions {
    /// The crate; without one it is that of the current folder.
    pub(crate) package: Option<String>,
    /// Whether the program is built with optimizations.
    pub(crate) release: bool,
    /// The launch profile; without one it is the first that can be used.
    pub(crate) profile: Option<String>,
    pub(crate) no_profile: bool,
    pub(crate) no_profile_arguments: bool,
    /// Variables that are set over those of the profile.
    pub(crate) environment: Vec<(String, String)>,
    /// The application's arguments.
    pub(crate) arguments: Vec<OsString>,
}

pub(crate) const HELP: &str = "\
Builds a crate and runs its program with a profile of Properties/launchSettings.json.

Usage: cargo host run [OPTIONS] [-- ARGUMENTS]

Options:
  -p, --package CRATE                 The crate to run [default: the one in the current folder]
  -c, --configuration Debug|Release   How to build it [default: Debug]
      --release                       The same as --configuration Release
  -lp, --launch-profile NAME          The launch profile [default: the first that can be used]
      --no-launch-profile             Run without a launch profile
      --no-launch-profile-arguments   Leave out the profile's commandLineArgs
  -e, --environment NAME=VALUE        Set an environment variable over the profile's; may be repeated
  -h, --help                          Print this

A profile of the type IIS, IISExpress or Module runs the program behind server-module, which is looked for beside this
tool and in PATH.
The arguments after -- are the application's; without any, the profile's commandLineArgs are.
The exit code is the program's.
";

/// Reads what follows `run`; `None` asks for help.
pub(super) fn parse(mut parser: Parser) -> Result<Option<RunOptions>, lexopt::Error> {
    let mut options = RunOptions::default();
    let mut configuration = None;
    loop {
        if let Some(name) = value_of_word(&mut parser, "-lp")? {
            options.profile = Some(name.string()?);
            continue;
        }
        if let Some(arguments) = application_arguments(&mut parser) {
            options.arguments = arguments;
            break;
        }
        let Some(argument) = parser.next()? else { break };
        match argument {
            Arg::Short('p') | Arg::Long("package") => options.package = Some(parser.value()?.string()?),
            Arg::Short('c') | Arg::Long("configuration") => {
                set_release(&mut configuration, is_release(&parser.value()?.string()?)?)?;
            }
            Arg::Long("release") => set_release(&mut configuration, true)?,
            Arg::Long("launch-profile") => options.profile = Some(parser.value()?.string()?),
            Arg::Long("no-launch-profile") => options.no_profile = true,
            Arg::Long("no-launch-profile-arguments") => options.no_profile_arguments = true,
            Arg::Short('e') | Arg::Long("environment") => {
                options.environment.push(variable(&parser.value()?.string()?)?);
            }
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Value(value) => {
                return Err(format!("{value:?} is no option; the application's arguments go after --").into());
            }
            other => return Err(other.unexpected()),
        }
    }
    if options.no_profile && options.profile.is_some() {
        return Err("--launch-profile and --no-launch-profile exclude each other".into());
    }
    options.release = configuration.unwrap_or_default();
    Ok(Some(options))
}

/// What follows a literal `--`, if that comes next.
fn application_arguments(parser: &mut Parser) -> Option<Vec<OsString>> {
    let mut raw = parser.try_raw_args()?;
    raw.next_if(|argument| argument == "--")?;
    Some(raw.collect())
}

fn is_release(configuration: &str) -> Result<bool, lexopt::Error> {
    if configuration.eq_ignore_ascii_case("Release") {
        Ok(true)
    } else if configuration.eq_ignore_ascii_case("Debug") {
        Ok(false)
    } else {
        Err(format!("the configuration {configuration:?} is neither Debug nor Release").into())
    }
}

fn set_release(configuration: &mut Option<bool>, release: bool) -> Result<(), lexopt::Error> {
    match configuration.replace(release) {
        Some(earlier) if earlier != release => Err("Debug and Release exclude each other".into()),
        _ => Ok(()),
    }
}

fn variable(text: &str) -> Result<(String, String), lexopt::Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("the environment variable {text:?} is not of the form NAME=VALUE").into()),
    }
}
