use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::support::soon;

/// A module with one application and a socket of commands.
async fn start() -> (Program, u16) {
    let port = free_port();
    let settings = json!({ "Module": {
        "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
        "ControlSocket": "control.sock",
        "Applications": { "shop": { "Command": binary("hello") } },
    }});
    let launch = Launch::of("server-module").file("module.json", settings.to_string());
    (launch.args(["run", "--config", "module.json"]).start().await, port)
}

async fn status(program: &Program) -> Value {
    let (code, shown, errors) = module(program.folder(), &["status", "--json"]).await;
    assert_eq!(code, Some(0), "{errors}");
    serde_json::from_str(&shown).unwrap()
}

#[tokio::test]
async fn the_state_of_applications_is_told() {
    let (program, port) = start().await;
    let idle = status(&program).await;
    let shop = &idle["applications"][0];
    assert_eq!((&shop["state"], &shop["starts"]), (&"idle".into(), &0.into()), "{idle}");
    assert_eq!(curl([&format!("http://127.0.0.1:{port}/")]).await.text(), "Hello, World!");
    let running = status(&program).await;
    let shop = &running["applications"][0];
    assert_eq!(
        (&shop["state"], &shop["starts"], &shop["failures"]),
        (&"running".into(), &1.into(), &0.into())
    );
    let worker = &shop["workers"][0];
    assert!(worker["memoryBytes"].as_u64().unwrap() > 100_000 && worker["requests"] == 1, "{running}");
    let (_, table, _) = module(program.folder(), &["status"]).await;
    let row = table.lines().find(|line| line.starts_with("shop")).unwrap();
    assert!(row.contains("running") && row.contains(&worker["pid"].to_string()), "{table}");
}

