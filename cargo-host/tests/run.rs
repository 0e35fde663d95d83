//! `cargo host run` from the outside: a crate, the tool, and the program that it starts.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// Prints its arguments and the variables it was given, or waits to be ended.
const PROGRAM: &str = r#"
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("arguments {arguments:?}");
    for name in ["ASPNETCORE_URLS", "DOTNET_LAUNCH_PROFILE", "PLACE", "CARGO_MANIFEST_DIR"] {
        println!("{name} {:?}", std::env::var(name).ok());
    }
    match arguments.first().map(String::as_str) {
        Some("exit") => std::process::exit(arguments[1].parse().unwrap()),
        Some("listen") => {
            println!("Now listening on: http://[::]:5000\nNow listening on: https://[::]:5001");
            println!("Application started.");
        }
        Some("wait") => {
            println!("ready");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        _ => {}
    }
}
"#;

const SETTINGS: &str = r#"{ "profiles": {
    "docker": { "commandName": "Docker" },
    "http": {
        "commandName": "Project", "commandLineArgs": "from profile", "applicationUrl": "http://localhost:1",
        "environmentVariables": { "PLACE": "here" }
    },
    "browser": {
        "commandName": "Project", "applicationUrl": "https://*:5001;http://*:5000",
        "launchBrowser": true, "launchUrl": "start"
    },
    "tool": { "commandName": "Executable", "executablePath": "sh", "workingDirectory": ".",
        "commandLineArgs": "-c \"pwd; echo $DOTNET_LAUNCH_PROFILE; exit 7\"" }
} }"#;

/// A crate of its own for each test, since they run at the same time.
struct App(PathBuf);

impl App {
    fn new(name: &str, settings: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::create_dir_all(folder.join("Properties")).unwrap();
        let manifest = "[package]\nname = \"app\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), PROGRAM).unwrap();
        fs::write(folder.join("Properties/launchSettings.json"), settings).unwrap();
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-host"));
        command
            .args(["host", "run"])
            .args(arguments)
            .current_dir(self.0.join("src"))
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env_remove("ASPNETCORE_URLS")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_program_runs_with_the_profile_and_its_exit_code_is_ours() {
    let app = App::new("profile", SETTINGS);
    let output = app.run(&[]);
    let folder = app.0.display();
    assert_eq!(
        stdout(&output),
        format!(
            "arguments [\"from\", \"profile\"]\nASPNETCORE_URLS Some(\"http://localhost:1\")\n\
             DOTNET_LAUNCH_PROFILE Some(\"http\")\nPLACE Some(\"here\")\nCARGO_MANIFEST_DIR Some(\"{folder}\")\n"
        )
    );
    assert!(stderr(&output).starts_with("Using launch settings from "), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));

    let output = app.run(&["-p", "app", "-lp", "HTTP", "-e", "PLACE=there", "--", "exit", "5"]);
    assert!(stdout(&output).contains("PLACE Some(\"there\")"), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(5));

    let output = app.run(&["--no-launch-profile"]);
    assert!(
        stdout(&output).starts_with("arguments []\nASPNETCORE_URLS None\nDOTNET_LAUNCH_PROFILE Some(\"\")")
    );

    let output = app.run(&["-lp", "docker"]);
    assert!(stdout(&output).contains("DOTNET_LAUNCH_PROFILE Some(\"\")"));
    assert!(
        stderr(&output).contains("The launch profile \"docker\" could not be applied."),
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_executable_profile_starts_its_program_in_its_folder() {
    let app = App::new("executable", SETTINGS);
    let output = app.run(&["-lp", "tool"]);
    let folder = app.0.join("Properties").canonicalize().unwrap();
    assert_eq!(stdout(&output), format!("{}\ntool\n", folder.display()));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn what_is_wrong_is_one_line() {
    let app = App::new("wrong", "{\n \"profiles\" }");
    let output = app.run(&["--nope"]);
    assert_eq!(stderr(&output), "cargo host: invalid option '--nope'; see 'cargo host run --help'\n");
    assert_eq!(output.status.code(), Some(2));

    let output = app.run(&[]);
    let file = app.0.join("Properties/launchSettings.json");
    let lines = stderr(&output);
    let expected =
        format!("could not read {}: line 2, column 13: expected ':' after the key\n", file.display());
    assert!(lines.ends_with(&expected), "{lines}");
    assert_eq!(output.status.code(), Some(1));

    let output = app.run(&["-p", "nope"]);
    assert_eq!(stderr(&output), "cargo host: there is no crate \"nope\" here; there is app\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn help_is_printed_on_request() {
    let output = App::new("help", SETTINGS).run(&["--help"]);
    assert!(stdout(&output).contains("--launch-profile NAME"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_signal_to_the_tool_alone_ends_the_program() {
    let app = App::new("signals", SETTINGS);
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        // In a group of its own no terminal's keys reach the tool.
        let child = app.command(&["--", "wait"]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut child = Guard(child);
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
        kill_process(Pid::from_child(&child.0), signal).unwrap();
        assert_eq!(child.0.wait().unwrap().code(), Some(128 + signal.as_raw()), "{signal:?}");
    }
}

#[test]
fn the_browser_opens_the_first_address_of_the_profile() {
    let app = App::new("browser", SETTINGS);
    let opened = app.0.join("opened");
    let opener = app.0.join("xdg-open");
    fs::write(&opener, format!("#!/bin/sh\necho \"$1\" >> {}\n", opened.display())).unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", app.0.display(), std::env::var("PATH").unwrap());

    let output =
        app.command(&["-lp", "browser", "--", "listen"]).env("DISPLAY", ":0").env("PATH", path).output();
    assert!(stdout(&output.unwrap()).ends_with("Application started.\n"));
    let url = (0..100).find_map(|_| {
        thread::sleep(Duration::from_millis(20));
        fs::read_to_string(&opened).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(url.as_deref(), Some("https://localhost:5001/start\n"));
}

/// Ends the tool if a test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}
