use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    num::NonZeroU16,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::configuration::{Configuration, duration};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    max_request_line_size: u64,
    max_connections: Option<u32>,
    #[serde(with = "duration")]
    keep_alive_timeout: Duration,
    #[serde(with = "duration::optional")]
    grace: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_line_size: 8192,
            max_connections: Some(100),
            keep_alive_timeout: Duration::from_secs(130),
            grace: Some(Duration::from_secs(5)),
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
enum Protocols {
    Http1,
    Http1AndHttp2,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Endpoint {
    url: String,
    #[serde(default, rename = "Protocols")]
    protocols: Option<Protocols>,
    #[serde(default)]
    hosts: Vec<String>,
}

fn json(text: &str) -> Configuration {
    Configuration::builder().json_text("a.json", text).build().unwrap()
}

fn bind<T: DeserializeOwned>(text: &str) -> T {
    json(text).bind("V").unwrap()
}

fn error<T: DeserializeOwned>(text: &str) -> String {
    json(text).bind::<T>("V").err().unwrap().to_string()
}

#[test]
fn fields_are_found_without_regard_to_case_and_underscores() {
    let limits: Limits = bind(r#"{ "V": { "MaxRequestLineSize": 1, "MAX_CONNECTIONS": "2" } }"#);
    assert_eq!(limits, Limits { max_request_line_size: 1, max_connections: Some(2), ..Limits::default() });
}

#[test]
fn an_absent_section_gives_the_defaults_and_null_gives_none() {
    assert_eq!(bind::<Limits>("{}"), Limits::default());
    assert_eq!(bind::<Limits>(r#"{ "V": {} }"#), Limits::default());
    assert_eq!(bind::<Option<Limits>>(r#"{ "V": {} }"#), Some(Limits::default()));
    assert_eq!(bind::<Option<Limits>>(r#"{ "V": null }"#), None);
    assert_eq!(bind::<Option<Limits>>("{}"), None);
    let limits: Limits = bind(r#"{ "V": { "MaxConnections": null, "Grace": null } }"#);
    assert_eq!(limits, Limits { max_connections: None, grace: None, ..Limits::default() });
}

#[test]
fn durations_are_time_spans_or_seconds() {
    let limits: Limits = bind(r#"{ "V": { "KeepAliveTimeout": "00:01:30", "Grace": 7 } }"#);
    assert_eq!(limits.keep_alive_timeout, Duration::from_secs(90));
    assert_eq!(limits.grace, Some(Duration::from_secs(7)));
    assert_eq!(
        error::<Limits>(r#"{ "V": { "KeepAliveTimeout": "soon" } }"#),
        "V:KeepAliveTimeout = \"soon\" (a.json:1:30): \
         expected a time such as 00:00:30 or 1.12:00:00, or a number of seconds"
    );
}

#[test]
fn maps_keep_the_spelling_of_their_keys_and_lists_their_order() {
    let text = r#"{ "V": { "Http": { "Url": "a" }, "Https": { "url": "b", "protocols": "http1_and_http2",
        "Hosts": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] } } }"#;
    let endpoints: BTreeMap<String, Endpoint> = bind(text);
    assert_eq!(endpoints["Http"], Endpoint { url: "a".into(), protocols: None, hosts: vec![] });
    assert_eq!(endpoints["Https"].protocols, Some(Protocols::Http1AndHttp2));
    assert_eq!(endpoints["Https"].hosts[2..], ["2", "3", "4", "5", "6", "7", "8", "9", "10"]);
}

#[test]
fn text_becomes_what_the_type_asks_for() {
    assert!(bind::<bool>(r#"{ "V": "True" }"#));
    assert!(!bind::<bool>(r#"{ "V": 0 }"#));
    assert_eq!(bind::<i8>(r#"{ "V": " -5 " }"#), -5);
    assert_eq!(bind::<u128>(r#"{ "V": 340282366920938463463374607431768211455 }"#), u128::MAX);
    assert_eq!(bind::<f64>(r#"{ "V": 2.5e1 }"#), 25.0);
    assert_eq!(bind::<char>(r#"{ "V": "ä" }"#), 'ä');
    assert_eq!(bind::<String>(r#"{ "V": 10 }"#), "10");
    assert_eq!(bind::<PathBuf>(r#"{ "V": "/srv" }"#), PathBuf::from("/srv"));
    assert_eq!(bind::<IpAddr>(r#"{ "V": "::1" }"#), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(bind::<NonZeroU16>(r#"{ "V": 7 }"#).get(), 7);
    assert_eq!(bind::<(u8, bool)>(r#"{ "V": [1, true] }"#), (1, true));
    assert_eq!(bind::<HashMap<u16, char>>(r#"{ "V": { "80": "a" } }"#), HashMap::from([(80, 'a')]));
    assert_eq!(bind::<Vec<u8>>(r#"{ "V": [] }"#), Vec::<u8>::new());
    assert_eq!(bind::<Vec<u8>>(r#"{ "V": "" }"#), Vec::<u8>::new());
}

#[test]
fn values_that_do_not_fit_name_key_value_and_source() {
    assert_eq!(
        error::<Limits>("{ \"V\":\n { \"MaxRequestLineSize\": \"abc\" } }"),
        "V:MaxRequestLineSize = \"abc\" (a.json:2:26): expected a whole number of at most 64 bits"
    );
    assert_eq!(
        error::<Limits>(r#"{ "V": { "MaxConnections": -1 } }"#),
        "V:MaxConnections = \"-1\" (a.json:1:28): expected a whole number from 0 to 4294967295"
    );
    assert_eq!(
        error::<Limits>(r#"{ "V": { "MaxRequestLineSize": null } }"#),
        "V:MaxRequestLineSize (a.json:1:32): expected a number, found null"
    );
    assert_eq!(
        error::<Limits>(r#"{ "V": { "MaxRequestLineSize": { "a": 1, "b": 2 } } }"#),
        "V:MaxRequestLineSize (a.json:1:39): expected a number, found a section with a, b"
    );
    assert_eq!(error::<Limits>(r#"{ "V": 5 }"#), "V = \"5\" (a.json:1:8): expected a section");
    assert_eq!(error::<bool>(r#"{ "V": "on" }"#), "V = \"on\" (a.json:1:8): expected true or false");
    assert_eq!(error::<NonZeroU16>(r#"{ "V": 0 }"#), "V = \"0\" (a.json:1:8): expected a nonzero u16");
    assert_eq!(error::<char>(r#"{ "V": "ab" }"#), "V = \"ab\" (a.json:1:8): expected a character");
    assert_eq!(error::<IpAddr>(r#"{ "V": "x" }"#), "V = \"x\" (a.json:1:8): invalid IP address syntax");
    assert_eq!(error::<u16>("{}"), "V: expected a number, found nothing");
    assert_eq!(error::<Vec<u8>>(r#"{ "V": "a" }"#), "V = \"a\" (a.json:1:8): expected a list");
    assert_eq!(
        error::<Vec<u8>>(r#"{ "V": { "0": 1, "x": 2 } }"#),
        "V (a.json:1:15): expected a list, whose keys are 0, 1 and so on; found x"
    );
    assert_eq!(
        error::<Vec<u8>>(r#"{ "V": [1, "x"] }"#),
        "V:1 = \"x\" (a.json:1:12): expected a whole number of at most 8 bits"
    );
    assert_eq!(error::<(u8, u8)>(r#"{ "V": [1] }"#), "V (a.json:1:9): expected a list of 2, found 1");
}

#[test]
fn an_unknown_key_names_its_path_and_source_and_the_known_keys_but_not_its_value() {
    assert_eq!(
        error::<Limits>(r#"{ "V": { "MaxRequestLine": "secret" } }"#),
        "V:MaxRequestLine (a.json:1:28): unknown key; the known keys are \
         MaxRequestLineSize, MaxConnections, KeepAliveTimeout, Grace"
    );
    let configuration = Configuration::builder()
        .json_text("a.json", r#"{ "Kestrel": { "Limits": {} } }"#)
        .environment_variables(None, [("KESTREL__LIMITS__TYPO__X".to_owned(), "1".to_owned(), None)])
        .build()
        .unwrap();
    assert_eq!(
        configuration.section("Kestrel:Limits").bind::<Limits>().unwrap_err().to_string(),
        "Kestrel:Limits:TYPO (environment variable KESTREL__LIMITS__TYPO__X): unknown key; the known keys are \
         MaxRequestLineSize, MaxConnections, KeepAliveTimeout, Grace"
    );
}

#[test]
fn a_missing_value_and_one_given_in_two_spellings_are_errors() {
    assert_eq!(
        error::<Endpoint>(r#"{ "V": { "Hosts": ["a"] } }"#),
        "V (a.json:1:20): the key Url is missing"
    );
    assert_eq!(error::<Endpoint>("{}"), "V: the key Url is missing");
    assert_eq!(
        error::<Limits>(r#"{ "V": { "MaxConnections": 1, "Max_Connections": 2 } }"#),
        "V (a.json:1:50): the key MaxConnections is given in two spellings"
    );
    assert_eq!(
        json("{}").bind::<Endpoint>("").unwrap_err().to_string(),
        "the configuration: the key Url is missing"
    );
}

#[test]
fn enums_are_named_by_text_or_by_the_one_key_of_a_section() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Certificate {
        Development,
        File { path: String },
        Store(String),
        Pair(String, u8),
    }
    assert_eq!(bind::<Certificate>(r#"{ "V": "development" }"#), Certificate::Development);
    assert_eq!(bind::<Certificate>(r#"{ "V": { "Development": {} } }"#), Certificate::Development);
    assert_eq!(
        bind::<Certificate>(r#"{ "V": { "file": { "Path": "x" } } }"#),
        Certificate::File { path: "x".into() }
    );
    assert_eq!(bind::<Certificate>(r#"{ "V": { "Store": "My" } }"#), Certificate::Store("My".into()));
    assert_eq!(bind::<Certificate>(r#"{ "V": { "Pair": ["a", 1] } }"#), Certificate::Pair("a".into(), 1));
    assert_eq!(
        error::<Certificate>(r#"{ "V": "Http3" }"#),
        "V = \"Http3\" (a.json:1:8): expected one of Development, File, Store, Pair"
    );
    assert_eq!(
        error::<Certificate>(r#"{ "V": "Store" }"#),
        "V = \"Store\" (a.json:1:8): expected a section with the key Store"
    );
    assert_eq!(
        error::<Certificate>(r#"{ "V": { "File": { "path": 1 }, "Store": "x" } }"#),
        "V (a.json:1:28): expected one of Development, File, Store, Pair, found a section with File, Store"
    );
    assert_eq!(
        error::<Certificate>(r#"{ "V": { "Pair": ["a", 256] } }"#),
        "V:Pair:1 = \"256\" (a.json:1:24): expected a whole number from 0 to 255"
    );
}

#[test]
fn untagged_types_see_text_lists_and_sections() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Many(Vec<String>),
        Sites(BTreeMap<String, String>),
    }
    assert_eq!(bind::<Names>(r#"{ "V": "a" }"#), Names::One("a".into()));
    assert_eq!(bind::<Names>(r#"{ "V": ["a", "b"] }"#), Names::Many(vec!["a".into(), "b".into()]));
    assert_eq!(bind::<Names>(r#"{ "V": { "x": "y" } }"#), Names::Sites([("x".into(), "y".into())].into()));
}
