//! The units of systemd: checked by systemd itself, and their socket handed to the program by systemd's own tool.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::{TcpStream, UnixStream};

use super::{are_told_of, begin, file, finish, request, who};
use crate::program::{Folder, Launch, Program, binary, free_port, tool};
use crate::support::{Client, soon};

pub(super) mod sandbox;

/// A unit's assignments, in their order, without comments.
pub(super) fn assignments(unit: &str) -> Vec<(&str, &str)> {
    let lines = unit.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
    lines.map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line}"))).collect()
}

/// The one value of a name.
pub(super) fn value<'a>(unit: &'a str, name: &str) -> &'a str {
    let values: Vec<_> = assignments(unit).into_iter().filter(|(given, _)| *given == name).collect();
    let [(_, value)] = values[..] else { panic!("{name}: {values:?}") };
    value
}

/// The variables that the service gives the program.
pub(super) fn variables(unit: &str) -> Vec<(&str, &str)> {
    let given = assignments(unit).into_iter().filter(|(name, _)| *name == "Environment");
    given.map(|(_, assignment)| assignment.split_once('=').unwrap()).collect()
}

/// The units in a folder, with the program and the folder of the test in the place of those of the installation.
fn units(folder: &Folder) -> [String; 2] {
    let here = folder.path().display().to_string();
    let program = format!("ExecStart={}", binary("reverse-proxy").display());
    let replacements = [
        ("ExecStart=/opt/shop/reverse-proxy", program.as_str()),
        ("WorkingDirectory=/opt/shop", &format!("WorkingDirectory={here}")),
    ];
    let write = |name, text| folder.write(name, text).display().to_string();
    [
        write("shop.service", file("systemd/shop.service", &replacements)),
        write("shop.socket", file("systemd/shop.socket", &[])),
    ]
}

/// Runs a check of systemd's, which must have nothing to say against the units.
pub(super) async fn analyze(arguments: &[&str], units: &[String]) -> String {
    let arguments = arguments.iter().copied().chain(units.iter().map(String::as_str));
    let output = tool("systemd-analyze", arguments).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stderr.is_empty(), "{stderr}{stdout}");
    stdout
}

#[tokio::test]
async fn systemd_takes_the_units_without_a_warning() {
    let folder = Folder::new();
    let units = units(&folder);
    assert_eq!(analyze(&["verify"], &units).await, "");
    // Of 100; an own user, sockets and the network are what is left.
    let told = analyze(&["security", "--no-pager", "--offline=yes", "--threshold=20"], &units[..1]).await;
    assert!(told.contains("Overall exposure level for shop.service"), "{told}");
}

#[tokio::test]
async fn the_check_of_the_units_finds_what_is_wrong() {
    let folder = Folder::new();
    let [service, socket] = units(&folder);
    let wrong =
        std::fs::read_to_string(&service).unwrap().replace("KillSignal=SIGTERM", "KillSignal=SIGSTOPP");
    std::fs::write(&service, wrong).unwrap();
    let output = tool("systemd-analyze", ["verify", &service, &socket]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("SIGSTOPP"), "{told}");
}

#[test]
fn the_time_for_a_stop_is_less_than_that_of_systemd() {
    let service = file("systemd/shop.service", &[]);
    let stop: u64 = value(&service, "TimeoutStopSec").parse().unwrap();
    let given = |wanted: &str| {
        let found = variables(&service).into_iter().find(|(name, _)| *name == wanted);
        found.map(|(_, given)| given.parse::<u64>().unwrap())
    };
    let delay = given("ASPNETCORE_SHUTDOWNDELAYSECONDS").unwrap();
    let seconds = given("ASPNETCORE_SHUTDOWNTIMEOUTSECONDS").unwrap();
    assert!(stop > delay + seconds, "{stop} {delay} {seconds}");
    assert_eq!(value(&service, "KillSignal"), "SIGTERM");
}

