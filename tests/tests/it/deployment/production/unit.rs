//! The unit, as systemd and the kernel see it.

use super::{INSTALL, Machine, block, blocks};
use crate::deployment::systemd::{analyze, sandbox, value};
use crate::program::{Folder, Launch, binary, curl, tool};

pub(super) fn unit() -> String {
    blocks(INSTALL, "ini").remove(0)
}

/// The unit and what lies over it, with the program of the test.
fn written(folder: &Folder, unit: &str) -> [String; 1] {
    let program = binary("operations").display().to_string();
    for (number, text) in blocks("Access log and traces", "ini").iter().enumerate() {
        folder.write(&format!("operations.service.d/{number}.conf"), text);
    }
    folder.write(
        "operations.service.d/secrets.conf",
        "[Service]\nLoadCredential=secrets.json:/etc/operations/secrets.json\n",
    );
    let unit = unit.replace("/usr/local/bin/operations", &program).replace("=/etc/operations", "=/tmp");
    [folder.write("operations.service", unit).display().to_string()]
}

#[tokio::test]
async fn systemd_takes_the_unit_without_a_warning() {
    let folder = Folder::new();
    let units = written(&folder, &unit());
    assert_eq!(analyze(&["verify"], &units).await, "");
    // Of 100.
    let told = analyze(&["security", "--no-pager", "--offline=yes", "--threshold=25"], &units).await;
    assert!(told.contains("Overall exposure level for operations.service"), "{told}");
    // What the check is worth.
    let wrong = written(&folder, &unit().replace("RestrictNamespaces=yes", "RestrictNamespaces=maybe"));
    let output = tool("systemd-analyze", ["verify", &wrong[0]]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("maybe"), "{output:?}");
}

#[test]
fn the_time_for_a_stop_is_less_than_that_of_systemd() {
    let settings = block("Configuration", "json");
    let settings =
        hosting::Configuration::builder().json_text("appsettings.json", &settings).build().unwrap();
    let seconds = |key: &str| settings.get_parsed::<u64>(key).unwrap().unwrap();
    let needed = seconds("shutdownDelaySeconds") + seconds("shutdownTimeoutSeconds") + 10;
    assert!(value(&unit(), "TimeoutStopSec").parse::<u64>().unwrap() > needed, "{needed}");
    assert_eq!(value(&unit(), "Type"), "notify");
    assert_eq!(value(&unit(), "ExecReload"), "/bin/kill -HUP $MAINPID");
    // The folders that the settings name are those that systemd makes.
    for (directive, key) in [
        ("StateDirectory", "Kestrel:Endpoints:Public:Sessions:TicketKeyFile"),
        ("LogsDirectory", "AccessLog:LogDirectory"),
    ] {
        let place = if directive == "StateDirectory" { "/var/lib/" } else { "/var/log/" };
        let folder = format!("{place}{}", value(&unit(), directive));
        assert!(settings.get(key).unwrap().starts_with(&folder), "{key}");
    }
    assert_eq!(value(&unit(), "WorkingDirectory"), "/etc/operations");
}

#[tokio::test]
async fn the_program_does_nothing_that_the_unit_may_not() {
    let machine = Machine::new();
    let settings = block("Behind a proxy", "json");
    let trace = machine.path("trace");
    let collector = "http://127.0.0.1:1";
    let launch = Launch::in_folder(Folder::new(), "strace")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // So that sending traces and metrics is seen as well.
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .args(["-D", "-f", "-q", "-e", "signal=none", "-o"])
        .args([&trace, &binary("operations")])
        .file("orders.json", r#"[{ "id": 7, "item": "lamp", "count": 1 }]"#)
        .file(
            "appsettings.json",
            machine.here(&settings.replace("\"shutdownDelaySeconds\": 5", "\"shutdownDelaySeconds\": 0")),
        );
    let program = launch.start().await;
    for path in ["/orders/7", "/healthz/ready", "/metrics", "/_diagnostics", "/_diagnostics/data"] {
        assert_eq!(curl([&machine.private(path)]).await.status, 200, "{path}");
    }
    let process = program.id();
    assert_eq!(program.stop().await.code, Some(0));
    sandbox::is_allowed(&unit(), &trace, process).await;
}
