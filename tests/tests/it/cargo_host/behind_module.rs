//! `cargo host run` with profiles of IIS and of the module: a crate of `cargo host new` behind `server-module`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::new::{BUILD, new, tool};
use crate::program::{Folder, curl, free_port, workspace};
use crate::support::{soon, until, within};

/// Tells what it was started with.
const PROGRAM: &str = r#"
use hosting::{Body, Request, Response, WebApplication};

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    let tell = async |_: Request<Body>| {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "none".to_owned());
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let names = ["ASPNETCORE_PORT", "LISTEN_FDS", "ASPNETCORE_URLS", "DOTNET_LAUNCH_PROFILE", "PLACE", "CARGO_MANIFEST_DIR"];
        let lines: Vec<String> = names.iter().map(|name| format!("{name}={}", variable(name))).collect();
        let folder = std::env::current_dir().unwrap_or_default();
        let first = format!("pid={}\narguments={arguments:?}\nfolder={}", std::process::id(), folder.display());
        Response::new(Body::from(format!("{first}\n{}\n", lines.join("\n"))))
    };
    WebApplication::builder().build(tell)?.run().await
}
"#;

/// A crate that runs behind the module.
struct Running {
    tool: Child,
    /// Where its development certificate is.
    _data: Folder,
    folder: PathBuf,
    urls: Vec<String>,
}

impl Running {
    /// Makes the crate, builds it with what the workspace has, and starts it with the profile `it`.
    async fn start(name: &str, settings: &Value, arguments: &[&str]) -> Self {
        let crates = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cargo-host-behind");
        let folder = crates.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&crates).unwrap();
        let (code, text) = new(&[name, "--template", "empty"], &crates).await;
        assert_eq!(code, Some(0), "{text}");
        fs::write(folder.join("src/main.rs"), PROGRAM).unwrap();
        fs::write(folder.join("Properties/launchSettings.json"), settings.to_string()).unwrap();
        // The versions that are here.
        fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder of all builds");
        let data = Folder::new();
        // From anywhere in the crate it is the same.
        let mut command = tool(&[&["run", "-lp", "it"], arguments].concat(), &folder.join("src"));
        command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
        // As in the workspace, so that what is built there is not built again.
        command.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only").env("XDG_DATA_HOME", data.path());
        let mut tool = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(tool.stdout.take().expect("a pipe")).lines();
        let mut urls = Vec::new();
        loop {
            let line = within(BUILD, lines.next_line()).await.unwrap().expect("it says that it has started");
            if let Some((_, url)) = line.split_once("Now listening on: ") {
                urls.push(url.trim().to_owned());
            }
            if line.contains("Application started") {
                break;
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { tool, _data: data, folder, urls }
    }

    /// The application's lines at an address.
    async fn told(&self, url: &str) -> Vec<String> {
        let answer = curl(["--insecure", url]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().lines().map(str::to_owned).collect()
    }

    /// A signal to the tool ends the module and its application.
    async fn stop(mut self, lines: &[String]) {
        let pid = lines.iter().find_map(|line| line.strip_prefix("pid=")).expect("a pid").to_owned();
        let tool = self.tool.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(tool, Signal::TERM).unwrap();
        assert_eq!(soon(self.tool.wait()).await.unwrap().code(), Some(0));
        soon(until(|| !Path::new("/proc").join(&pid).exists())).await;
    }
}

fn assert_told(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.iter().any(|told| told == line), "{line} is missing: {lines:#?}");
    }
}

#[tokio::test]
async fn a_profile_of_the_module_runs_the_program_behind_it() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let settings = json!({ "profiles": { "it": {
        "commandName": "Module", "ancmHostingModel": "OutOfProcess", "applicationUrl": url,
        "commandLineArgs": "--from \"the profile\"", "environmentVariables": { "PLACE": "profile" },
    } } });
    let running = Running::start("behind-module", &settings, &[]).await;
    assert_eq!(running.urls, [url.as_str()]);
    let lines = running.told(&url).await;
    let own = format!("folder={}", running.folder.canonicalize().unwrap().display());
    let folder = format!("CARGO_MANIFEST_DIR={}", running.folder.canonicalize().unwrap().display());
    let expected = [
        r#"arguments=["--from", "the profile"]"#,
        "ASPNETCORE_URLS=none",
        "DOTNET_LAUNCH_PROFILE=it",
        "PLACE=profile",
        folder.as_str(),
        own.as_str(),
    ];
    assert_told(&lines, &expected);
    assert!(
        lines.iter().any(|line| line.starts_with("ASPNETCORE_PORT=1")
            || line.starts_with("ASPNETCORE_PORT=2")
            || line.starts_with("ASPNETCORE_PORT=3")),
        "{lines:#?}"
    );
    running.stop(&lines).await;
}

