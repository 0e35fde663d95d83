use std::{error::Error as _, fs, path::PathBuf};

use super::*;

fn json(text: &str) -> ConfigurationBuilder {
    Configuration::builder().json_text("appsettings.json", text)
}

fn variables<'a>(
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = (String, String, Option<String>)> {
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned(), None))
}

fn command_line(arguments: &[&str]) -> Result<Configuration, ConfigurationError> {
    Configuration::builder().command_line(arguments.iter().copied()).build()
}

fn scratch_file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("hosting-configuration-{}-{name}", std::process::id()))
}

#[test]
fn json_values_are_text_found_without_regard_to_case() {
    let text = r#"{
        // The limits.
        "Kestrel": { "Limits": { "MaxRequestLineSize": 8192, "Ratio": 1.50 }, "AddServerHeader": true },
        "Urls": "http://localhost:5000", "Nothing": null, "Empty": "",
        "Hosts": ["a", "b",],
    }"#;
    let configuration = json(text).build().unwrap();
    assert_eq!(configuration.get("kestrel:LIMITS:maxrequestlinesize"), Some("8192"));
    assert_eq!(configuration.get("Kestrel:Limits:Ratio"), Some("1.50"));
    assert_eq!(configuration.get("Kestrel:AddServerHeader"), Some("true"));
    assert_eq!(configuration.get("Hosts:1"), Some("b"));
    assert_eq!(configuration.get("Empty"), Some(""));
    for path in ["Nothing", "Kestrel", "Hosts", "Hosts:2", "Absent", "Urls:0", ""] {
        assert_eq!(configuration.get(path), None, "{path}");
    }
}

#[test]
fn a_value_remembers_its_source() {
    let configuration = json("{\n  \"A\": 1,\n  \"B\": { \"C\":\n  [ true ] }\n}")
        .environment_variables(Some("App_"), variables([("APP_D__E", "2")]))
        .environment_variables(None, [("F".to_owned(), "3".to_owned(), Some("launch profile".to_owned()))])
        .command_line(["--g=4", "/h", "5", "i=6"])
        .values([("J", "7")])
        .build()
        .unwrap();
    for (path, source) in [
        ("a", "appsettings.json:2:8"),
        ("b:c:0", "appsettings.json:4:5"),
        ("b", "appsettings.json:4:5"),
        ("d:e", "environment variable APP_D__E"),
        ("f", "launch profile"),
        ("g", "command line --g"),
        ("h", "command line /h"),
        ("i", "command line i"),
        ("j", "set in code"),
    ] {
        assert_eq!(configuration.source(path), Some(source), "{path}");
    }
    assert_eq!(configuration.source("absent"), None);
}

