//! `cargo host new`: every template is made, built and run without a network, and answers a request.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hosting::LaunchSettings;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::program::{Answer, Folder, binary, curl, workspace};
use crate::support::within;

/// The first one builds all dependencies.
pub(super) const BUILD: Duration = Duration::from_secs(600);

pub(super) fn tool(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(binary("cargo-host"));
    command.arg("host").args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "ASPNETCORE_URLS", "ASPNETCORE_ENVIRONMENT"] {
        command.env_remove(name);
    }
    command
}

/// The exit code and what it said.
pub(super) async fn new(arguments: &[&str], folder: &Path) -> (Option<i32>, String) {
    let arguments: Vec<_> = ["new"].iter().chain(arguments).copied().collect();
    let output = within(BUILD, tool(&arguments, folder).output()).await.expect("the tool starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// A crate that runs.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    /// Makes the crate, builds it with what the workspace has, and starts it on a port that the system chooses.
    async fn start(name: &str, template: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cargo-host-new");
        let _ = fs::remove_dir_all(folder.join(name));
        fs::create_dir_all(&folder).expect("a folder");
        let (code, text) = new(&[name, "--template", template], &folder).await;
        assert_eq!(code, Some(0), "{text}");
        // The versions that are here.
        fs::copy(workspace().join("Cargo.lock"), folder.join(name).join("Cargo.lock")).expect("a lock file");
        let mut command = tool(&["run", "--", "--urls", "http://127.0.0.1:0"], &folder.join(name));
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder of all builds");
        command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
        // As in the workspace, so that what is built there is not built again.
        command.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the tool starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = loop {
            let line =
                within(BUILD, lines.next_line()).await.expect("text").expect("it says where it listens");
            if let Some((_, address)) = line.split_once("Now listening on: ") {
                break address.trim().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Answer {
        curl([&self.url(path)]).await
    }

    async fn stop(mut self) {
        let tool = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(tool, Signal::TERM).expect("a signal that can be sent");
        let status = within(Duration::from_secs(20), self.child.wait()).await.expect("a child");
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn the_empty_crate_answers() {
    let running = Running::start("new-empty", "empty").await;
    assert_eq!(running.get("/").await.text(), "Hello, World!");
    running.stop().await;
}

#[tokio::test]
async fn the_axum_crate_answers() {
    let running = Running::start("new-axum", "axum").await;
    assert_eq!(running.get("/hello/axum").await.json()["message"], "Hello, axum!");
    running.stop().await;
}

#[tokio::test]
async fn the_grpc_crate_answers() {
    let running = Running::start("new-grpc", "grpc").await;
    // A message without compression, with one field of text.
    let message = |text: &str| {
        let length = u8::try_from(text.len()).expect("a short text");
        [&[0, 0, 0, 0, length + 2, 0x0a, length], text.as_bytes()].concat()
    };
    let folder = Folder::new();
    let request = format!("@{}", folder.write("request", message("Kestrel")).display());
    let url = running.url("/greet.Greeter/SayHello");
    let (kind, te) = ("content-type: application/grpc", "te: trailers");
    let answer =
        curl(["--http2-prior-knowledge", "-H", kind, "-H", te, "--data-binary", &request, &url]).await;
    assert_eq!((answer.version.as_str(), answer.status), ("HTTP/2", 200));
    assert!(answer.body.starts_with(&message("Hello Kestrel")), "{:?}", answer.body);
    running.stop().await;
}

#[tokio::test]
async fn its_files_are_those_of_the_host_and_the_editor() {
    let folder = Folder::new();
    let (code, text) = new(&["apps/shop"], folder.path()).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("cd apps/shop && cargo run"), "{text}");
    let crate_folder = folder.path().join("apps/shop");
    let read = |name: &str| fs::read_to_string(crate_folder.join(name)).expect(name);
    let settings =
        LaunchSettings::load(crate_folder.join("Properties/launchSettings.json")).expect("settings");
    assert!(settings.select(Some("https")).is_ok());
    assert_eq!(read(".gitignore"), "/target\n");
    for name in [
        ".vscode/launch.json",
        ".vscode/tasks.json",
        ".vscode/settings.json",
        "appsettings.json",
        "appsettings.Development.json",
    ] {
        let value: serde_json::Value = serde_json::from_str(&read(name)).expect(name);
        assert!(value.is_object());
    }
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("name = \"shop\"") && !manifest.contains("{{"), "{manifest}");
    let hosting = workspace().join("hosting").canonicalize().expect("a folder");
    assert!(manifest.contains(&format!("path = \"{}\"", hosting.display())), "{manifest}");
}

#[tokio::test]
async fn an_editor_finds_the_schemas_of_its_settings_without_a_network() {
    let folder = Folder::new();
    let (code, text) = new(&["shop"], folder.path()).await;
    assert_eq!(code, Some(0), "{text}");
    let crate_folder = folder.path().join("shop");
    let value = |path: &Path| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
    };
    for name in ["appsettings.json", "appsettings.Development.json", "Properties/launchSettings.json"] {
        let path = crate_folder.join(name);
        let settings = value(&path);
        let place = settings["$schema"].as_str().expect("the place of the schema");
        let schema = value(&path.parent().expect("a folder").join(place));
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        assert!(validator.is_valid(&settings), "{name}");
    }
    let editor = value(&crate_folder.join(".vscode/settings.json"));
    let schemas = editor["json.schemas"].as_array().expect("a list");
    assert_eq!(schemas.len(), 3);
    for schema in schemas {
        assert!(crate_folder.join(schema["url"].as_str().expect("a place")).is_file(), "{schema}");
    }
}

#[tokio::test]
async fn the_schemas_can_be_had_for_a_crate_that_is_there() {
    let folder = Folder::new();
    for (arguments, place) in [(&["schema"][..], ".vscode"), (&["schema", "--out", "a/b"], "a/b")] {
        let output = within(BUILD, tool(arguments, folder.path()).output()).await.expect("the tool starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        for (krate, name) in [
            ("hosting", "app-settings.schema.json"),
            ("hosting", "launch-settings.schema.json"),
            ("server-module", "module.schema.json"),
        ] {
            assert!(text.contains(&format!("\"./{place}/{name}\"")), "{text}");
            let made = fs::read(folder.path().join(place).join(name)).expect("a schema");
            assert_eq!(made, fs::read(workspace().join(krate).join("schemas").join(name)).expect("a schema"));
        }
    }
    folder.write("file", "");
    let output =
        within(BUILD, tool(&["schema", "--out", "file/a"], folder.path()).output()).await.expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("cargo host: could not make file/a: "), "{text}");
}

#[tokio::test]
async fn where_hosting_is_can_be_said() {
    let folder = Folder::new();
    let (code, text) = new(&["one", "--hosting-git", "https://example.org/a.git"], folder.path()).await;
    assert_eq!(code, Some(0), "{text}");
    let manifest = fs::read_to_string(folder.path().join("one/Cargo.toml")).expect("a manifest");
    assert!(manifest.contains("hosting = { git = \"https://example.org/a.git\" }"), "{manifest}");

    let (code, text) = new(&["two", "--hosting-path", "nowhere"], folder.path()).await;
    assert_eq!(code, Some(1));
    assert!(text.contains("no crate hosting in nowhere") && text.contains("--hosting-path"), "{text}");
    let other = workspace().join("samples/hello").display().to_string();
    let (code, text) = new(&["two", "--hosting-path", &other], folder.path()).await;
    assert_eq!(code, Some(1));
    assert!(text.contains("is not hosting"), "{text}");
    assert!(!folder.path().join("two").exists());
}

#[tokio::test]
async fn names_and_folders_are_looked_at_first() {
    let folder = Folder::new();
    for name in ["2go", "a.b", "fn", "test", "hosting"] {
        let (code, text) = new(&[name], folder.path()).await;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.starts_with(&format!("cargo host: {name:?} cannot be the name of a crate")), "{text}");
    }
    folder.write("there/file", "");
    let (code, text) = new(&["there"], folder.path()).await;
    assert_eq!(
        (code, text.as_str()),
        (Some(1), "cargo host: there is there already: choose another name, or remove it\n")
    );
    assert!(folder.path().join("there/file").exists());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[tokio::test]
async fn inside_a_workspace_that_does_not_know_it_the_crate_stands_alone() {
    let folder = Folder::new();
    folder.write("Cargo.toml", "[workspace]\nmembers = [\"apps/*\"]\n");
    folder.write("apps/first/Cargo.toml", "[package]\nname = \"first\"\n");
    folder.write("apps/first/src/lib.rs", "");
    for (name, alone) in [("outside", true), ("apps/inside", false)] {
        let (code, text) = new(&[name], folder.path()).await;
        assert_eq!(code, Some(0), "{text}");
        let manifest = fs::read_to_string(folder.path().join(name).join("Cargo.toml")).expect("a manifest");
        assert_eq!(manifest.contains("[workspace]"), alone, "{manifest}");
    }
}
