//! SIGHUP.

use tokio::net::TcpStream;

use super::*;
use crate::support::{Certificate, client_config, connect_tls};

/// Settings that nobody looks at by himself.
fn settings(endpoints: &str) -> String {
    format!(
        r#"{{ "hostBuilder": {{ "reloadConfigOnChange": false }}, "Kestrel": {{ "Endpoints": {{ {endpoints} }} }} }}"#
    )
}

async fn reloaded(supervisor: &Supervisor, program: &Program) -> String {
    let uptime = || std::fs::read_to_string("/proc/uptime").unwrap();
    let microseconds = |text: &str| (text.split('.').next().unwrap().parse::<u64>().unwrap()) * 1_000_000;
    let before = microseconds(&uptime());
    program.signal(Signal::HUP);
    let message = supervisor.next().await;
    assert_eq!((message[0].as_str(), message.len()), ("RELOADING=1", 3), "{message:?}");
    let since: u64 = message[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    // The same clock, unless the machine has slept.
    assert!(since >= before.saturating_sub(2_000_000) && since <= before + 60_000_000, "{since} {before}");
    assert_eq!(message[2], "STATUS=Reading the configuration again");
    let message = supervisor.next().await;
    assert_eq!((message[0].as_str(), message.len()), ("READY=1", 2), "{message:?}");
    message[1].clone()
}

#[tokio::test]
async fn the_configuration_is_in_force_when_the_supervisor_is_told() {
    let supervisor = Supervisor::new();
    let ports = [free_port(), free_port()];
    let endpoint =
        |number: usize| format!(r#""E{number}": {{ "Url": "http://127.0.0.1:{}" }}"#, ports[number]);
    let launch = Launch::of("hello").file("appsettings.json", settings(&endpoint(0)));
    let mut program = supervisor.watch(launch).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    program.folder().write("appsettings.json", settings(&format!("{}, {}", endpoint(0), endpoint(1))));
    assert!(TcpStream::connect(("127.0.0.1", ports[1])).await.is_err());
    let status = reloaded(&supervisor, &program).await;
    assert!(ports.iter().all(|port| status.contains(&format!("http://127.0.0.1:{port}"))), "{status}");
    // Without any further wait.
    let mut second = Client::new(TcpStream::connect(("127.0.0.1", ports[1])).await.unwrap());
    assert_eq!(second.get("/").await.status, 200);

    // What cannot be used is told, and everything goes on as it was.
    program.folder().write("appsettings.json", settings(r#""E0": { "Url": "nope" }"#));
    let status = reloaded(&supervisor, &program).await;
    assert!(status.contains(&ports[1].to_string()), "{status}");
    program.line("the endpoints go on as they were").await;
    program.folder().write("appsettings.json", "{ broken");
    reloaded(&supervisor, &program).await;
    program.line("the configuration is wanted anew (SIGHUP) and cannot be read").await;
    assert_eq!(second.get("/").await.status, 200);
    let end = program.stop().await;
    let read = end.stdout.iter().filter(|line| line.contains("was read again"));
    assert_eq!((end.code, read.count()), (Some(0), 1), "the first one only: {end:?}");
}

#[tokio::test]
async fn certificates_are_those_of_the_files() {
    let supervisor = Supervisor::new();
    let write = |folder: &Folder, certificate: &Certificate| {
        folder.write("site.pem", certificate.pem.clone() + &certificate.key_pem);
    };
    let [old, new] = [Certificate::new(), Certificate::new()];
    let port = free_port();
    let endpoint =
        format!(r#""A": {{ "Url": "https://127.0.0.1:{port}", "Certificate": {{ "Path": "site.pem" }} }}"#);
    let launch = Launch::of("hello")
        .file("appsettings.json", settings(&endpoint))
        .file("site.pem", old.pem.clone() + &old.key_pem);
    let program = supervisor.watch(launch).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    let trusts = async |certificate: &Certificate| {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        connect_tls(stream, client_config(certificate, &["http/1.1"])).await.is_ok()
    };
    // Until a look has just been taken, so that the next one by itself is two seconds away.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2100) {
        assert!(trusts(&old).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    write(program.folder(), &new);
    reloaded(&supervisor, &program).await;
    assert!(trusts(&new).await);
    assert!(!trusts(&old).await);
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_told_without_a_handshake_and_each_time() {
    let [one, other] = [Certificate::new(), Certificate::new()];
    let endpoint = r#""A": { "Url": "https://127.0.0.1:0", "Certificate": { "Path": "site.pem" } }"#;
    let launch = Launch::of("hello")
        .file("appsettings.json", settings(endpoint))
        .file("site.pem", one.pem.clone() + &one.key_pem);
    let mut program = launch.start().await;
    program.folder().write("site.pem", other.pem.clone() + &one.key_pem);
    for _ in 0..2 {
        program.signal(Signal::HUP);
        let line = program.line("has changed and cannot be used").await;
        assert!(
            line.contains("ERROR") && line.contains("the private key is not that of the certificate"),
            "{line}"
        );
        assert!(line.contains("site.pem"), "{line}");
    }
    program.folder().write("site.pem", other.pem.clone() + &other.key_pem);
    program.signal(Signal::HUP);
    program.line("a certificate has changed, and is used from now on").await;
}

#[tokio::test]
async fn a_signal_does_not_end_a_program_without_a_supervisor() {
    let mut program = Launch::hello().start().await;
    for _ in 0..2 {
        program.signal(Signal::HUP);
        program.line("is wanted anew (SIGHUP) and was read again").await;
    }
    assert_eq!(Client::tcp(program.address()).await.get("/").await.status, 200);
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_program_whose_terminal_is_gone_stops() {
    let port = free_port();
    let hello = crate::program::binary("hello").display().to_string();
    let command = format!("exec {hello} --urls http://127.0.0.1:{port}");
    // The tool makes a terminal and runs the program in it.
    let mut terminal = Launch::in_folder(Folder::new(), "script")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SHELL", "/bin/sh")
        .args(["-qfc", &command, "/dev/null"])
        .spawn();
    terminal.line("Hosting environment").await;
    let mut client = Client::tcp(([127, 0, 0, 1], port).into()).await;
    assert_eq!(client.get("/").await.status, 200);
    terminal.signal(Signal::KILL);
    client.closed().await;
    soon(async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
