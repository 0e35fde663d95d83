//! The module under a supervisor: its unit for systemd, and SIGHUP.

use rustix::process::Signal;

use super::*;
use crate::program::workspace;

/// The unit, with the program of the tests in the place of the one that is installed.
fn unit() -> String {
    let unit =
        std::fs::read_to_string(workspace().join("server-module/systemd/server-module.service")).unwrap();
    let installed = "ExecStart=/usr/local/bin/server-module ";
    assert!(unit.contains(installed));
    unit.replace(installed, &format!("ExecStart={} ", binary("server-module").display()))
}

async fn verify(unit: String) -> (bool, String) {
    let folder = Folder::new();
    let file = folder.write("server-module.service", unit).display().to_string();
    let output = tool("systemd-analyze", ["verify", &file]).await;
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn systemd_takes_the_unit_without_a_warning() {
    let (is_good, told) = verify(unit()).await;
    assert!(is_good && told.is_empty(), "{told}");
    let (_, told) = verify(unit().replace("KillMode=mixed", "KillMode=mixt")).await;
    assert!(told.contains("mixt"), "{told}");
    // What only running it would show.
    for line in ["Type=notify", "KillMode=mixed", "RuntimeDirectory=server-module", "Delegate=yes"] {
        assert!(unit().lines().any(|other| other == line), "{line}");
    }
}

#[tokio::test]
async fn a_supervisor_is_told_when_the_module_listens_and_when_it_stops() {
    let folder = Folder::new();
    let socket = tokio::net::UnixDatagram::bind(folder.path().join("notify.sock")).unwrap();
    let launch = Launch::of("server-module").env("NOTIFY_SOCKET", folder.path().join("notify.sock"));
    let program = launch.args(["run", "--urls", "http://127.0.0.1:0"]).args([binary("hello")]).start().await;
    let told = async || {
        let mut told = [0; 1024];
        let length = crate::support::soon(socket.recv(&mut told)).await.unwrap();
        String::from_utf8_lossy(&told[..length]).into_owned()
    };
    assert!(told().await.contains("READY=1"));
    // Its worker does not speak to the module's own supervisor.
    curl([&program.url("/")]).await;
    program.signal(Signal::TERM);
    assert!(told().await.contains("STOPPING=1"));
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn sighup_has_every_application_get_new_processes() {
    for model in ["OutOfProcess", "InProcess"] {
        let port = free_port();
        let settings = |variable: &str| {
            json!({ "Module": {
                "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
                "ControlSocket": "control.sock",
                "Applications": { "shop": {
                    "Command": binary("hello"), "HostingModel": model, "EnvironmentVariables": { "A": variable },
                } },
            }})
            .to_string()
        };
        let launch = Launch::of("server-module").file("module.json", settings("1"));
        let program = launch.args(["run"]).start().await;
        let url = format!("http://127.0.0.1:{port}/");
        curl([&url]).await;
        let worker = async || {
            let (code, shown, errors) = module(program.folder(), &["status", "--json"]).await;
            assert_eq!(code, Some(0), "{errors}");
            let status: Value = serde_json::from_str(&shown).unwrap();
            status["applications"][0]["workers"][0]["pid"].as_i64()
        };
        let before = worker().await.unwrap();
        program.folder().write("module.json", settings("2"));
        program.signal(Signal::HUP);
        let after = crate::support::soon(async {
            loop {
                match worker().await {
                    Some(pid) if pid != before => break pid,
                    _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            }
        })
        .await;
        let environment = std::fs::read(format!("/proc/{after}/environ")).unwrap();
        assert!(environment.split(|byte| *byte == 0).any(|variable| variable == b"A=2"), "{model}");
        assert_eq!(curl([&url]).await.text(), "Hello, World!");
        assert_eq!(program.stop().await.code, Some(0));
    }
}
