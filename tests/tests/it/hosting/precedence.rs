//! Which of several sources a program takes its addresses from. Each source has a loopback address of its own.

use crate::program::{Launch, Program};

const COMMAND_LINE: &str = "http://127.0.0.2:0";
const PROFILE_VARIABLE: &str = "http://127.0.0.3:0";
const APPLICATION_URL: &str = "http://127.0.0.4:0";
const SHELL: &str = "http://127.0.0.5:0";
const FILE: &str = "http://127.0.0.6:0";

fn file() -> String {
    format!(r#"{{ "Urls": "{FILE}" }}"#)
}

fn profile(variables: &str) -> String {
    format!(
        r#"{{ "profiles": {{ "p": {{ "commandName": "Project", "applicationUrl": "{APPLICATION_URL}",
            "environmentVariables": {{ {variables} }} }} }} }}"#
    )
}

/// Whether the program listens on the source's address and nowhere else.
#[track_caller]
fn assert_listens(program: &Program, url: &str) {
    let urls = program.urls();
    let host = url.trim_end_matches(":0");
    assert!(urls.len() == 1 && urls[0].starts_with(&format!("{host}:")), "{url} expected, {urls:?} found");
}

#[tokio::test]
async fn the_command_line_wins_over_everything() {
    let variables = format!(r#""ASPNETCORE_URLS": "{PROFILE_VARIABLE}""#);
    let launch = Launch::of("hello").under_cargo(&profile(&variables)).file("appsettings.json", file());
    let program = launch.env("ASPNETCORE_URLS", SHELL).args(["--urls", COMMAND_LINE]).start().await;
    assert_listens(&program, COMMAND_LINE);
}

#[tokio::test]
async fn a_variable_of_the_profile_wins_over_its_application_url() {
    let variables = format!(r#""ASPNETCORE_URLS": "{PROFILE_VARIABLE}""#);
    let launch = Launch::of("hello").under_cargo(&profile(&variables)).file("appsettings.json", file());
    assert_listens(&launch.env("ASPNETCORE_URLS", SHELL).start().await, PROFILE_VARIABLE);
}

#[tokio::test]
async fn the_application_url_wins_over_the_shell() {
    let launch = Launch::of("hello").under_cargo(&profile("")).file("appsettings.json", file());
    assert_listens(&launch.env("ASPNETCORE_URLS", SHELL).start().await, APPLICATION_URL);
}

#[tokio::test]
async fn the_shell_wins_over_appsettings() {
    for name in ["ASPNETCORE_URLS", "DOTNET_URLS", "URLS", "aspnetcore_urls"] {
        let launch = Launch::of("hello").file("appsettings.json", file()).env(name, SHELL);
        assert_listens(&launch.start().await, SHELL);
    }
}

#[tokio::test]
async fn appsettings_win_over_the_default() {
    let launch = Launch::of("hello").file("appsettings.json", file());
    assert_listens(&launch.start().await, FILE);
}

#[tokio::test]
async fn without_any_address_it_is_port_5000_of_localhost() {
    // The port is fixed, so somebody else may have it; then the program must say that this is what it wanted.
    let is_free = |address| std::net::TcpListener::bind((address, 5000)).is_ok();
    let mut program = if is_free("127.0.0.1") && is_free("::1") {
        Launch::of("hello").spawn()
    } else {
        let error = Launch::of("hello").spawn().end().await.stderr;
        assert!(error.contains("http://localhost:5000") && error.contains("in use"), "{error}");
        return;
    };
    let line = program.line("Now listening on: ").await;
    assert!(line.ends_with("Now listening on: http://localhost:5000"), "{line}");
}

#[tokio::test]
async fn a_profile_is_for_cargo_run_only() {
    let with_profile = || Launch::of("hello").under_cargo(&profile("")).env("ASPNETCORE_URLS", SHELL);
    assert_listens(&with_profile().args(["--no-launch-profile"]).start().await, SHELL);
    for (name, value) in [("DOTNET_LAUNCH_PROFILE", ""), ("ASPNETCORE_TOKEN", "token")] {
        assert_listens(&with_profile().env(name, value).start().await, SHELL);
    }
    let not_cargo = Launch::of("hello").file("Properties/launchSettings.json", profile(""));
    assert_listens(&not_cargo.env("ASPNETCORE_URLS", SHELL).start().await, SHELL);
}

#[tokio::test]
async fn the_profiles_arguments_are_taken_when_there_are_no_others() {
    let settings = format!(
        r#"{{ "profiles": {{ "p": {{ "commandName": "Project", "applicationUrl": "{APPLICATION_URL}",
            "commandLineArgs": "--urls {COMMAND_LINE}" }} }} }}"#
    );
    let launch = || Launch::of("hello").under_cargo(&settings);
    assert_listens(&launch().start().await, COMMAND_LINE);
    assert_listens(&launch().args(["--launch-profile", "P"]).start().await, COMMAND_LINE);
    assert_listens(&launch().args(["--other", "argument"]).start().await, APPLICATION_URL);
    assert_listens(&launch().args(["--no-launch-profile-arguments"]).start().await, APPLICATION_URL);
}

