//! The arrows between the crates (ARCHITECTURE.md), read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The normal dependencies of each crate of the workspace.
fn workspace() -> BTreeMap<String, Vec<Value>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let crates = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        (package["name"].as_str().unwrap().to_owned(), normal.cloned().collect())
    });
    crates.collect()
}

fn names(dependencies: &[Value]) -> BTreeSet<&str> {
    dependencies.iter().filter_map(|dependency| dependency["name"].as_str()).collect()
}

#[test]
fn every_arrow_between_the_crates_points_down() {
    let workspace = workspace();
    let allowed: &[(&str, &[&str])] = &[
        ("server-abstractions", &[]),
        ("server-kestrel", &["server-abstractions"]),
        ("server-proxy-integration", &["server-abstractions"]),
        ("server-httpsys", &["server-abstractions"]),
        ("dev-certs", &[]),
        (
            "hosting",
            &[
                "server-abstractions",
                "dev-certs",
                "server-kestrel",
                "server-proxy-integration",
                "server-httpsys",
            ],
        ),
        ("server-module", &["hosting", "server-abstractions", "server-kestrel"]),
    ];
    for (name, below) in allowed {
        let Some(dependencies) = workspace.get(*name) else { continue };
        let ours: BTreeSet<_> =
            names(dependencies).into_iter().filter(|name| workspace.contains_key(*name)).collect();
        let below = BTreeSet::from_iter(below.iter().copied());
        assert!(ours.is_subset(&below), "{name} depends on {ours:?}, and may on {below:?}");
    }
    for name in ["server-abstractions", "server-kestrel", "server-proxy-integration", "hosting"] {
        assert!(workspace.contains_key(name), "{name} is missing");
    }
}

#[test]
fn hosting_takes_servers_and_layers_by_features_that_are_on_by_default() {
    let workspace = workspace();
    for (name, feature) in [("server-kestrel", "kestrel"), ("server-proxy-integration", "proxy-integration")]
    {
        let dependency = workspace["hosting"].iter().find(|dependency| dependency["name"] == name).unwrap();
        assert_eq!(dependency["optional"], true, "{name}");
        let manifest = include_str!("../../../hosting/Cargo.toml");
        let default = manifest.lines().find(|line| line.starts_with("default = ")).unwrap();
        assert!(default.contains(&format!("\"{feature}\"")), "{default}");
    }
}

#[test]
fn the_layers_for_proxies_know_no_engine() {
    let workspace = workspace();
    let names = names(&workspace["server-proxy-integration"]);
    for engine in ["hyper", "hyper-util", "h2", "rustls", "tokio-rustls"] {
        assert!(!names.contains(engine), "server-proxy-integration depends on {engine}");
    }
}

#[test]
fn the_contract_knows_no_engine_no_tls_and_no_format() {
    let workspace = workspace();
    let names = names(&workspace["server-abstractions"]);
    for name in names.iter().copied() {
        let is_engine =
            ["hyper", "h2", "h3", "quinn", "rustls", "native-tls", "openssl", "serde"].iter().any(|engine| {
                name == *engine || name.starts_with(&format!("{engine}-")) || name.contains(engine)
            });
        assert!(!is_engine, "server-abstractions depends on {name}");
    }
}

#[test]
fn the_contract_takes_of_tokio_what_spawns_and_opens_nothing() {
    let workspace = workspace();
    for dependency in &workspace["server-abstractions"] {
        let name = dependency["name"].as_str().unwrap();
        if name.starts_with("tokio") {
            assert_eq!(dependency["uses_default_features"], false, "{name}");
            assert_eq!(dependency["features"], Value::Array(Vec::new()), "{name}");
        }
    }
}
