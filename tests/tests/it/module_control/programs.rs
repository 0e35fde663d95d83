use super::*;

/// One program as it is run with these variables, and arguments before it.
fn launch(variables: &[(&str, &str)], arguments: &[&str]) -> Launch {
    let launch = Launch::of("server-module").args(["run"]).args(arguments).args([binary("hello")]);
    variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

#[tokio::test]
async fn variables_say_of_the_module_what_a_file_would() {
    for model in [&[][..], &["--in-process"]] {
        let url = format!("http://127.0.0.1:{}", free_port());
        let variables = [
            ("Module__ControlSocket", "control.sock"),
            ("Module__Endpoints__Web__Url", url.as_str()),
            ("Module__Limits__MaxRequestHeadersTotalSize", "1000"),
            ("Logging__LogLevel__server_module", "Debug"),
        ];
        let program = launch(&variables, model).start().await;
        assert_eq!(program.urls(), [url.as_str()], "{model:?}");
        assert_eq!(curl([&url]).await.text(), "Hello, World!");
        let long = format!("x-long: {}", "x".repeat(2000));
        assert_eq!(curl(["--header", &long, &url]).await.status, 431, "{model:?}");
        let asked = ["status", "--json", "--control", "control.sock"];
        let (code, shown, errors) = module(program.folder(), &asked).await;
        assert_eq!(code, Some(0), "{errors}");
        let status: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(status["applications"][0]["name"], "hello");
        assert_eq!(program.stop().await.code, Some(0));
    }
}

#[tokio::test]
async fn a_program_can_have_a_control_socket_by_the_command_line() {
    let program = launch(&[], &["--urls", "http://127.0.0.1:0", "--control", "control.sock"]).start().await;
    let (code, _, errors) = module(program.folder(), &["stop", "--control", "control.sock"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn variables_that_cannot_be_obeyed_are_refused() {
    let urls = &["--urls", "http://127.0.0.1:0"][..];
    for (variables, arguments, told) in [
        (&[("Module__Applications__hello__StartupTimeLimit", "5")][..], urls, "Module:Applications:hello"),
        (&[("Module__ControlSockt", "x")], urls, "did you mean ControlSocket?"),
        (&[("Module__Limits__MaxRequestLineSize", "0")], urls, "Module:Limits:MaxRequestLineSize"),
        (&[("Module__Endpoints__A__Url", "http://127.0.0.1:0")], urls, "give one of them"),
        (&[], &["--urls", "https://127.0.0.1:0"], "Module__Certificates__Default__Path"),
        (&[("Module__Endpoints__A__Url", "https://127.0.0.1:0")], &[], "Module__Certificates__Default__Path"),
    ] {
        let error = launch(variables, arguments).fail().await;
        assert!(error.contains(told) && !error.contains("Kestrel:"), "{error}");
    }
}

#[tokio::test]
async fn each_command_says_what_it_does() {
    let folder = Folder::new();
    for (command, part) in [
        ("run", "Module__ControlSocket"),
        ("check", "everything that is wrong"),
        ("status", "app_offline.htm"),
        ("recycle", "HostingModel"),
        ("stop", "politely"),
    ] {
        for arguments in [[command, "--help"], ["help", command]] {
            let (code, shown, errors) = module(&folder, &arguments).await;
            assert_eq!((code, errors.as_str()), (Some(0), ""));
            assert!(shown.starts_with(&format!("usage: server-module {command}")), "{shown}");
            assert!(shown.contains(part), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_is_in_use_is_named_where_it_was_given() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let settings = |url: &str| {
        json!({ "Module": {
            "Endpoints": { "Web": { "Url": url } },
            "ControlSocket": "control.sock",
            "Applications": { "shop": { "Command": binary("hello") } },
        }})
        .to_string()
    };
    for model in ["OutOfProcess", "InProcess"] {
        let settings =
            settings(&url).replace("{\"Command\"", &format!("{{\"HostingModel\":\"{model}\",\"Command\""));
        let launch = Launch::of("server-module").file("module.json", settings);
        let error = launch.args(["run"]).fail().await;
        assert!(
            error.contains("in Module:Endpoints:Web:Url") && !error.contains("Kestrel"),
            "{model}: {error}"
        );
        let in_process = (model == "InProcess").then_some("--in-process");
        let error = launch_at(&url, in_process.as_slice()).fail().await;
        assert!(error.contains(", in --urls") && !error.contains("Kestrel"), "{error}");
    }
    let launch = Launch::of("server-module").file("module.json", settings("http://127.0.0.1:0"));
    let first = launch.args(["run"]).start().await;
    let (code, _, errors) = module(first.folder(), &["run"]).await;
    assert_eq!(code, Some(1));
    for part in ["another module answers", "control.sock", "Module:ControlSocket", "stop --control"] {
        assert!(errors.contains(part), "{errors}");
    }
    assert_eq!(first.stop().await.code, Some(0));
}

fn launch_at(url: &str, arguments: &[&str]) -> Launch {
    launch(&[], &[&["--urls", url], arguments].concat())
}
