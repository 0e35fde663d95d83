//! What the command line asks for.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser, ValueExt};

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print a text and be done.
    Help(&'static str),
    /// Run a program.
    Run(RunOptions),
}

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

const HELP: &str = "\
Runs an application under a launch profile.

Usage: cargo host <COMMAND>

Commands:
  run    Build a crate and run its program with a profile of Properties/launchSettings.json

See 'cargo host run --help' for its options.
";

const RUN_HELP: &str = "\
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

The arguments after -- are the application's; without any, the profile's commandLineArgs are.
The exit code is the program's.
";

impl Command {
    /// Reads the arguments, without the tool's own name. Cargo puts `host` first when it calls the tool.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut arguments = arguments.into_iter().peekable();
        arguments.next_if(|argument| argument == "host");
        let mut parser = Parser::from_args(arguments);
        match parser.next()? {
            Some(Arg::Value(command)) if command == "run" => parse_run(parser),
            Some(Arg::Short('h') | Arg::Long("help")) => Ok(Self::Help(HELP)),
            Some(Arg::Value(command)) => Err(format!("there is no command {command:?}").into()),
            Some(other) => Err(other.unexpected()),
            None => Err("a command is missing, such as run".into()),
        }
    }
}

fn parse_run(mut parser: Parser) -> Result<Command, lexopt::Error> {
    let mut options = RunOptions::default();
    let mut configuration = None;
    loop {
        if let Some(name) = launch_profile_in_short(&mut parser)? {
            options.profile = Some(name);
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
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(RUN_HELP)),
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
    Ok(Command::Run(options))
}

/// `-lp NAME` or `-lp=NAME`, which to the parser would be `-l` and `-p`.
fn launch_profile_in_short(parser: &mut Parser) -> Result<Option<String>, lexopt::Error> {
    let Some(mut raw) = parser.try_raw_args() else { return Ok(None) };
    let Some(rest) = raw.peek().and_then(OsStr::to_str).and_then(|argument| argument.strip_prefix("-lp"))
    else {
        return Ok(None);
    };
    let name = match (rest, rest.strip_prefix('=')) {
        ("", _) => None,
        (_, Some(name)) => Some(name.to_owned()),
        (_, None) => return Ok(None),
    };
    raw.next();
    match name {
        Some(name) => Ok(Some(name)),
        None => parser.value()?.string().map(Some),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    fn run(line: &str) -> RunOptions {
        match parse(line) {
            Ok(Command::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn all_options_are_read_in_all_their_forms() {
        let expected = RunOptions {
            package: Some("app".into()),
            release: true,
            profile: Some("http".into()),
            no_profile: false,
            no_profile_arguments: true,
            environment: vec![("A".into(), "b=c".into()), ("D".into(), String::new())],
            arguments: vec!["--help".into(), "--".into(), "-lp".into()],
        };
        for line in [
            "run -p app -c release -lp http --no-launch-profile-arguments -e A=b=c -e D= -- --help -- -lp",
            "host run --package=app --release --launch-profile=http --no-launch-profile-arguments \
             --environment A=b=c --environment=D= -- --help -- -lp",
            "run -papp -cRelease --release -lp=http --no-launch-profile-arguments -eA=b=c -eD= -- --help -- -lp",
        ] {
            assert_eq!(run(line), expected, "{line}");
        }
        assert_eq!(run("run"), RunOptions::default());
        assert_eq!(run("host run -c Debug --"), RunOptions::default());
        assert!(run("run --no-launch-profile").no_profile);
    }

    #[test]
    fn help_is_a_command_of_its_own() {
        for (line, text) in
            [("--help", HELP), ("host -h", HELP), ("run --help", RUN_HELP), ("host run -p x -h", RUN_HELP)]
        {
            assert_eq!(parse(line), Ok(Command::Help(text)), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (line, message) in [
            ("", "a command is missing, such as run"),
            ("host", "a command is missing, such as run"),
            ("walk", "there is no command \"walk\""),
            ("--walk", "invalid option '--walk'"),
            ("run --walk", "invalid option '--walk'"),
            ("run -l p", "invalid option '-l'"),
            ("run word", "\"word\" is no option; the application's arguments go after --"),
            ("run -p", "missing argument for option '-p'"),
            ("run -lp", "missing argument"),
            ("run -c Fast", "the configuration \"Fast\" is neither Debug nor Release"),
            ("run --release -c Debug", "Debug and Release exclude each other"),
            ("run -e A", "the environment variable \"A\" is not of the form NAME=VALUE"),
            ("run -e =A", "the environment variable \"=A\" is not of the form NAME=VALUE"),
            ("run -lp a --no-launch-profile", "--launch-profile and --no-launch-profile exclude each other"),
        ] {
            assert_eq!(parse(line), Err(message.to_owned()), "{line}");
        }
    }
}
