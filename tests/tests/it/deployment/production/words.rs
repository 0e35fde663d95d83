//! What the page names is there: phrases of the log, keys, reasons, links.

use std::fs;
use std::path::Path;

use super::{block, blocks, page, quoted, rows};
use crate::program::workspace;

/// The sources of the crates that the program is made of.
fn sources(folders: &[&str]) -> String {
    let mut text = String::new();
    let mut open: Vec<_> = folders.iter().map(|folder| workspace().join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

const PROGRAM: [&str; 5] = [
    "hosting/src",
    "server-kestrel/src",
    "server-abstractions/src",
    "server-proxy-integration/src",
    "samples/operations/src",
];

/// The levels at which a phrase is logged: it stands in a literal of a macro of `tracing`.
fn levels(sources: &str, phrase: &str) -> Vec<String> {
    let places = sources.match_indices(phrase).map(|(place, _)| place);
    let levels = places.filter_map(|place| {
        let before = &sources[..place];
        let line = &before[before.rfind('\n').unwrap_or_default()..];
        let is_literal = line.matches('"').count() % 2 == 1 && !line.trim_start().starts_with("//");
        let (_, call) = before.rsplit_once("tracing::")?;
        let (level, _) = call.split_once("!(")?;
        // Of the same statement.
        (is_literal && !call.contains(';')).then(|| level.to_owned())
    });
    levels.collect()
}

#[test]
fn every_line_of_the_log_that_the_page_names_is_written_at_its_level() {
    let sources = sources(&PROGRAM);
    let rows = rows("What the log says");
    assert!(rows.len() > 10);
    let mut wrong = Vec::new();
    for row in rows {
        let [phrase, level, _] = &row[..] else { panic!("{row:?}") };
        let phrase = phrase.trim_matches('`');
        let wanted = if level == "warning" { "warn" } else { level };
        let found = levels(&sources, phrase);
        if !found.iter().any(|level| level == wanted) {
            wrong.push(format!("{phrase}: {level}, and in the sources {found:?}"));
        }
        for ended in quoted(&row[2]).filter(|text| text.starts_with("a ") || text.starts_with("the ")) {
            assert_eq!(levels(&sources, ended), ["info"], "{ended}");
        }
    }
    assert_eq!(wrong, [""; 0]);
    // What the check is worth.
    assert!(levels(&sources, "a phrase that nobody logs").is_empty());
    assert!(!levels(&sources, "a health check fails").contains(&"error".to_owned()));
}

#[test]
fn every_reason_for_the_end_of_a_connection_is_one_of_the_server() {
    let sources = sources(&["server-kestrel/src", "server-abstractions/src"]);
    let rows = rows("When something goes wrong");
    let reasons: Vec<_> = rows
        .iter()
        .flat_map(|row| quoted(&row[0]))
        .filter(|text| text.contains('_') && !text.contains('/'))
        .collect();
    assert!(reasons.len() > 15, "{reasons:?}");
    for reason in reasons {
        assert!(sources.contains(&format!("\"{reason}\"")), "{reason}");
    }
}

/// The keys of a JSON object with values, without the numbers of lists.
fn keys(path: &str, value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}:{name}") };
                keys(&path, value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// As CONFIGURATION.md writes a key with names of one's own.
fn with_names(key: &str) -> String {
    let parts: Vec<_> = key.split(':').collect();
    match &parts[..] {
        ["Kestrel", "Endpoints", _, "Sessions", rest @ ..] => {
            format!("Kestrel:EndpointDefaults:Sessions:{}", rest.join(":"))
        }
        ["Kestrel", section @ ("Endpoints" | "Certificates"), _, rest @ ..] => {
            format!("Kestrel:{section}:{{name}}:{}", rest.join(":"))
        }
        ["Logging", "LogLevel", _] => "Logging:LogLevel:{name}".to_owned(),
        _ => key.to_owned(),
    }
}

#[test]
fn every_key_is_in_the_table_of_keys() {
    let table = fs::read_to_string(workspace().join("CONFIGURATION.md")).unwrap();
    let sample = fs::read_to_string(workspace().join("samples/operations/README.md")).unwrap();
    let manifest: Vec<serde_json::Value> = serde_saphyr::from_multiple(&block("Kubernetes", "yaml")).unwrap();
    let map = manifest.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let mut texts = vec![map["data"]["appsettings.json"].as_str().unwrap().to_owned()];
    for part in ["Configuration", "Limits", "Behind a proxy"] {
        texts.extend(blocks(part, "json"));
    }
    assert_eq!(texts.len(), 4);
    let mut found = Vec::new();
    for text in &texts {
        // JSON with comments, which stand on lines of their own.
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let json = lines.collect::<Vec<_>>().join("\n");
        keys("", &serde_json::from_str(&json).unwrap(), &mut found);
    }
    // And those of the text.
    let page = page();
    let prose: String = page.split("\n```").step_by(2).collect();
    let names = ["Kestrel:", "Tracing:", "Health:", "AccessLog:", "Logging:", "shutdown"];
    found.extend(
        quoted(&prose).filter(|text| names.iter().any(|name| text.starts_with(name))).map(str::to_owned),
    );
    assert!(found.len() > 40, "{found:?}");
    for key in found {
        let own = match key.split(':').next() {
            Some("Orders") => Some("`Orders:File`"),
            Some("ForwardedHeaders") => Some("`ForwardedHeaders`"),
            _ => None,
        };
        match own {
            Some(own) => assert!(sample.contains(own), "{key}"),
            None => assert!(table.contains(&format!("\n| `{}`", with_names(&key))), "{key}"),
        }
    }
}

#[test]
fn limits_that_the_text_names_without_their_section_are_there() {
    let table = fs::read_to_string(workspace().join("CONFIGURATION.md")).unwrap();
    let page = page();
    let prose: String = page.split("\n```").step_by(2).collect();
    let is_limit = |text: &&str| {
        (text.starts_with("Max") || text.starts_with("Min") || text.ends_with("Timeout"))
            && text.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let limits: Vec<_> = quoted(&prose).filter(is_limit).collect();
    assert!(limits.len() > 8, "{limits:?}");
    for limit in limits {
        assert!(table.contains(&format!("`Kestrel:Limits:{limit}`")), "{limit}");
    }
}

#[test]
fn every_link_and_every_file_is_there() {
    let page = page();
    let root = workspace().join("docs");
    let links: Vec<_> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() >= 3, "{links:?}");
    for link in links {
        assert!(root.join(Path::new(link)).is_file(), "{link}");
    }
    // Who else leads here.
    for (file, link) in [
        ("README.md", "](docs/production.md)"),
        ("ARCHITECTURE.md", "](docs/production.md)"),
        ("samples/operations/README.md", "](../../docs/production.md)"),
    ] {
        assert!(fs::read_to_string(workspace().join(file)).unwrap().contains(link), "{file}");
    }
}

#[test]
fn the_program_needs_the_c_library_and_nothing_else() {
    let program = crate::program::binary("operations");
    let output = std::process::Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let of_c = ["linux-vdso", "libc.so", "libm.so", "libgcc_s.so", "/lib"];
    assert!(output.status.success() && listed.contains("libc.so"), "{listed}");
    for line in listed.lines() {
        assert!(of_c.iter().any(|name| line.trim_start().starts_with(name)), "{line}");
    }
    let package = "cargo build --locked --release --package operations\n";
    assert_eq!(block("Build", "sh"), package);
}
