//! What the module says of itself, and how much of it: the section `Logging` of its file.

use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{End, Launch, binary, curl, curl_exit_code, free_port};
use crate::support::soon;

/// A module with the sample `hello`, which had one request and was asked to end.
async fn run(logging: &Value, variables: &[(&str, &str)]) -> End {
    let port = free_port();
    let settings = json!({ "Logging": logging, "Module": {
        "Endpoints": { "Web": { "Url": format!("http://127.0.0.1:{port}") } },
        "Applications": { "shop": {
            // What it prints, the module passes on; so it says nothing.
            "Path": "site", "Command": binary("hello"), "Arguments": ["--Logging:LogLevel:Default", "None"],
        } },
    }});
    let mut launch = Launch::of("server-module").file("module.json", settings.to_string()).file(
        "site/web.config",
        "<configuration><system.webServer><urlCompression doDynamicCompression=\"true\" />\
         <aspNetCore processPath=\"hello\" /></system.webServer></configuration>",
    );
    for (name, value) in variables {
        launch = launch.env(name, value);
    }
    let program = launch.args(["run", "--config", "module.json"]).spawn();
    let url = format!("http://127.0.0.1:{port}/");
    // It need not say that it listens.
    soon(async {
        while curl_exit_code(["--output", "/dev/null", &url]).await != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(curl([&url]).await.text(), "Hello, World!");
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    end
}

/// The lines with this text.
fn own<'a>(end: &'a End, text: &str) -> Vec<&'a String> {
    end.stdout.iter().filter(|line| line.contains(text)).collect()
}

#[tokio::test]
async fn without_the_section_starts_are_told_and_what_is_not_done() {
    let end = run(&json!({}), &[]).await;
    assert_eq!(own(&end, "Application started").len(), 1, "{end:?}");
    assert!(!own(&end, "urlCompression").is_empty(), "{end:?}");
    assert!(own(&end, " DEBUG ").is_empty(), "{end:?}");
}

#[tokio::test]
async fn levels_are_configured_by_target() {
    let end = run(&json!({ "LogLevel": { "Default": "None" } }), &[]).await;
    assert_eq!(own(&end, "server_module"), [""; 0], "{end:?}");
    assert_eq!(own(&end, "hosting::lifetime"), [""; 0], "{end:?}");

    let levels = json!({ "LogLevel": { "Default": "None", "server_module": "Debug" } });
    let end = run(&levels, &[]).await;
    assert!(!own(&end, "server_module").is_empty(), "{end:?}");
    assert_eq!(own(&end, "Application started"), [""; 0], "{end:?}");

    // Variables go before the file, and `RUST_LOG` before both.
    let end = run(&levels, &[("Logging__LogLevel__server_module", "None")]).await;
    assert_eq!(own(&end, "server_module"), [""; 0], "{end:?}");
    let end = run(&levels, &[("RUST_LOG", "hosting=info")]).await;
    assert_eq!(own(&end, "server_module"), [""; 0], "{end:?}");
    // The application hears that variable too.
    assert_eq!(own(&end, "Application started").len(), 2, "{end:?}");
}

#[tokio::test]
async fn what_is_wrong_with_it_is_told_with_its_place() {
    for (logging, told) in [
        (json!({ "LogLevel": { "Default": "Loud" } }), "Logging:LogLevel:Default = \"Loud\""),
        (json!({ "LogLevel": "Debug" }), "Logging:LogLevel = \"Debug\""),
        (json!({ "LogLevl": {} }), "Logging:LogLevl"),
        (json!("Debug"), "Logging = \"Debug\""),
    ] {
        let settings = json!({ "Logging": logging, "Module": { "Applications": { "shop": { "Command": binary("hello") } } } });
        let launch = Launch::of("server-module").file("module.json", settings.to_string());
        let error = launch.args(["check"]).fail().await;
        assert!(error.starts_with(told) && error.contains("module.json:1:"), "{error}");
    }
}
