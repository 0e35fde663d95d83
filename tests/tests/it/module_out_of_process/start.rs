use super::*;

#[tokio::test]
async fn concurrent_first_requests_start_one_process() {
    let module = Module::start(odd("plain")).await;
    assert_eq!(processes("odd-app").iter().filter(|pid| is_below(**pid, &module)).count(), 0);
    let pids = futures_util::future::join_all((0..20).map(|_| module.pid("/"))).await;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

#[tokio::test]
async fn an_application_that_understands_it_is_reached_through_a_unix_socket() {
    let module = Module::start(json!({ "Command": binary("features") })).await;
    let answer = curl([&module.url("/connection")]).await;
    assert_eq!(answer.status, 200);
    let remote = answer.text();
    assert!(remote.contains("127.0.0.1:"), "the client, from the module's field: {remote}");
    let pid = module.worker("features");
    assert_eq!(connections_through_socket(pid), 1, "one, which is kept");
    signal(pid, Signal::KILL);
    until(|| !is_there(pid)).await;
    assert_eq!(module.get("/connection").await.status, 200, "another process has another socket");

    // One that does not is reached through its port.
    let module = Module::start(odd("plain")).await;
    assert_eq!(connections_through_socket(module.pid("/").await), 0);
}

#[tokio::test]
async fn several_processes_take_turns() {
    let mut application = odd("plain");
    application["ProcessesPerApplication"] = 3.into();
    let module = Module::start(application).await;
    let mut pids = Vec::new();
    for _ in 0..6 {
        pids.push(module.pid("/").await);
    }
    assert_eq!(pids[..3], pids[3..]);
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2], "{pids:?}");
}

#[tokio::test]
async fn one_that_ends_at_once_is_tried_twice_and_answered_with_a_page() {
    let mut module = Module::start(odd("exits")).await;
    let answer = module.get("/").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("502.5"), "{}", answer.text());
    // What has happened is for developers only.
    assert!(!answer.text().contains("exit code"), "{}", answer.text());
    let line = module.program.line("attempt=1").await;
    assert!(line.contains("exit code 3"), "{line}");
    module.program.line("attempt=2").await;
    let line = module.program.line("the application could not be started").await;
    assert!(line.contains("ERROR") && line.contains("shop"), "{line}");
    // What it has printed says more than anybody else can.
    assert!(line.contains("odd-app exits was started"), "{line}");
}

#[tokio::test]
async fn what_it_prints_goes_to_a_file_where_that_is_wanted() {
    let mut application = odd("plain");
    application["StdoutLogEnabled"] = true.into();
    application["StdoutLogFile"] = r".\logs\stdout".into();
    let module = Module::start(application).await;
    let pid = module.pid("/").await;
    let logs = module.program.folder().path().join("logs");
    let files: Vec<_> = std::fs::read_dir(logs).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].display().to_string().ends_with(&format!("_{pid}.log")), "{files:?}");
    let file = files[0].clone();
    soon(until(|| std::fs::read_to_string(&file).unwrap().contains("odd-app plain was started"))).await;
}

#[tokio::test]
async fn developers_are_told_why() {
    let mut application = odd("exits");
    application["EnvironmentVariables"] = json!({ "ASPNETCORE_ENVIRONMENT": "Development" });
    let module = Module::start(application).await;
    let text = module.get("/").await.text().to_owned();
    assert!(text.contains("it has ended before it listened") || text.contains("exit code 3"), "{text}");
}

#[tokio::test]
async fn the_page_can_be_left_out() {
    let mut application = odd("exits");
    application["DisableStartUpErrorPage"] = true.into();
    let module = Module::start(application).await;
    let answer = module.get("/").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("502.3"), "{}", answer.text());
}

#[tokio::test]
async fn one_that_does_not_listen_on_its_port_is_given_up_and_ended() {
    for oddity in ["silent", "elsewhere"] {
        let mut application = odd(oddity);
        application["StartupTimeLimit"] = 1.into();
        let mut module = Module::start(application).await;
        let answer = module.get("/").await;
        assert_eq!(answer.status, 502, "{oddity}");
        let line = module.program.line("attempt=2").await;
        assert!(line.contains("startupTimeLimit"), "{line}");
        let left: Vec<_> = processes(&format!("odd-app {oddity}"))
            .into_iter()
            .filter(|pid| is_below(*pid, &module))
            .collect();
        assert!(left.is_empty(), "{oddity}: {left:?}");
    }
}

#[tokio::test]
async fn a_stranger_on_the_port_is_not_believed() {
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The port must be one that an application may have.
    let port = stranger.local_addr().unwrap().port();
    if !(1025..=48_000).contains(&port) {
        return;
    }
    let mut application = odd("silent");
    application["EnvironmentVariables"] = json!({ "ASPNETCORE_PORT": port.to_string() });
    let mut module = Module::start(application).await;
    assert_eq!(module.get("/").await.status, 502);
    let line = module.program.line("attempt=2").await;
    assert!(line.contains(&format!("the port {port}")) && line.contains("not its own"), "{line}");
}

#[tokio::test]
async fn a_port_that_no_application_may_have_is_not_tried_again() {
    let mut application = odd("plain");
    application["EnvironmentVariables"] = json!({ "ASPNETCORE_PORT": "80" });
    let mut module = Module::start(application).await;
    assert_eq!(module.get("/").await.status, 502);
    let line = module.program.line("attempt=1").await;
    assert!(line.contains("ASPNETCORE_PORT") && line.contains("1025 to 48000"), "{line}");
    module.program.line("the application could not be started").await;
    assert!(!module.program.seen().iter().any(|line| line.contains("attempt=2")));
}

#[tokio::test]
async fn one_that_fails_too_often_is_left_alone_for_a_while() {
    let mut application = odd("exits");
    application["RapidFailsPerMinute"] = 1.into();
    let mut module = Module::start(application).await;
    for _ in 0..4 {
        assert_eq!(module.get("/").await.status, 502);
    }
    // Nothing is hidden from whoever has to act: it is a warning, once, with the way out.
    let line = module.program.line("is disabled").await;
    assert!(line.contains(" WARN ") && line.contains("server-module recycle shop"), "{line}");
    let end = module.program.stop().await;
    let count = |text: &str| end.stdout.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("the application could not be started"), 2, "{end:?}");
    assert_eq!(count("is disabled"), 1, "{end:?}");
    assert_eq!(count("attempt="), 4, "two starts of two attempts: {end:?}");
}