#[tokio::test]
async fn every_form_of_a_switch_is_understood() {
    for arguments in [
        vec!["--urls", COMMAND_LINE],
        vec!["--urls=http://127.0.0.2:0"],
        vec!["/urls", COMMAND_LINE],
        vec!["/urls=http://127.0.0.2:0"],
        vec!["urls=http://127.0.0.2:0"],
        vec!["--URLS", COMMAND_LINE],
        vec!["bare", "-x", "--urls", SHELL, "--urls", COMMAND_LINE, "--last"],
    ] {
        assert_listens(&Launch::of("hello").args(arguments).start().await, COMMAND_LINE);
    }
}

#[tokio::test]
async fn ports_stand_for_every_address_and_yield_to_urls() {
    let program = Launch::of("hello").env("ASPNETCORE_HTTP_PORTS", "0;0").start().await;
    let urls = program.urls();
    assert!(urls.len() == 2 && urls.iter().all(|url| url.starts_with("http://[::]:")), "{urls:?}");

    let launch = Launch::of("hello").args(["--https_ports", "0", "--environment", "Development"]);
    let program = launch.args(["--http_ports", "0"]).start().await;
    let urls = program.urls();
    assert!(urls[0].starts_with("http://[::]:") && urls[1].starts_with("https://[::]:"), "{urls:?}");

    let launch = Launch::of("hello").env("ASPNETCORE_HTTP_PORTS", "0");
    let program = launch.args(["--urls", COMMAND_LINE]).start().await;
    assert_listens(&program, COMMAND_LINE);
    let warning = |line: &String| line.contains("WARN") && line.contains("http_ports");
    assert!(program.seen().iter().any(warning), "{:?}", program.seen());
}

const ENDPOINT: &str = "http://127.0.0.7:0";

#[tokio::test]
async fn endpoints_win_over_urls_with_a_warning() {
    let settings = format!(r#"{{ "Kestrel": {{ "Endpoints": {{ "Web": {{ "Url": "{ENDPOINT}" }} }} }} }}"#);
    let launch = Launch::of("hello").file("appsettings.json", settings);
    let program = launch.args(["--urls", COMMAND_LINE]).start().await;
    assert_listens(&program, ENDPOINT);
    let warning =
        |line: &String| line.contains("WARN") && line.contains("overridden") && line.contains(COMMAND_LINE);
    assert!(program.seen().iter().any(warning), "{:?}", program.seen());
}

#[tokio::test]
async fn urls_that_are_preferred_win_over_endpoints() {
    let launch = Launch::of("hello").env("Kestrel__Endpoints__Web__Url", ENDPOINT);
    let program = launch.args(["--urls", COMMAND_LINE, "--preferHostingUrls", "true"]).start().await;
    assert_listens(&program, COMMAND_LINE);
    assert!(!program.seen().iter().any(|line| line.contains("WARN")), "{:?}", program.seen());

    let launch = Launch::of("hello").env("Kestrel__Endpoints__Web__Url", ENDPOINT);
    assert_listens(&launch.args(["--preferHostingUrls", "true"]).start().await, ENDPOINT);
}
