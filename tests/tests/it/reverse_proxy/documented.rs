//! The tables of the sample's README name every line of the proxies' files and every key of the applications', and
//! nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::file;

/// The first cells of the section's rows, by the first word of the heads of their tables.
fn named(readme: &str, section: &str, table: &str) -> Vec<String> {
    let section = readme.split_once(&format!("\n## {section}\n")).expect("a section").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().skip_while(|line| !line.starts_with(&format!("| {table} of `")));
    let cells = rows.skip(2).map_while(|row| row.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The lines that say something, with one space between words.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .filter(|line| !line.is_empty() && !["#", "}", "</"].iter().any(|start| line.starts_with(start)))
        .collect()
}

/// The paths of the values, with `:` between keys.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let Some(object) = value.as_object() else {
        found.insert(path.to_owned());
        return;
    };
    for (name, value) in object {
        keys(value, &if path.is_empty() { name.clone() } else { format!("{path}:{name}") }, found);
    }
}

#[test]
fn the_readme_names_every_line_and_every_key() {
    let readme = file("README.md", &[]);
    for (section, proxys, settings) in [
        ("nginx", "nginx/shop.conf", "nginx/appsettings.json"),
        ("Apache", "apache/shop.conf", "apache/appsettings.json"),
        ("HAProxy", "haproxy/haproxy.cfg", "haproxy/appsettings.json"),
    ] {
        let (named_lines, lines) = (named(&readme, section, "line"), lines(&file(proxys, &[])));
        for line in &lines {
            assert!(named_lines.iter().any(|name| line.starts_with(name.as_str())), "{proxys}: {line}");
        }
        for name in &named_lines {
            assert!(lines.iter().any(|line| line.starts_with(name.as_str())), "README: {section}: {name}");
        }
        let text = file(settings, &[]);
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let mut has = BTreeSet::new();
        keys(&serde_json::from_str(&text).unwrap(), "", &mut has);
        assert_eq!(named(&readme, section, "key").into_iter().collect::<BTreeSet<_>>(), has, "{settings}");
    }
}
