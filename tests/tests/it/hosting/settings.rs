//! Where a program reads its options, and for which environment.

use crate::program::{Answer, Launch, Program, curl, curl_exit_code};
use crate::support::Client;

fn environment(program: &Program) -> String {
    let line = program.seen().last().expect("lines");
    line.split_once("Hosting environment: ").expect("the last line names it").1.to_owned()
}

#[tokio::test]
async fn the_environment_is_chosen_by_variables_and_the_command_line() {
    assert_eq!(environment(&Launch::hello().start().await), "Production");
    let launch = || Launch::hello().env("ASPNETCORE_ENVIRONMENT", "Staging");
    assert_eq!(environment(&launch().start().await), "Staging");
    let launch = || launch().env("DOTNET_ENVIRONMENT", "Testing");
    assert_eq!(environment(&launch().start().await), "Testing");
    let launch = || launch().args(["--environment", "Own"]);
    assert_eq!(environment(&launch().start().await), "Own");
    // A file cannot say for which environment it is.
    let launch = Launch::hello().file("appsettings.json", r#"{ "environment": "Development" }"#);
    assert_eq!(environment(&launch.start().await), "Production");
}

async fn ask(program: &Program) -> Answer {
    curl([program.url("/").as_str()]).await
}

#[tokio::test]
async fn the_file_of_the_environment_lies_over_the_common_one() {
    let launch = || {
        Launch::hello()
            .file("appsettings.json", r#"{ "Kestrel": { "AddServerHeader": false } }"#)
            .file(
                "appsettings.Development.json",
                "{\n // Comments are allowed, and trailing commas.\n \"kestrel\": { \"addServerHeader\": true, }, }",
            )
    };
    assert_eq!(ask(&launch().start().await).await.header("server"), None);
    let development = launch().env("ASPNETCORE_ENVIRONMENT", "Development").start().await;
    assert_eq!(ask(&development).await.header("server"), Some("Kestrel"));
    let over = launch().env("ASPNETCORE_ENVIRONMENT", "Development").env("Kestrel__AddServerHeader", "false");
    assert_eq!(ask(&over.start().await).await.header("server"), None);
}

#[tokio::test]
async fn files_are_read_from_the_content_root() {
    let settings = r#"{ "Kestrel": { "AddServerHeader": false } }"#;
    // The current folder is the content root unless something else is said.
    for (name, launch) in [
        ("command line", Launch::hello().args(["--contentRoot", "below"])),
        ("variable", Launch::hello().env("ASPNETCORE_CONTENTROOT", "below")),
    ] {
        let mut program = launch.file("below/appsettings.json", settings).start().await;
        let line = program.line("Content root path").await;
        let expected = program.folder().path().join("below").display().to_string();
        assert!(line.ends_with(&expected), "{name}: {line}");
        assert_eq!(ask(&program).await.header("server"), None, "{name}");
    }
}

#[tokio::test]
async fn under_cargo_the_content_root_is_the_folder_of_the_crate() {
    let crate_folder = crate::program::Folder::new();
    crate_folder.write("appsettings.json", r#"{ "Kestrel": { "AddServerHeader": false } }"#);
    let mut program = Launch::hello().env("CARGO_MANIFEST_DIR", crate_folder.path()).start().await;
    let line = program.line("Content root path").await;
    assert!(line.ends_with(&crate_folder.path().display().to_string()), "{line}");
    assert_eq!(ask(&program).await.header("server"), None);
}

#[tokio::test]
async fn an_endpoint_speaks_the_protocols_that_it_is_told() {
    let endpoint = |protocols: &str| {
        let launch = Launch::of("hello").env("Kestrel__Endpoints__Web__Url", "http://127.0.0.1:0");
        launch.env("Kestrel__Endpoints__Web__Protocols", protocols)
    };
    let http1 = endpoint("Http1").start().await;
    assert_eq!(curl(["--http1.1", &http1.url("/")]).await.status, 200);
    assert_ne!(curl_exit_code(["--http2-prior-knowledge", &http1.url("/")]).await, 0);
    let http2 = endpoint("Http2").start().await;
    assert_eq!(curl(["--http2-prior-knowledge", &http2.url("/")]).await.status, 200);
    let refused = curl_exit_code(["--http1.1", "--fail", &http2.url("/")]).await;
    assert_ne!(refused, 0);
}

#[tokio::test]
async fn levels_of_the_log_are_configured_by_target() {
    let launch = Launch::hello().args(["--Logging:LogLevel:server_kestrel", "Debug"]);
    let mut program = launch.start().await;
    assert_eq!(Client::tcp(program.address()).await.exchange("nonsense\r\n\r\n").await.status, 400);
    program.line("DEBUG server_kestrel").await;
    let program = Launch::hello().env("RUST_LOG", "off").spawn();
    // Nothing is shown, so there is no line to wait for.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let end = program.stop().await;
    assert_eq!((end.code, end.stdout.len()), (Some(0), 0), "{end:?}");
}

#[tokio::test]
async fn values_and_options_of_the_code_win() {
    let options = hosting::WebApplicationOptions {
        arguments: Some(vec!["--Greeting".to_owned(), "from the command line".to_owned()]),
        values: vec![("greeting".to_owned(), "from the code".to_owned())],
        ..hosting::WebApplicationOptions::default()
    };
    let builder = hosting::WebApplication::builder_with(options);
    assert_eq!(builder.configuration().get("Greeting"), Some("from the code"));
    let begun = std::sync::Arc::new(tokio::sync::Notify::new());
    let tell = begun.clone();
    let never = move |_: hosting::Request<hosting::Body>| {
        tell.notify_one();
        std::future::pending::<hosting::Response<hosting::Body>>()
    };
    let zero = |host: &mut hosting::HostOptions| host.shutdown_timeout = std::time::Duration::ZERO;
    let server = builder.host(zero).start_test_server(never).await.unwrap();
    let client = server.client();
    let under_way = tokio::spawn(async move { client.get("/").await.is_err() });
    begun.notified().await;
    assert_eq!(server.stop().await, hosting::Stopped::Aborted);
    assert!(under_way.await.unwrap());
}

#[test]
fn a_content_root_that_does_not_exist_is_refused() {
    let arguments = Some(vec!["--contentRoot".to_owned(), "/nonexistent/folder".to_owned()]);
    let options = hosting::WebApplicationOptions { arguments, ..hosting::WebApplicationOptions::default() };
    let nothing = async |_: hosting::Request<hosting::Body>| hosting::Response::new(hosting::Body::empty());
    let error = format!("{:?}", hosting::WebApplication::builder_with(options).build(nothing).unwrap_err());
    assert!(error.contains("/nonexistent/folder") && error.contains("--contentRoot"), "{error}");
}
