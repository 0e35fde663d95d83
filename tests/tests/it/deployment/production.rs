//! docs/production.md: its files are used as they stand there, and its commands are run.

use std::path::Path;

use crate::program::{Folder, Launch, Program, binary, command, free_port, output_with_input, workspace};
use crate::support::soon;

mod host;
mod manifest;
mod metrics;
mod unit;
mod words;

fn page() -> String {
    let path = workspace().join("docs/production.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A part of the page, from its heading to the next one.
fn section(heading: &str) -> String {
    let page = page();
    let mut parts = page.split("\n## ").filter(|part| part.split('\n').next() == Some(heading));
    let part = parts.next().unwrap_or_else(|| panic!("the page has no part {heading:?}"));
    assert!(parts.next().is_none(), "{heading:?} is there twice");
    part.to_owned()
}

/// The blocks of a language in a part of the page, in their order.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let section = section(heading);
    let blocks = section.split("\n```").skip(1).step_by(2);
    let blocks = blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n")));
    blocks.map(|block| format!("{block}\n")).collect()
}

/// The one block of a language in a part of the page.
fn block(heading: &str, language: &str) -> String {
    let mut found = blocks(heading, language);
    assert_eq!(found.len(), 1, "{heading}: {found:?}");
    found.remove(0)
}

/// The rows of the tables in a part of the page, without the heads.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let section = section(heading);
    let mut rows = Vec::new();
    let mut lines = section.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = lines.peek().is_some_and(|next| next.starts_with("|---"));
        if line.starts_with("| ") && !is_head {
            let cells = line.trim_matches('|').split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

const INSTALL: &str = "Install it under systemd";

/// A machine's folders below one of the test's, and its ports.
struct Machine {
    root: Folder,
    https: u16,
    public: u16,
    private: u16,
}

impl Machine {
    fn new() -> Self {
        let root = Folder::new();
        for folder in [
            "etc/operations",
            "etc/systemd/system",
            "usr/local/bin",
            "var/lib/operations",
            "var/log/operations",
        ] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        root.write("etc/operations/orders.json", r#"[{ "id": 7, "item": "lamp", "count": 1 }]"#);
        Self { root, https: free_port(), public: free_port(), private: free_port() }
    }

    fn path(&self, absolute: &str) -> std::path::PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    /// A text of the page with the folders and ports of this machine, and without the user, who is not there.
    fn here(&self, text: &str) -> String {
        let https = format!("https://shop.example:{}/", self.https);
        let text = text.replace("https://shop.example/", &https);
        let mut text = text.replace(" -g operations", "").replace("*:443\"", &format!("*:{}\"", self.https));
        for (from, to) in
            [(":443", self.https), (":5000", self.public), (":8080", self.public), (":9100", self.private)]
        {
            for end in ["/", "\"", ":127"] {
                text = text.replace(&format!("{from}{end}"), &format!(":{to}{end}"));
            }
        }
        for folder in ["/etc/", "/usr/local/", "/var/lib/", "/var/log/", "/run/credentials/"] {
            text = text.replace(folder, &self.path(folder).join("").display().to_string());
        }
        text
    }

    /// Runs lines of the page as they are, in a folder.
    async fn shell(&self, folder: &Path, lines: &str) -> String {
        let script = self.here(lines);
        let mut shell = command("sh");
        shell.args(["-e", "-c", &script]).current_dir(folder);
        let output = soon(output_with_input("sh", &mut shell, "")).await;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{stdout}{stderr}");
        stdout.into_owned()
    }

    /// The program as the unit starts it, but for the user.
    fn launch(&self) -> Launch {
        let mut launch = Launch::in_folder(Folder::new(), "/bin/sh")
            .args(["-c", r#"cd "$0" && exec "$@""#, &self.path("etc/operations").display().to_string()])
            .args([binary("operations")]);
        let unit = unit::unit();
        for (name, value) in super::systemd::variables(&unit) {
            launch = launch.env(name, value);
        }
        launch
    }

    fn settings(&self, name: &str, text: &str) {
        self.root.write(&format!("etc/operations/{name}"), self.here(text));
    }

    /// Starts it as it stops soon: without the delay for load balancers.
    async fn start(&self) -> Program {
        self.launch().args(["--shutdownDelaySeconds", "0"]).start().await
    }

    fn private(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.private)
    }
}
