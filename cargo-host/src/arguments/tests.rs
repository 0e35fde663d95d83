use super::*;

fn parse(line: &str) -> Result<Command, String> {
    Command::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.message)
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
        [("--help", HELP), ("host -h", HELP), ("run --help", run::HELP), ("host run -p x -h", run::HELP)]
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
