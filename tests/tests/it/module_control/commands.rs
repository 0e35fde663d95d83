use super::*;

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
    assert!(shown.contains("shop"), "{shown}");
    let after = status(&program).await;
    let shop = &after["applications"][0];
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