#[tokio::test]
async fn a_profile_of_iis_express_has_its_two_addresses_and_tls_in_development() {
    let (plain, secure) = (free_port(), free_port());
    let (plain_url, secure_url) =
        (format!("http://127.0.0.1:{plain}"), format!("https://localhost:{secure}"));
    let settings = json!({
        "profiles": { "it": {
            "commandName": "IISExpress", "ancmHostingModel": "OutOfProcess",
            "environmentVariables": { "ASPNETCORE_ENVIRONMENT": "Development" },
        } },
        "iisSettings": { "iisExpress": { "applicationUrl": plain_url, "sslPort": secure } },
    });
    let running = Running::start("behind-iis-express", &settings, &["--", "a", "b"]).await;
    assert_told(&running.urls, &[&plain_url]);
    let lines = running.told(&secure_url).await;
    assert_told(&lines, &[r#"arguments=["a", "b"]"#, "LISTEN_FDS=none"]);
    // One application behind both.
    assert_eq!(running.told(&plain_url).await, lines);
    running.stop(&lines).await;
}

#[tokio::test]
async fn without_the_modules_program_nothing_is_built_or_started() {
    let folder = Folder::new();
    folder.write("Cargo.toml", "[package]\nname = \"app\"\nedition = \"2024\"\n[workspace]\n");
    folder.write("src/main.rs", "fn main() { no program }");
    let settings = json!({ "profiles": { "it": { "commandName": "Module" } } });
    folder.write("Properties/launchSettings.json", settings.to_string());
    let alone = folder.path().join("bin");
    fs::create_dir_all(&alone).unwrap();
    fs::copy(crate::program::binary("cargo-host"), alone.join("cargo-host")).unwrap();
    let cargo = crate::program::output_of("sh", ["-c", "command -v cargo"]).await;
    let mut command = tokio::process::Command::new(alone.join("cargo-host"));
    command
        .args(["host", "run"])
        .current_dir(folder.path())
        .env("PATH", "/nowhere")
        .env("CARGO", cargo.trim());
    command.env_remove("RUSTC").env_remove("CARGO_MANIFEST_DIR");
    let output = within(BUILD, command.stdin(Stdio::null()).output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text.lines().last().unwrap_or_default();
    assert!(
        line.starts_with("cargo host: the launch profile \"it\"") && line.contains("server-module"),
        "{text}"
    );
    assert!(line.contains(&alone.display().to_string()), "{text}");
    assert!(!folder.path().join("target").exists());
}

#[tokio::test]
async fn without_a_model_the_program_serves_the_sockets_of_the_module_itself() {
    let (plain, secure) = (free_port(), free_port());
    let (plain_url, secure_url) =
        (format!("http://127.0.0.1:{plain}"), format!("https://localhost:{secure}"));
    let settings = json!({
        "profiles": { "it": {
            "commandName": "IIS", "environmentVariables": { "ASPNETCORE_ENVIRONMENT": "Development" },
        } },
        "iisSettings": { "iis": { "applicationUrl": plain_url, "sslPort": secure } },
    });
    let running = Running::start("behind-iis", &settings, &[]).await;
    let lines = running.told(&plain_url).await;
    let own = format!("folder={}", running.folder.canonicalize().unwrap().display());
    assert_told(&lines, &["ASPNETCORE_PORT=none", "DOTNET_LAUNCH_PROFILE=it", &own]);
    assert!(
        lines.iter().any(|line| line.starts_with("LISTEN_FDS=") && line != "LISTEN_FDS=none"),
        "{lines:#?}"
    );
    assert_eq!(running.told(&secure_url).await, lines);
    running.stop(&lines).await;
}
