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
    for part in ["out-of-process", "shop.example", "/shop", "hello"] {
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
