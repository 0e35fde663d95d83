//! `cargo host run`: the tool, cargo, and a program that shows what it was given.
//!
//! What the tool does beyond this (executable profiles, wrong options) is tested beside its code.

pub(crate) use dev_certs::User;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::program::{Folder, binary};
use crate::support::within;

mod behind_module;
mod dev_certs;
mod new;

/// A build may have to wait for others.
const BUILD: Duration = Duration::from_secs(120);

const PROGRAM: &str = r#"
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("arguments={arguments:?}");
    for name in ["ASPNETCORE_URLS", "ASPNETCORE_ENVIRONMENT", "DOTNET_LAUNCH_PROFILE", "PLACE"] {
        println!("{name}={:?}", std::env::var(name).ok());
    }
    match arguments.first().map(String::as_str) {
        Some("exit") => std::process::exit(arguments[1].parse().unwrap()),
        Some("listen") => {
            println!("INFO Now listening on: https://localhost:5001");
            println!("INFO Now listening on: http://localhost:5000");
            println!("INFO Application started. Press Ctrl+C to shut down.");
        }
        Some("wait") => {
            println!("pid={}", std::process::id());
            std::thread::sleep(std::time::Duration::from_secs(30));
        }
        _ => {}
    }
}
"#;

const SETTINGS: &str = r#"{
  // As editors write it.
  "profiles": {
    "IIS Express": { "commandName": "IISExpress", "launchBrowser": true },
    "http": {
      "commandName": "Project",
      "commandLineArgs": "--from \"the profile\"",
      "applicationUrl": "http://localhost:5000",
      "environmentVariables": { "ASPNETCORE_ENVIRONMENT": "Development", "PLACE": "profile" },
    },
    "https": {
      "commandName": "Project",
      "launchBrowser": true,
      "launchUrl": "swagger",
      "applicationUrl": "https://localhost:5001;http://localhost:5000",
    },
  }
}"#;

/// The crate, the same for all tests and kept between them, since it has to be built.
fn crate_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cargo-host-app");
        let manifest = "[package]\nname = \"app\"\nedition = \"2024\"\n[workspace]\n";
        for (name, text) in
            [("Cargo.toml", manifest), ("src/main.rs", PROGRAM), ("Properties/launchSettings.json", SETTINGS)]
        {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            if fs::read_to_string(&path).ok().as_deref() != Some(text) {
                fs::write(&path, text).expect("a file");
            }
        }
        folder
    })
}

fn host(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("cargo-host"));
    command
        .arg("host")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", crate_folder().join("target"))
        .env("PLACE", "shell")
        .env("ASPNETCORE_URLS", "http://shell:1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "ASPNETCORE_ENVIRONMENT", "DOTNET_LAUNCH_PROFILE"] {
        command.env_remove(name);
    }
    command
}

