use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

/// Where settings are looked for when none are named.
const PLACES: [&str; 2] = ["module.json", "/etc/server-module/module.json"];

#[derive(Debug)]
pub(super) enum Command {
    Help(Option<&'static str>),
    Version,
    Run(RunOptions),
    Check(Settings),
    Status { settings: Settings, is_json: bool },
    Recycle { settings: Settings, application: String },
    Stop(Settings),
}

#[derive(Debug)]
pub(super) enum RunOptions {
    Settings(Settings),
    Program(ProgramOptions),
}

/// One program without a file.
#[derive(Debug)]
pub(super) struct ProgramOptions {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) urls: Vec<String>,
    pub(super) control: Option<PathBuf>,
    pub(super) is_in_process: bool,
}

/// Which module is meant.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) config: Option<PathBuf>,
    pub(super) control: Option<PathBuf>,
}

impl Settings {
    /// The file of the settings.
    pub(super) fn file(&self) -> Result<PathBuf, String> {
        if let Some(config) = &self.config {
            return Ok(config.clone());
        }
        let found = PLACES.iter().find(|place| Path::new(place).is_file());
        found.map(PathBuf::from).ok_or_else(|| {
            format!("there is neither {} nor {}; name the file by --config", PLACES[0], PLACES[1])
        })
    }
}

/// Everything that a command line may have, before it is known what makes sense.
#[derive(Default)]
struct Given {
    settings: Settings,
    urls: Vec<String>,
    is_in_process: bool,
    is_json: bool,
    values: Vec<OsString>,
}

impl Command {
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let name = match parser.next()? {
            None => return Err("a command is missing".into()),
            Some(Short('h') | Long("help")) => return Ok(Self::Help(None)),
            Some(Short('V') | Long("version")) => return Ok(Self::Version),
            Some(Value(name)) => name.string()?,
            Some(argument) => return Err(argument.unexpected()),
        };
        if name == "help" {
            let of = parser.raw_args()?.next();
            let of = of.map(ValueExt::string).transpose()?;
            return of.map_or(Ok(Self::Help(None)), |of| Ok(Self::Help(Some(known(&of)?.0))));
        }
        let (name, takes) = known(&name)?;
        let Some(given) = Given::parse(&mut parser, takes, name == "run")? else {
            return Ok(Self::Help(Some(name)));
        };
        given.into_command(name)
    }
}

/// A command, and the options that it takes.
fn known(name: &str) -> Result<(&'static str, &'static [&'static str]), lexopt::Error> {
    Ok(match name {
        "run" => ("run", &["config", "urls", "control", "in-process"]),
        "check" => ("check", &["config"]),
        "status" => ("status", &["config", "control", "json"]),
        "recycle" => ("recycle", &["config", "control"]),
        "stop" => ("stop", &["config", "control"]),
        other => return Err(format!("there is no command {other:?}").into()),
    })
}

impl Given {
    /// None: help is asked for.
    fn parse(
        parser: &mut lexopt::Parser,
        takes: &[&str],
        has_program: bool,
    ) -> Result<Option<Self>, lexopt::Error> {
        let mut given = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("config") if takes.contains(&"config") => {
                    given.settings.config = Some(parser.value()?.into());
                }
                Long("control") if takes.contains(&"control") => {
                    given.settings.control = Some(parser.value()?.into());
                }
                Long("urls") if takes.contains(&"urls") => {
                    let urls = parser.value()?.string()?;
                    given.urls.extend(
                        urls.split(';').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned),
                    );
                }
                Long("in-process") if takes.contains(&"in-process") => given.is_in_process = true,
                Long("json") if takes.contains(&"json") => given.is_json = true,
                Value(value) => {
                    given.values.push(value);
                    // What follows a program is its own.
                    if has_program {
                        given.values.extend(parser.raw_args()?);
                    }
                }
                argument => return Err(argument.unexpected()),
            }
        }
        Ok(Some(given))
    }

    fn into_command(self, name: &str) -> Result<Command, lexopt::Error> {
        let Self { settings, urls, is_in_process, is_json, values } = self;
        if settings.config.is_some() && settings.control.is_some() {
            return Err(
                "there are --config and --control, which both say which module is meant; give one of them"
                    .into(),
            );
        }
        let mut values = values.into_iter();
        let command = match name {
            "run" => Command::Run(match values.next() {
                Some(_) if settings.config.is_some() => {
                    return Err("there is a program and --config; give one of them".into());
                }
                Some(program) => RunOptions::Program(ProgramOptions {
                    program: program.into(),
                    arguments: values.by_ref().map(ValueExt::string).collect::<Result<_, _>>()?,
                    urls,
                    control: settings.control,
                    is_in_process,
                }),
                None if !urls.is_empty() || is_in_process || settings.control.is_some() => {
                    return Err(
                        "--urls, --control and --in-process are for a program; in a file there are keys for them"
                            .into(),
                    );
                }
                None => RunOptions::Settings(settings),
            }),
            "check" => Command::Check(settings),
            "status" => Command::Status { settings, is_json },
            "recycle" => {
                let application = values.next().ok_or("the application is missing")?.string()?;
                Command::Recycle { settings, application }
            }
            _ => Command::Stop(settings),
        };
        match values.next() {
            Some(value) => Err(Value(value).unexpected()),
            None => Ok(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_follows_a_program_is_its_own() {
        let Ok(Command::Run(RunOptions::Program(options))) =
            parse("run --urls http://a:1;http://b:2 --control c --in-process ./app --config x --help")
        else {
            panic!("a program is run");
        };
        let ProgramOptions { program, arguments, urls, control, is_in_process } = options;
        assert_eq!(control.as_deref(), Some(Path::new("c")));
        assert_eq!(program, Path::new("./app"));
        assert_eq!(arguments, ["--config", "x", "--help"]);
        assert_eq!((urls.len(), is_in_process), (2, true));
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("", "a command is missing"),
            ("walk", "there is no command \"walk\""),
            ("check app", "unexpected argument \"app\""),
            ("check --json", "invalid option '--json'"),
            ("recycle", "the application is missing"),
            ("run --config a ./app", "give one of them"),
            ("run --in-process", "are for a program"),
            ("run --control c", "are for a program"),
            ("status --config a --control b", "give one of them"),
            ("help walk", "there is no command \"walk\""),
            ("stop --control", "missing argument"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