#[tokio::test]
async fn a_recycle_puts_new_processes_in_their_place() {
    let (program, port) = start().await;
    let url = format!("http://127.0.0.1:{port}/");
    curl([&url]).await;
    let before = status(&program).await["applications"][0]["workers"][0]["pid"].clone();
    let (code, shown, errors) = module(program.folder(), &["recycle", "shop"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let after = status(&program).await;
    let shop = &after["applications"][0];
    assert_eq!(shown, format!("shop has new processes: {}\n", shop["workers"][0]["pid"]));
    assert_ne!(shop["workers"][0]["pid"], before);
    assert_eq!((&shop["lastExit"], &shop["starts"]), (&"exit code 0, recycled".into(), &2.into()), "{after}");
    assert_eq!(curl([&url]).await.text(), "Hello, World!");
    let (code, _, errors) = module(program.folder(), &["recycle", "shup"]).await;
    assert!(
        code == Some(1) && errors.contains("there is no application \"shup\"; there is shop"),
        "{errors}"
    );
}

#[tokio::test]
async fn the_module_is_ended_by_a_command() {
    let (program, port) = start().await;
    curl([&format!("http://127.0.0.1:{port}/")]).await;
    let folder = Folder::new();
    let socket = program.folder().path().join("control.sock");
    let control = socket.display().to_string();
    let (code, shown, errors) = module(&folder, &["stop", "--control", &control]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(shown.contains("has ended"), "{shown}");
    assert_eq!(program.end().await.code, Some(0));
    assert!(!socket.exists());
    let (code, _, errors) = module(&folder, &["status", "--control", &control]).await;
    assert!(code == Some(3) && errors.contains(&control), "{errors}");
}

#[tokio::test]
async fn the_socket_is_its_owners_and_takes_no_nonsense() {
    let (program, _port) = start().await;
    let socket = program.folder().path().join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let socket = socket.display().to_string();
    let ask = async |arguments: &[&str]| {
        output_of("curl", [&["-sS", "--unix-socket", &socket], arguments].concat()).await
    };
    assert!(ask(&["http://module/status"]).await.contains("\"applications\""));
    for arguments in [
        &["http://module/"][..],
        &["-X", "GET", "http://module/stop"],
        &["-X", "POST", "http://module/applications/shop/paint"],
        &["-X", "POST", "http://module/applications//recycle"],
    ] {
        assert!(ask(arguments).await.contains("\"error\""), "{arguments:?}");
    }
    assert_eq!(status(&program).await["applications"][0]["state"], "idle");
}

#[tokio::test]
async fn an_answer_counts_when_the_connection_ends_with_it() {
    let folder = Folder::new();
    for _ in 0..20 {
        let path = folder.path().join("control.sock");
        let socket = tokio::net::UnixListener::bind(&path).unwrap();
        let told = async {
            let (mut asking, _) = socket.accept().await.unwrap();
            assert_ne!(asking.read(&mut [0; 1024]).await.unwrap(), 0);
            let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 18\r\nconnection: close\r\n\r\n{\"stopping\": true}";
            asking.write_all(answer.as_bytes()).await.unwrap();
            drop(asking);
            // The module has ended as well.
            std::fs::remove_file(&path).unwrap();
        };
        let arguments = ["stop", "--control", "control.sock"];
        let ((code, _, errors), ()) = tokio::join!(module(&folder, &arguments), soon(told));
        assert_eq!((code, errors.as_str()), (Some(0), ""));
    }
}

#[tokio::test]
async fn a_mistake_of_one_application_is_none_of_the_others() {
    let port = free_port();
    let applications = |other: Value| {
        json!({ "Module": {
            "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
            "ControlSocket": "control.sock",
            "Applications": { "shop": { "Command": binary("hello") }, "other": other },
        }})
    };
    let right = applications(json!({ "Command": binary("hello"), "PathPrefix": "/other" }));
    let launch = Launch::of("server-module").file("module.json", right.to_string());
    let program = launch.args(["run", "--config", "module.json"]).start().await;
    let url = format!("http://127.0.0.1:{port}/");
    curl([&url]).await;
    let before = status(&program).await["applications"][1]["workers"][0]["pid"].clone();
    let wrong = applications(json!({ "Command": "./absent", "PathPrefix": "other", "Colour": "red" }));
    program.folder().write("module.json", wrong.to_string());
    let (code, _, errors) = module(program.folder(), &["recycle", "shop"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let after = status(&program).await["applications"][1]["workers"][0]["pid"].clone();
    assert!(after.is_number() && after != before, "{after}");
    let (code, _, errors) = module(program.folder(), &["recycle", "other"]).await;
    let parts = ["other:Colour", "other:PathPrefix", "./absent"];
    assert!(code == Some(1) && parts.iter().all(|part| errors.contains(part)), "{errors}");
    // A start is another thing: nothing runs yet that could suffer.
    let (code, _, errors) = module(program.folder(), &["run"]).await;
    assert!(code == Some(1) && errors.contains("other:Colour"), "{errors}");
    let (code, _, errors) = module(program.folder(), &["stop"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn a_recycle_without_processes_does_not_say_that_there_are_any() {
    let (program, _port) = start().await;
    let (code, shown, errors) = module(program.folder(), &["recycle", "shop"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(shown.starts_with("shop had no process"), "{shown}");
    assert_eq!(status(&program).await["applications"][0]["starts"], 0);
}

#[tokio::test]
async fn a_recycle_that_takes_long_says_what_it_waits_for() {
    let (program, port) = start().await;
    curl([&format!("http://127.0.0.1:{port}/")]).await;
    let settings = std::fs::read_to_string(program.folder().path().join("module.json")).unwrap();
    let mut settings: Value = serde_json::from_str(&settings).unwrap();
    let slow = format!("sleep 1.5; exec {}", binary("hello").display());
    settings["Module"]["Applications"]["shop"] = json!({ "Command": "/bin/sh", "Arguments": ["-c", slow] });
    program.folder().write("module.json", settings.to_string());
    let (code, shown, errors) = module(program.folder(), &["recycle", "shop"]).await;
    assert!(code == Some(0) && shown.contains("new processes"), "{errors}");
    assert!(errors.contains("new processes of shop are ready") && errors.contains("120 s"), "{errors}");
}

#[tokio::test]
async fn what_only_a_restart_changes_is_told() {
    let (mut program, _port) = start().await;
    let file = program.folder().path().join("module.json");
    let mut settings: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    settings["Module"]["Applications"]["shop"]["Hosts"] = json!(["shop.example"]);
    settings["Module"]["Applications"]["shop"]["PathPrefix"] = json!("/shop");
    program.folder().write("module.json", settings.to_string());
    let (code, _, errors) = module(program.folder(), &["recycle", "shop"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let line = program.line("restart of the module").await;
    assert!(line.contains(" WARN ") && line.contains("Hosts, PathPrefix"), "{line}");
}

/// The states of the processes of the only application, by their number.
async fn states(program: &Program) -> Vec<(i64, String)> {
    let status = status(program).await;
    let workers = status["applications"][0]["workers"].as_array().unwrap().iter();
    let state = |worker: &Value| worker["state"].as_str().unwrap().to_owned();
    workers.map(|worker| (worker["pid"].as_i64().unwrap(), state(worker))).collect()
}

/// Waits until the processes are in these states.
async fn in_states(program: &Program, expected: &[&str]) -> Vec<i64> {
    soon(async {
        loop {
            let found = states(program).await;
            if found.iter().map(|(_, state)| state.as_str()).eq(expected.iter().copied()) {
                return found.into_iter().map(|(pid, _)| pid).collect();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Waits until a process ends; the states at that moment.
async fn one_stopping(program: &Program) -> Vec<(i64, String)> {
    loop {
        let found = states(program).await;
        if found.iter().any(|(_, state)| state == "stopping") {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_process_has_a_state() {
    for model in ["OutOfProcess", "InProcess"] {
        let port = free_port();
        let slow = format!("sleep 1; exec {}", binary("features").display());
        let settings = json!({ "Module": {
            "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
            "ControlSocket": "control.sock",
            "Applications": {
                "shop": { "Command": "/bin/sh", "Arguments": ["-c", slow], "HostingModel": model },
            },
        }});
        let launch = Launch::of("server-module").file("module.json", settings.to_string());
        let program = launch.args(["run", "--config", "module.json"]).start().await;
        let url = format!("http://127.0.0.1:{port}/delay/2500");
        let slow = tokio::spawn(async move { curl([&url]).await.status });
        let first = in_states(&program, &["starting"]).await[0];
        let (_, table, _) = module(program.folder(), &["status"]).await;
        let row = table.lines().find(|line| line.starts_with("shop")).unwrap();
        assert!(row.contains(&format!("{first}  starting")), "{table}");
        assert_eq!(in_states(&program, &["running"]).await, [first]);
        // It has the request, and finishes it.
        let folder = Folder::new();
        let control = program.folder().path().join("control.sock").display().to_string();
        let recycle = async { module(&folder, &["recycle", "shop", "--control", &control]).await };
        let ((code, shown, errors), mut found) = tokio::join!(recycle, soon(one_stopping(&program)));
        assert_eq!(code, Some(0), "{errors}");
        found.sort_by_key(|(pid, _)| *pid != first);
        assert_eq!((found[0].0, found[0].1.as_str()), (first, "stopping"), "{model}");
        assert_eq!(found[1].1, "running", "{model}");
        assert_eq!(shown, format!("shop has new processes: {}\n", found[1].0));
        assert_eq!(slow.await.unwrap(), 200);
        assert_eq!(in_states(&program, &["running"]).await, [found[1].0]);
    }
}