/// The exit code, the standard output and the standard error.
async fn run_in(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = within(BUILD, host(folder, arguments).output()).await.expect("the tool starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    run_in(crate_folder(), arguments).await
}

#[track_caller]
fn assert_shows(output: &str, lines: &[&str]) {
    for line in lines {
        assert!(output.lines().any(|other| other == *line), "{line} is missing:\n{output}");
    }
}

#[tokio::test]
async fn the_profile_is_set_over_the_shell() {
    let (code, output, messages) = run(&["run"]).await;
    let lines = [
        r#"arguments=["--from", "the profile"]"#,
        r#"ASPNETCORE_URLS=Some("http://localhost:5000")"#,
        r#"ASPNETCORE_ENVIRONMENT=Some("Development")"#,
        r#"DOTNET_LAUNCH_PROFILE=Some("http")"#,
        r#"PLACE=Some("profile")"#,
    ];
    assert_shows(&output, &lines);
    assert_eq!(code, Some(0));
    let file = crate_folder().join("Properties/launchSettings.json");
    assert!(messages.contains(&format!("Using launch settings from {}...", file.display())), "{messages}");
}

#[tokio::test]
async fn options_win_over_the_profile() {
    let arguments =
        ["run", "-lp", "HTTP", "-e", "PLACE=option", "--environment=ASPNETCORE_URLS=http://option:1"];
    let (_, output, _) = run(&arguments).await;
    assert_shows(&output, &[r#"PLACE=Some("option")"#, r#"ASPNETCORE_URLS=Some("http://option:1")"#]);
}

#[tokio::test]
async fn the_users_arguments_replace_the_profiles_and_the_exit_code_passes() {
    let (code, output, _) = run(&["run", "--", "exit", "5", "--launch-profile", "x"]).await;
    assert_shows(
        &output,
        &[r#"arguments=["exit", "5", "--launch-profile", "x"]"#, r#"PLACE=Some("profile")"#],
    );
    assert_eq!(code, Some(5));
    let (_, output, _) = run(&["run", "--no-launch-profile-arguments"]).await;
    assert_shows(&output, &["arguments=[]", r#"DOTNET_LAUNCH_PROFILE=Some("http")"#]);
}

#[tokio::test]
async fn without_a_profile_the_shell_stays() {
    let (code, output, messages) = run(&["run", "--no-launch-profile"]).await;
    let lines = [
        "arguments=[]",
        r#"ASPNETCORE_URLS=Some("http://shell:1")"#,
        r#"DOTNET_LAUNCH_PROFILE=Some("")"#,
        r#"PLACE=Some("shell")"#,
    ];
    assert_shows(&output, &lines);
    assert_eq!(code, Some(0));
    assert!(!messages.contains("launch settings"), "{messages}");
}

#[tokio::test]
async fn what_is_wrong_is_one_line_and_starts_nothing() {
    let (code, output, error) = run(&["run", "-lp", "nope"]).await;
    assert_eq!((code, output.as_str()), (Some(1), ""));
    let line = error.lines().last().unwrap_or_default();
    assert!(
        line.starts_with("cargo host: ") && line.contains("\"nope\"") && line.contains("\"https\""),
        "{error}"
    );

    let folder = Folder::new();
    folder.write("Cargo.toml", "[package]\nname = \"app\"\nedition = \"2024\"\n[workspace]\n");
    folder.write("src/main.rs", PROGRAM);
    folder.write("Properties/launchSettings.json", "{\n  \"profiles\": { \"a\": } }");
    let (code, output, error) = run_in(folder.path(), &["run"]).await;
    assert_eq!((code, output.as_str()), (Some(1), ""));
    let line = error.lines().last().unwrap_or_default();
    assert!(line.contains("launchSettings.json: line 2, column 22"), "{error}");
    assert!(!error.contains("panicked"));
}

#[tokio::test]
async fn help_is_printed() {
    for arguments in [["--help"].as_slice(), &["run", "--help"], &["-h"]] {
        let (code, output, error) = run(arguments).await;
        assert_eq!((code, error.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(output.contains("Usage: cargo host"), "{output}");
    }
}

#[tokio::test]
async fn a_signal_reaches_the_program() {
    for signal in [Signal::TERM, Signal::INT] {
        // In a group of its own, so that no terminal reaches it.
        let mut command = host(crate_folder(), &["run", "--", "wait"]);
        let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().expect("the tool starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let pid = loop {
            let line = within(BUILD, lines.next_line()).await.expect("text").expect("a line with the pid");
            if let Some(pid) = line.strip_prefix("pid=") {
                break Pid::from_raw(pid.parse().expect("a number")).expect("a process");
            }
        };
        let tool = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(tool, signal).expect("a signal that can be sent");
        let status = within(Duration::from_secs(10), child.wait()).await.expect("a child");
        assert_eq!(status.code(), Some(128 + signal.as_raw()));
        assert!(test_kill_process(pid).is_err(), "the program lives on");
    }
}

/// A folder with an `xdg-open` that writes down what it opens, and that file.
fn fake_desktop() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let opened = folder.path().join("opened");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\n", opened.display());
    let opener = folder.write("xdg-open", script);
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("our own file");
    (folder, opened)
}

async fn run_on(desktop: &Folder, display: Option<&str>, arguments: &[&str]) {
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = host(crate_folder(), arguments);
    command.env("PATH", format!("{}:{path}", desktop.path().display()));
    if let Some(display) = display {
        command.env("DISPLAY", display);
    }
    let output = within(BUILD, command.output()).await.expect("the tool starts");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains("Application started"), "{output}");
}

#[tokio::test]
async fn the_browser_opens_the_profiles_first_address() {
    let (desktop, opened) = fake_desktop();
    run_on(&desktop, Some(":0"), &["run", "-lp", "https", "--", "listen"]).await;
    for _ in 0..250 {
        if fs::read_to_string(&opened).is_ok_and(|text| text.ends_with('\n')) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read_to_string(&opened).expect("it was opened"), "https://localhost:5001/swagger\n");
}

#[tokio::test]
async fn no_browser_opens_without_a_desktop_or_a_wish() {
    let (desktop, opened) = fake_desktop();
    run_on(&desktop, None, &["run", "-lp", "https", "--", "listen"]).await;
    run_on(&desktop, Some(":0"), &["run", "-lp", "http", "--", "listen"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!opened.exists());
}
