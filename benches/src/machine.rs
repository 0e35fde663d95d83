//! Where and with what was measured, and what is missing for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Where, when and with what was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The day, as `date -u +%F` prints it.
    pub date: String,
    /// The processor's name and the number of its cores.
    pub processor: String,
    /// Name and version of the operating system's kernel.
    pub kernel: String,
    /// Versions by name.
    pub versions: BTreeMap<String, String>,
}

/// What must be installed: command, package of Debian.
const TOOLS: [(&str, &str); 7] = [
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("nginx", "nginx-light"),
    ("valgrind", "valgrind"),
    ("taskset", "util-linux"),
    ("setpriv", "util-linux"),
    ("timeout", "coreutils"),
];

/// The packages whose versions matter.
const PACKAGES: [&str; 10] = [
    "actix-web",
    "axum",
    "axum-server",
    "h2",
    "hyper",
    "may_minihttp",
    "ntex",
    "rustls",
    "tokio",
    "tokio-rustls",
];

/// The packages of Debian that are missing.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let is_there = |tool: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect()
}

impl Machine {
    /// This one; `lock` is the lock file of the peers.
    #[must_use]
    pub fn this(lock: &Path) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let (_, model) = model.unwrap_or(("", "unknown processor"));
        let mut versions = locked(&fs::read_to_string(lock).unwrap_or_default());
        for (name, arguments, word) in [
            ("rustc", &["--version"][..], 1),
            ("wrk", &["-v"], 1),
            ("h2load", &["--version"], 1),
            ("nginx", &["-v"], 2),
            ("valgrind", &["--version"], 0),
        ] {
            let line = first_line(name, arguments);
            let version = line.split_whitespace().nth(word).unwrap_or("unknown");
            let version = version.rsplit('/').next().unwrap_or(version).trim_start_matches("valgrind-");
            versions.insert(name.to_owned(), version.to_owned());
        }
        Self {
            date: first_line("date", &["-u", "+%F"]),
            processor: format!("{model}, {cores} cores"),
            kernel: first_line("uname", &["-sr"]),
            versions,
        }
    }
}

/// Some print their version as an error.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

/// The versions in a lock file of cargo.
fn locked(text: &str) -> BTreeMap<String, String> {
    let value = |line: &str, key: &str| {
        Some(line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    let mut versions = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = value(line, "name")
            && PACKAGES.contains(&name.as_str())
            && let Some(version) = lines.next().and_then(|line| value(line, "version"))
        {
            versions.insert(name, version);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_a_lock_file() {
        let text = "[[package]]\nname = \"hyper\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"1\"\n";
        assert_eq!(locked(text), BTreeMap::from([("hyper".to_owned(), "1.2.3".to_owned())]));
    }
}