#[test]
fn a_higher_layer_replaces_single_keys_and_null_hides_a_value() {
    let configuration = json(r#"{ "A": { "x": 1, "y": 2 }, "L": [1, 2, 3], "N": "text" }"#)
        .json_text("second.json", r#"{ "a": { "Y": 3 }, "l": [9], "n": null }"#)
        .build()
        .unwrap();
    assert_eq!(configuration.get("A:x"), Some("1"));
    assert_eq!(configuration.get("A:y"), Some("3"));
    assert_eq!(["L:0", "L:1", "L:2"].map(|path| configuration.get(path)), [Some("9"), Some("2"), Some("3")]);
    assert_eq!(configuration.get("N"), None);
    assert_eq!(configuration.source("N"), Some("second.json:1:35"));
    assert!(!configuration.section("N").exists());
}

#[test]
fn variables_lose_their_prefix_and_double_underscores_part_names() {
    let all =
        [("ASPNETCORE_URLS", "a"), ("aspnetcore_Kestrel__Limits__X", "b"), ("ASPNETCORE_", "c"), ("Ä", "d")];
    let prefixed = Configuration::builder().environment_variables(Some("ASPNETCORE_"), variables(all));
    let prefixed = prefixed.build().unwrap();
    assert_eq!(prefixed.get("urls"), Some("a"));
    assert_eq!(prefixed.get("kestrel:limits:x"), Some("b"));
    assert_eq!(prefixed.section("").children().count(), 2);

    let bare = Configuration::builder().environment_variables(None, variables(all)).build().unwrap();
    assert_eq!(bare.get("ASPNETCORE_URLS"), Some("a"));
    assert_eq!(bare.get("ä"), Some("d"));
}

#[test]
fn the_command_line_is_read_in_all_its_forms() {
    let arguments = [
        "a=1", "--b=2", "/c=3", "--d", "4", "/e", "5", "word", "-f", "skipped", "--g", "--h", "--i=x=y",
        "--j=", "a=7", "-", "last", "--k",
    ];
    let configuration = command_line(&arguments).unwrap();
    let expected = [
        ("a", Some("7")),
        ("b", Some("2")),
        ("c", Some("3")),
        ("d", Some("4")),
        ("e", Some("5")),
        ("word", None),
        ("f", None),
        ("g", Some("--h")),
        ("h", None),
        ("i", Some("x=y")),
        ("j", Some("")),
        ("k", None),
    ];
    for (path, value) in expected {
        assert_eq!(configuration.get(path), value, "{path}");
    }
}

#[test]
fn a_short_switch_needs_a_mapping() {
    let error = command_line(&["-u=http://localhost"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the argument \"-u=http://localhost\" sets the switch -u, which is not mapped to a key"
    );

    let mapped = |arguments: &[&str]| {
        Configuration::builder()
            .command_line_mapped(arguments.iter().copied(), [("-u", "urls"), ("--Address", "urls")])
            .build()
            .unwrap()
    };
    for arguments in [&["-u=1"][..], &["-U", "1"], &["--address=1"], &["/ADDRESS", "1"], &["--urls", "1"]] {
        assert_eq!(mapped(arguments).get("urls"), Some("1"), "{arguments:?}");
    }
}

#[test]
fn switch_mappings_begin_with_a_dash_and_are_given_once() {
    let build = |mappings: &[(&str, &str)]| {
        let mappings = mappings.iter().copied();
        Configuration::builder()
            .command_line_mapped([] as [&str; 0], mappings)
            .build()
            .unwrap_err()
            .to_string()
    };
    assert_eq!(build(&[("u", "urls")]), "the switch mapping \"u\" must begin with '-' or '--'");
    assert_eq!(build(&[("-u", "urls"), ("-U", "x")]), "the switch mapping \"-U\" is given twice");
}

#[test]
fn sections_are_views_with_sorted_children() {
    let configuration = json(r#"{ "Sites": { "b": 1, "A": 2, "10": 3, "9": 4 }, "Empty": {}, "List": [] }"#)
        .command_line(["--SITES:B", "5", "--sites:c:d", "6"])
        .build()
        .unwrap();
    let sites = configuration.section("sITES");
    assert_eq!((sites.path(), sites.key(), sites.value()), ("Sites", "Sites", None));
    let keys: Vec<_> = sites.children().map(|child| child.key().to_owned()).collect();
    assert_eq!(keys, ["9", "10", "A", "b", "c"]);
    assert_eq!(sites.get("b"), Some("5"));
    assert_eq!(sites.section("C").path(), "Sites:c");
    assert_eq!(sites.section("C").get("d"), Some("6"));
    assert_eq!(sites.section("c:D").value(), Some("6"));
    assert_eq!(sites.section("nope").path(), "Sites:nope");
    assert!(sites.exists() && !sites.section("nope").exists());
    assert!(configuration.section("empty").exists() && configuration.section("list").exists());
    assert_eq!(configuration.section("").section("Sites").get("a"), Some("2"));
}

#[test]
fn a_chained_configuration_keeps_its_sources_and_is_overridden() {
    let host =
        Configuration::builder().values([("environment", "Development"), ("urls", "a")]).build().unwrap();
    let configuration = Configuration::builder().chain(&host).command_line(["--Urls=b"]).build().unwrap();
    assert_eq!(configuration.source("environment"), Some("set in code"));
    assert_eq!(configuration.get("urls"), Some("b"));
    assert_eq!(host.get("urls"), Some("a"));
}

#[test]
fn parsed_values_and_switches_name_the_key_in_their_errors() {
    let configuration =
        json("{ \"Port\": \"80a\", \"Count\": 3, \"On\": \"TRUE\", \"Off\": 0, \"Odd\": \"yes\" }");
    let configuration = configuration.build().unwrap();
    assert_eq!(configuration.get_parsed::<u16>("count").unwrap(), Some(3));
    assert_eq!(configuration.get_parsed::<u16>("absent").unwrap(), None);
    assert_eq!(configuration.get_bool("on").unwrap(), Some(true));
    assert_eq!(configuration.get_bool("off").unwrap(), Some(false));
    assert_eq!(configuration.get_bool("absent").unwrap(), None);
    assert_eq!(
        configuration.get_parsed::<u16>("port").unwrap_err().to_string(),
        "Port = \"80a\" (appsettings.json:1:11): invalid digit found in string"
    );
    assert_eq!(
        configuration.get_bool("odd").unwrap_err().to_string(),
        "Odd = \"yes\" (appsettings.json:1:61): expected true or false"
    );
    assert_eq!(configuration.invalid("absent:key", "no good").to_string(), "absent:key: no good");
}

#[test]
fn a_broken_file_is_one_line_with_line_and_column() {
    let error = |text: &str| json(text).build().unwrap_err().to_string();
    assert_eq!(
        error("{\n  \"A\": 1,\n  \"B\" 2\n}"),
        "could not read appsettings.json: line 3, column 7: expected ':' after the key"
    );
    assert_eq!(
        error("[]"),
        "could not read appsettings.json: line 1, column 1: expected an object at the top level, found a list"
    );
    assert_eq!(error(""), "could not read appsettings.json: line 1, column 1: expected a value");
}

#[test]
fn a_key_given_twice_in_one_file_is_an_error_with_both_lines() {
    let error = |text: &str| json(text).build().unwrap_err().to_string();
    assert_eq!(
        error("{ \"A\": { \"Key\": 1,\n\"b\": 2,\n  \"KEY\": 3 } }"),
        "could not read appsettings.json: line 3, column 3: the key \"A:KEY\" is given twice, first on line 1"
    );
    assert_eq!(
        error("{ \"a\": { \"b\": 1 },\n\"A:B\": 2 }"),
        "could not read appsettings.json: line 2, column 1: the key \"A:B\" is given twice, first on line 1"
    );
}

#[test]
fn a_file_is_read_when_the_configuration_is_built_and_may_be_optional() {
    let path = scratch_file("optional.json");
    let builder = Configuration::builder().json_file(&path, true);
    assert_eq!(builder.files().collect::<Vec<_>>(), [path.as_path()]);
    assert_eq!(builder.build().unwrap().get("a"), None);

    fs::write(&path, "\u{feff}{ \"a\": 1 }").unwrap();
    let configuration = builder.build().unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(configuration.get("a"), Some("1"));
    assert_eq!(configuration.source("a"), Some(format!("{}:1:8", path.display()).as_str()));
}

#[test]
fn a_required_file_that_is_missing_is_an_error_with_its_cause() {
    let path = scratch_file("missing.json");
    let error = Configuration::builder().json_file(&path, false).build().unwrap_err();
    assert_eq!(error.to_string(), format!("could not read {}", path.display()));
    assert!(error.source().is_some());
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_an_error_also_for_an_optional_file() {
    let path = scratch_file("link.json");
    std::os::unix::fs::symlink("/nowhere/secrets.json", &path).unwrap();
    let error = Configuration::builder().json_file(&path, true).build();
    fs::remove_file(&path).unwrap();
    assert_eq!(error.unwrap_err().to_string(), format!("could not read {}", path.display()));
}

#[test]
fn a_key_of_absurd_depth_is_refused() {
    let name = "x__".repeat(100_000);
    let builder = Configuration::builder().environment_variables(None, variables([(name.as_str(), "1")]));
    assert!(builder.build().unwrap_err().to_string().starts_with("a key has more than 512 levels"));
}

#[test]
fn debug_shows_no_values() {
    let configuration = json(r#"{ "Password": "hunter2", "B": { "C": 1 } }"#).build().unwrap();
    assert_eq!(format!("{configuration:?}"), "Configuration { values: 2, .. }");
    assert!(!format!("{:?}", configuration.section("Password")).contains("hunter2"));
    assert!(!format!("{:?}", json(r#"{ "Password": "hunter2" }"#)).contains("hunter2"));
}
