use super::*;

#[tokio::test]
async fn good_settings_are_shown() {
    let folder = Folder::new();
    let settings = json!({ "Module": {
        "Endpoints": { "Web": { "Url": "http://127.0.0.1:0" } },
        "Applications": {
            "shop": { "Command": binary("hello"), "Hosts": ["shop.example"], "PathPrefix": "/shop" },
            "rest": { "Command": binary("hello") },
        },
    }});
    folder.write("module.json", settings.to_string());
    let (code, shown, errors) = module(&folder, &["check"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{shown}");
    let row = shown.lines().find(|line| line.starts_with("shop")).unwrap();
    for part in ["outOfProcess", "shop.example", "/shop", "hello"] {
        assert!(row.contains(part), "{row}");
    }
}

#[tokio::test]
async fn every_fault_has_a_line_with_its_place() {
    let folder = Folder::new();
    folder.write(
        "web.config",
        "<configuration><system.webServer>\n<aspNetCore processPath=\"app\" shutdownTimeLimit=\"900\"\n  \
         rapidFailsPerMinute=\"many\" /></system.webServer></configuration>",
    );
    let settings = json!({ "Module": { "Applications": {
        "shop": { "Path": ".", "PathPrefix": "shop", "Colour": "red" },
    }}});
    folder.write("module.json", settings.to_string());
    let (code, shown, errors) = module(&folder, &["check", "--config", "module.json"]).await;
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    for parts in [
        &["web.config:2:", "shutdownTimeLimit", "900", "600"][..],
        &["web.config:3:", "rapidFailsPerMinute", "many", "100"],
        &["Module:Applications:shop:PathPrefix", "module.json"],
        &["Module:Applications:shop:Colour", "module.json"],
    ] {
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert_eq!(errors.lines().filter(has_all).count(), 1, "{parts:?}: {errors}");
    }
    // Nothing is started with them.
    let (code, _, errors_of_run) = module(&folder, &["run", "--config", "module.json"]).await;
    assert_eq!((code, errors_of_run), (Some(1), errors));
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let folder = Folder::new();
    tool("mkfifo", [folder.path().join("web.config")]).await;
    folder.write(
        "module.json",
        json!({ "Module": { "Applications": { "shop": { "Path": "." } } } }).to_string(),
    );
    for command in ["check", "run"] {
        let (code, _, errors) = module(&folder, &[command, "--config", "module.json"]).await;
        assert!(code == Some(1) && errors.contains("web.config: it is no file"), "{errors}");
    }
}

#[tokio::test]
async fn wrong_lines_have_an_exit_code_of_their_own() {
    let folder = Folder::new();
    let (code, shown, _) = module(&folder, &["--help"]).await;
    assert!(code == Some(0) && shown.contains("usage: server-module run"), "{shown}");
    for arguments in [&["walk"][..], &[], &["status", "--jason"], &["recycle"]] {
        let (code, shown, errors) = module(&folder, arguments).await;
        assert_eq!((code, shown.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(errors.starts_with("server-module: ") && errors.contains("--help"), "{errors}");
    }
    let (code, _, errors) = module(&folder, &["check"]).await;
    assert!(code == Some(1) && errors.contains("module.json") && errors.contains("--config"), "{errors}");
    let (code, _, errors) = module(&folder, &["run", "./no-such-program"]).await;
    assert!(code == Some(1) && errors.contains("no-such-program"), "{errors}");
}

/// What 'check' says of a section, with an application where there is none: exit code, output, errors.
async fn check(folder: &Folder, section: Value) -> (Option<i32>, String, String) {
    let mut section = section;
    if section.get("Applications").is_none() {
        section["Applications"] = json!({ "shop": { "Command": binary("hello") } });
    }
    folder.write("module.json", json!({ "Module": section }).to_string());
    module(folder, &["check"]).await
}

async fn check_application(folder: &Folder, keys: Value) -> (Option<i32>, String, String) {
    let mut application = json!({ "Command": binary("hello") });
    for (key, value) in keys.as_object().unwrap() {
        application[key] = value.clone();
    }
    check(folder, json!({ "Applications": { "shop": application } })).await
}

#[tokio::test]
async fn what_the_system_lacks_is_found_before_a_start() {
    let folder = Folder::new();
    folder.write("plain", "");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let endpoint = |url: &str| json!({ "Web": { "Url": url } });
    for (section, parts) in [
        (json!({ "ControlSocket": "plain" }), [":ControlSocket = \"plain\"", "a file and no socket"]),
        (json!({ "ControlSocket": "." }), [":ControlSocket", "is a folder"]),
        (json!({ "ControlSocket": "absent/control.sock" }), [":ControlSocket", "absent is not there"]),
        (
            json!({ "Certificates": { "Default": { "Path": "site.pem", "KeyPath": "plain" } }, "Endpoints": endpoint("https://*:5443") }),
            [":Certificates:Default:Path = \"site.pem\"", "No such file"],
        ),
        (
            json!({ "Endpoints": { "A": { "Url": "http://*:5070" }, "B": { "Url": "http://localhost:5070" } } }),
            [":Endpoints:B:Url", "the endpoint A (http://*:5070) is at the same address"],
        ),
        (
            json!({ "Endpoints": { "A": { "Url": "http://127.0.0.1:5070" }, "B": { "Url": "https://0.0.0.0:5070" } } }),
            [":Endpoints:B:Url", "is at the same address"],
        ),
        (json!({ "Applications": [ { "Command": "x" } ] }), ["Module:Applications (", "it is a list"]),
    ] {
        let (code, _, errors) = check(&folder, section.clone()).await;
        assert_eq!(code, Some(1), "{section}");
        let has_all =
            |line: &&str| parts.iter().all(|part| line.contains(part)) && line.contains("module.json:1:");
        assert_eq!(errors.lines().filter(has_all).count(), 1, "{section}: {errors}");
        // A start finds the same.
        let (code, _, errors_of_run) = module(&folder, &["run"]).await;
        assert_eq!((code, errors_of_run), (Some(1), errors));
    }
    for (keys, parts) in [
        (json!({ "User": "nobody-at-all" }), ["shop:User = \"nobody-at-all\"", "not known"]),
        (json!({ "Group": "nobody-at-all" }), ["shop:Group", "not known"]),
        (
            json!({ "StdoutLogEnabled": true, "StdoutLogFile": "plain/logs/out" }),
            ["shop:StdoutLogFile", &format!("{} is no folder", path("plain"))],
        ),
        (json!({ "StartupTimeLimit": 0 }), ["shop:StartupTimeLimit", "below 00:00:01"]),
        (json!({ "RequestTimeout": "400:00:00" }), ["shop:RequestTimeout", "360:00:00"]),
        (json!({ "EnvironmentVariables": ["A=B"] }), ["shop:EnvironmentVariables", "it is a list"]),
    ] {
        let (code, _, errors) = check_application(&folder, keys.clone()).await;
        assert!(code == Some(1) && parts.iter().all(|part| errors.contains(part)), "{keys}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    // Addresses that can stand side by side.
    for (a, b) in [
        ("http://127.0.0.1:5070", "http://[::1]:5070"),
        ("http://*:0", "http://*:0"),
        ("http://*:1", "http://*:2"),
    ] {
        let (code, _, errors) =
            check(&folder, json!({ "Endpoints": { "A": { "Url": a }, "B": { "Url": b } } })).await;
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{a} {b}");
    }
}

#[tokio::test]
async fn what_has_no_effect_is_told() {
    let folder = Folder::new();
    for (keys, parts) in [
        (json!({ "Arguments": "--name \"my shop" }), ["shop:Arguments", "a quote is opened and not closed"]),
        (json!({ "Arguments": "%NOPE% 100% of%" }), ["shop:Arguments", "no variable NOPE"]),
        (
            json!({ "EnvironmentVariables": { "A": "%NOPE%" } }),
            ["EnvironmentVariables:A", "no variable NOPE"],
        ),
        (json!({ "HostingModel": "InProcess", "RequestTimeout": 60 }), ["shop:RequestTimeout", "in process"]),
        (
            json!({ "HostingModel": "InProcess", "HandlerSettings": { "ForwardResponseConnectionHeader": true } }),
            ["HandlerSettings:ForwardResponseConnectionHeader", "in process"],
        ),
        (
            json!({ "HostingModel": "InProcess", "HandlerSettings": { "EnableOutOfProcessConsoleRedirection": false } }),
            ["HandlerSettings:EnableOutOfProcessConsoleRedirection", "in process"],
        ),
    ] {
        let (code, shown, errors) = check_application(&folder, keys.clone()).await;
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{keys}");
        let notes: Vec<_> = shown.lines().filter(|line| line.starts_with("note: ")).collect();
        assert!(notes.len() == 1 && parts.iter().all(|part| notes[0].contains(part)), "{keys}: {shown}");
    }
    let (code, shown, _) =
        check(&folder, json!({ "ControlSocket": "/run/absent-for-tests/control.sock" })).await;
    assert!(code == Some(0) && shown.contains("RuntimeDirectory="), "{shown}");
}

#[tokio::test]
async fn a_file_that_is_no_xml_is_told_where_it_breaks() {
    let folder = Folder::new();
    for (text, told) in [
        (
            "<configuration>\n<system.webServer>\n</system.webServer>\n",
            "web.config:4:1: the file is no XML: it ends before",
        ),
        (
            "<configuration>\n<system.webServer><aspNetCore processPath=\"a\" processPath=\"b\" /></system.webServer></configuration>",
            "is already defined",
        ),
    ] {
        folder.write("web.config", text);
        let (code, _, errors) = check(&folder, json!({ "Applications": { "shop": { "Path": "." } } })).await;
        assert!(code == Some(1) && errors.contains(told), "{errors}");
    }
}