#[tokio::test]
async fn the_service_is_ready_reloads_and_lives_as_the_unit_says() {
    let service = file("systemd/shop.service", &[]);
    assert_eq!(value(&service, "Type"), "notify");
    assert_eq!(value(&service, "ExecReload"), "/bin/kill -HUP $MAINPID");
    let watchdog: u64 = value(&service, "WatchdogSec").parse().unwrap();
    let folder = Folder::new();
    let path = folder.path().join("notify.sock");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let said = async || {
        let mut buffer = [0; 4096];
        let count = soon(socket.recv(&mut buffer)).await.unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    let address = format!("127.0.0.1:{}", free_port());
    let settings = file("nginx/appsettings.json", &[("127.0.0.1:5000", &address)]);
    let mut launch = Launch::of("reverse-proxy").file("appsettings.json", settings);
    for (name, value) in variables(&service) {
        launch = launch.env(name, value);
    }
    let microseconds = (watchdog * 1_000_000).to_string();
    let program = launch.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", microseconds).start().await;
    assert!(said().await.starts_with("READY=1\n"));
    // The first one comes at once.
    assert_eq!(said().await, "WATCHDOG=1\n");
    program.signal(Signal::HUP);
    assert!(said().await.starts_with("RELOADING=1\n"));
    assert!(said().await.starts_with("READY=1\n"));
    program.signal(Signal::TERM);
    assert!(said().await.starts_with("STOPPING=1\n"));
    assert_eq!(program.end().await.code, Some(0));
}

#[test]
fn the_socket_is_that_of_the_endpoint_in_the_settings() {
    let socket = file("systemd/shop.socket", &[]);
    let name = value(&socket, "FileDescriptorName");
    let address = value(&socket, "ListenStream");
    for proxy in ["nginx", "apache", "haproxy"] {
        let place = format!("{proxy}/appsettings.json");
        let settings = file(&place, &[]);
        let settings = hosting::Configuration::builder().json_text(&place, &settings).build().unwrap();
        let url = settings.get(&format!("Kestrel:Endpoints:{name}:Url"));
        assert_eq!(url, Some(format!("http://{address}").as_str()), "{proxy}");
    }
}

#[test]
fn every_line_of_the_units_is_explained() {
    for unit in ["systemd/shop.service", "systemd/shop.socket"] {
        let unit = file(unit, &[]);
        are_told_of(
            assignments(&unit).into_iter().map(|(name, _)| name).filter(|name| *name != "Description"),
        );
    }
}

/// The program as systemd starts it: with the first connection, which it gets with the socket.
fn activated(listen: &str, settings: &str) -> Program {
    let service = file("systemd/shop.service", &[]);
    let socket = file("systemd/shop.socket", &[]);
    let mut arguments =
        vec![format!("--listen={listen}"), format!("--fdname={}", value(&socket, "FileDescriptorName"))];
    // It passes on little of its own environment.
    for (name, value) in variables(&service) {
        arguments.push(format!("--setenv={name}={value}"));
    }
    arguments.push(binary("reverse-proxy").display().to_string());
    Launch::in_folder(Folder::new(), "systemd-socket-activate")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(arguments)
        .file("appsettings.json", settings)
        .spawn()
}

#[tokio::test]
async fn nobody_is_refused_while_the_program_starts_again() {
    // What systemd does with the socket of the unit: it stays open here, and every start gets it.
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let settings = file("nginx/appsettings.json", &[("127.0.0.1:5000", &address.to_string())]);
    let unit = file("systemd/shop.socket", &[]);
    let start = || {
        Launch::in_folder(Folder::new(), "/bin/sh")
            .args(["-c", r#"LISTEN_PID=$$ exec "$0" 3<&0 0</dev/null"#])
            .args([binary("reverse-proxy")])
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", value(&unit, "FileDescriptorName"))
            .input(OwnedFd::from(socket.try_clone().unwrap()))
            .file("appsettings.json", &settings)
            .start()
    };
    let first = start().await;
    assert_eq!(Client::tcp(address).await.exchange(&request("GET /plaintext", &[])).await.status, 200);
    assert_eq!(first.stop().await.code, Some(0));
    // Nobody takes this connection yet.
    let mut waiting = Client::tcp(address).await;
    waiting.send(request("GET /plaintext", &[])).await;
    let _second = start().await;
    assert_eq!(waiting.response().await.text(), "Hello, World!");
}

/// Connects to a socket that is soon there.
async fn connect(listen: &str) -> Client {
    let path = Path::new(listen);
    let connected = async {
        loop {
            // Its file is there a moment before it listens.
            if let Ok(stream) = UnixStream::connect(path).await {
                return Client::new(stream);
            }
            if let Ok(stream) = TcpStream::connect(listen).await {
                return Client::new(stream);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(connected).await
}

async fn serves_the_socket(listen: &str, settings: &str) {
    let mut program = activated(listen, settings);
    // Nothing runs before somebody comes, who waits until it does.
    let mut first = connect(listen).await;
    assert_eq!(first.exchange(&request("GET /healthz/ready", &[])).await.text(), "Healthy");
    program.line("Hosting environment: Production").await;
    let mut second = connect(listen).await;
    let forwarded = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"];
    let seen = who(&mut second, "/whoami", &forwarded).await;
    assert_eq!((&seen["remote"], &seen["scheme"]), (&"203.0.113.9".into(), &"https".into()), "{seen}");
    begin(&mut first).await;
    program.signal(Signal::TERM);
    program.line("Application is shutting down").await;
    finish(&mut first).await;
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[tokio::test]
async fn the_program_serves_the_socket_of_systemd() {
    let address = format!("127.0.0.1:{}", free_port());
    let settings = file("nginx/appsettings.json", &[("127.0.0.1:5000", &address)]);
    serves_the_socket(&address, &settings).await;
}

#[tokio::test]
async fn the_program_serves_the_unix_socket_of_systemd() {
    let folder = Folder::new();
    let path = folder.path().join("shop.sock").display().to_string();
    // What the socket unit offers in comments.
    let socket = file("systemd/shop.socket", &[]);
    assert!(socket.contains("\"Url\": \"http://unix:/run/shop/shop.sock\""));
    assert!(socket.contains("#ListenStream=/run/shop/shop.sock\n"));
    let settings = file("nginx/appsettings.json", &[("127.0.0.1:5000", &format!("unix:{path}"))]);
    serves_the_socket(&path, &settings).await;
}
