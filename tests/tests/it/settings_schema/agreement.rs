//! What the schema takes, the server takes, and the other way round, with the differences that are meant.

use std::collections::BTreeSet;

use hosting::{Body, Request, Response, WebApplication, WebApplicationOptions};
use serde_json::{Map, Value, json};

use super::{APP_SETTINGS, documented, json_file, places, validator};
use crate::program::{Folder, workspace};

/// Builds an application with these settings; the error is the one that its user sees.
pub(super) fn read(settings: &Value) -> Result<(), String> {
    let folder = Folder::new();
    folder.write("appsettings.json", settings.to_string());
    let options = WebApplicationOptions {
        arguments: Some(Vec::new()),
        environment: Some("Production".to_owned()),
        content_root: Some(folder.path().to_owned()),
        ..WebApplicationOptions::default()
    };
    let app = async |_: Request<Body>| Response::new(Body::empty());
    let built = WebApplication::builder_with(options).build(app);
    built.map(drop).map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    })
}

fn endpoint(rest: &Value) -> Value {
    json!({ "Kestrel": { "Endpoints": { "A": rest } } })
}

fn limits(rest: &Value) -> Value {
    json!({ "Kestrel": { "Limits": rest } })
}

#[test]
fn right_settings_are_taken_by_both() {
    let validator = validator(APP_SETTINGS);
    for right in [
        json!({}),
        json!({ "Own": { "Key": [1, null, {}] }, "Kestrel": {} }),
        json!({ "urls": "http://localhost:5000; https://*:443;http://unix:/run/a.sock", "https_port": 443 }),
        json!({ "urls": "", "http_ports": "80;81", "https_ports": 443, "shutdownTimeoutSeconds": 5, "shutdownGraceSeconds": 2, "shutdownDelaySeconds": 3 }),
        json!({ "preferHostingUrls": true, "suppressStatusMessages": false }),
        json!({ "AccessLog": {} }),
        json!({ "AccessLog": {
            "Enabled": true, "Format": "W3C", "LoggingFields": ["Date", "ErrorType"], "RedactedHeaders": [],
            "AdditionalRequestHeaders": ["X-A"], "AdditionalResponseHeaders": ["X-B"], "RedactQuery": true,
            "Output": "File", "LogDirectory": "own", "FileName": "a.log", "FileSizeLimit": null,
            "RetainedFileCountLimit": null, "FlushInterval": "00:00:02", "QueueSize": 65536 } }),
        json!({ "AccessLog": { "Enabled": false, "Format": "Combined", "Output": "Stdout", "FlushInterval": 0 } }),
        json!({ "Logging": { "LogLevel": { "Default": "Warning", "own": "None" }, "Console": {} } }),
        json!({ "Logging": { "Console": { "FormatterName": "json" } } }),
        json!({ "Diagnostics": { "Enabled": true, "Path": "/admin/now", "AllowRemote": true } }),
        json!({ "Diagnostics": { "Enabled": false, "Endpoint": "Admin" } }),
        json!({ "RequestIds": {
            "Enabled": true, "Header": "X-Own", "Incoming": "Trusted", "TrustedPeers": ["::1", "10.0.0.0/8"],
            "TrustUnixSockets": true } }),
        json!({ "Tracing": {
            "Enabled": true, "Parents": "Trusted", "TrustedPeers": [], "TrustUnixSockets": false,
            "RedactQuery": false, "RedactedQueryKeys": ["token"] } }),
        json!({ "Tracing": { "Parents": "Never" }, "RequestIds": {} }),
        endpoint(&json!({ "Url": "http://a", "ConnectionLog": {} })),
        endpoint(&json!({ "Url": "http://a", "ConnectionLog": {
            "BelowTls": true, "MaxBytes": 16, "MaxBytesPerConnection": 4096 } })),
        json!({ "Metrics": {} }),
        json!({ "Metrics": {
            "Enabled": false, "RequestDurationBounds": [0.1, 1], "ConnectionDurationBounds": [60],
            "TlsHandshakeDurationBounds": [0.5, 1.5, 2] } }),
        json!({ "Kestrel": { "AddServerHeader": false, "AllowAlternateSchemes": true } }),
        json!({ "Kestrel": { "Certificates": {
            "Default": { "Path": "a.pem", "KeyPath": "a.key", "Password": "p" }, "B": { "Path": "b.pfx" } } } }),
        json!({ "Kestrel": { "EndpointDefaults": {
            "Protocols": "Http2", "SslProtocols": ["Tls13"], "ClientCertificateMode": "RequireCertificate",
            "ClientCertificateRoots": "r.pem", "ClientCertificateRevocationLists": ["l.pem"] } } }),
        json!({ "Kestrel": {
            "Certificates": { "B": { "Path": "b.pem" } },
            "Endpoints": { "A": {
                "Url": "https://*:443", "Protocols": "Http1", "SslProtocols": ["Tls12", "Tls13"],
                "ClientCertificateMode": "AllowCertificate", "Certificate": { "Name": "B" },
                "Sni": { "*.b": { "Protocols": "Http2", "Certificate": { "Path": "s.pem" } }, "*": {} } } } } }),
        endpoint(&json!({ "Url": "HTTP://[::1]:80" })),
        limits(
            &json!({ "KeepAliveTimeout": "1.00:00:00", "RequestHeadersTimeout": 0.5, "MaxRequestBodySize": null }),
        ),
        limits(&json!({ "MinRequestBodyDataRate": { "BytesPerSecond": 1, "GracePeriod": "00:00:02" } })),
        limits(&json!({ "MinResponseDataRate": { "BytesPerSecond": 1 }, "MaxConnectionAge": null })),
        limits(
            &json!({ "Http2": { "KeepAlivePingDelay": 30, "KeepAlivePingTimeout": "00:01", "MaxFrameSize": 20000 } }),
        ),
    ] {
        assert_eq!(read(&right), Ok(()), "{right}");
        assert_eq!(places(&validator, &right), Vec::<String>::new(), "{right}");
    }
}

#[track_caller]
fn refused_by_both(validator: &jsonschema::Validator, wrong: &Value, place: &str) {
    let error = read(wrong).unwrap_err();
    let key = place[1..].replace('/', ":");
    assert!(error.contains(&key), "{wrong}: {key} is not named: {error}");
    let places = places(validator, wrong);
    // A choice of several forms is told at the key, and not at the part that comes closest.
    assert!(
        places.iter().any(|told| place.starts_with(told.as_str()) && told.len() > 1),
        "{wrong}: {places:?}"
    );
}

#[test]
fn wrong_settings_of_what_is_watched_are_refused_by_both_at_the_same_place() {
    let validator = validator(APP_SETTINGS);
    for (wrong, place) in [
        (json!({ "Diagnostics": { "Enabled": "maybe" } }), "/Diagnostics/Enabled"),
        (json!({ "Diagnostics": { "Path": "now" } }), "/Diagnostics/Path"),
        (json!({ "Diagnostics": { "Path": "/" } }), "/Diagnostics/Path"),
        (json!({ "RequestIds": { "Header": "a b" } }), "/RequestIds/Header"),
        (json!({ "RequestIds": { "Incoming": "Sometimes" } }), "/RequestIds/Incoming"),
        (json!({ "Tracing": { "Enabled": "maybe" } }), "/Tracing/Enabled"),
        (json!({ "Tracing": { "Parents": "Trusted", "TrustedPeers": ["ten"] } }), "/Tracing/TrustedPeers/0"),
        (json!({ "Tracing": { "RedactQuery": "yes" } }), "/Tracing/RedactQuery"),
        (json!({ "Tracing": { "RedactedQueryKeys": "sig" } }), "/Tracing/RedactedQueryKeys"),
        (json!({ "AccessLog": { "Enabled": "maybe" } }), "/AccessLog/Enabled"),
        (json!({ "AccessLog": { "Format": "Xml" } }), "/AccessLog/Format"),
        (json!({ "AccessLog": { "LoggingFields": [] } }), "/AccessLog/LoggingFields"),
        (json!({ "AccessLog": { "LoggingFields": ["Colour"] } }), "/AccessLog/LoggingFields/0"),
        (json!({ "AccessLog": { "RedactedHeaders": ["a b"] } }), "/AccessLog/RedactedHeaders/0"),
        (json!({ "AccessLog": { "FileName": "a/b" } }), "/AccessLog/FileName"),
        (json!({ "AccessLog": { "FileSizeLimit": 1 } }), "/AccessLog/FileSizeLimit"),
        (json!({ "AccessLog": { "RetainedFileCountLimit": 0 } }), "/AccessLog/RetainedFileCountLimit"),
        (json!({ "AccessLog": { "FlushInterval": 3601 } }), "/AccessLog/FlushInterval"),
        (json!({ "AccessLog": { "QueueSize": 1 } }), "/AccessLog/QueueSize"),
    ] {
        refused_by_both(&validator, &wrong, place);
    }
}

#[test]
fn wrong_settings_are_refused_by_both_at_the_same_place() {
    let validator = validator(APP_SETTINGS);
    let tls = |key: &str, value: Value| endpoint(&json!({ "Url": "https://a", key: value }));
    for (wrong, place) in [
        (json!({ "urls": "nope" }), "/urls"),
        (json!({ "urls": "http://a;b" }), "/urls"),
        (json!({ "http_ports": "eighty" }), "/http_ports"),
        (json!({ "https_ports": 65536 }), "/https_ports"),
        (json!({ "shutdownTimeoutSeconds": -1 }), "/shutdownTimeoutSeconds"),
        (json!({ "shutdownGraceSeconds": -1 }), "/shutdownGraceSeconds"),
        (json!({ "shutdownDelaySeconds": "soon" }), "/shutdownDelaySeconds"),
        (json!({ "preferHostingUrls": "sometimes" }), "/preferHostingUrls"),
        (json!({ "Logging": { "LogLevel": { "Default": "Loud" } } }), "/Logging/LogLevel/Default"),
        (json!({ "Logging": { "Console": { "FormatterName": "yaml" } } }), "/Logging/Console/FormatterName"),
        (json!({ "Metrics": { "Enabled": "maybe" } }), "/Metrics/Enabled"),
        (json!({ "Metrics": { "RequestDurationBounds": [] } }), "/Metrics/RequestDurationBounds"),
        (json!({ "Metrics": { "ConnectionDurationBounds": [1, 0] } }), "/Metrics/ConnectionDurationBounds/1"),
        (
            json!({ "Metrics": { "TlsHandshakeDurationBounds": ["a"] } }),
            "/Metrics/TlsHandshakeDurationBounds/0",
        ),
        (json!({ "Kestrel": { "AddServerHeader": "maybe" } }), "/Kestrel/AddServerHeader"),
        (
            json!({ "Kestrel": { "EndpointDefaults": { "Protocols": "Http9" } } }),
            "/Kestrel/EndpointDefaults/Protocols",
        ),
        (endpoint(&json!({ "Url": "nope" })), "/Kestrel/Endpoints/A/Url"),
        (tls("Protocols", json!("Http9")), "/Kestrel/Endpoints/A/Protocols"),
        (tls("SslProtocols", json!([])), "/Kestrel/Endpoints/A/SslProtocols"),
        (tls("SslProtocols", json!(["Tls12", "Tls11"])), "/Kestrel/Endpoints/A/SslProtocols/1"),
        (tls("ClientCertificateMode", json!("Maybe")), "/Kestrel/Endpoints/A/ClientCertificateMode"),
        (tls("Sni", json!({ "b": { "Protocols": "h3" } })), "/Kestrel/Endpoints/A/Sni/b/Protocols"),
        (limits(&json!({ "MaxRequestBodySize": -1 })), "/Kestrel/Limits/MaxRequestBodySize"),
        (limits(&json!({ "MaxRequestLineSize": null })), "/Kestrel/Limits/MaxRequestLineSize"),
        (limits(&json!({ "MaxResponseBufferSize": 1 })), "/Kestrel/Limits/MaxResponseBufferSize"),
        (limits(&json!({ "KeepAliveTimeout": "5s" })), "/Kestrel/Limits/KeepAliveTimeout"),
        (limits(&json!({ "KeepAliveTimeout": null })), "/Kestrel/Limits/KeepAliveTimeout"),
        (limits(&json!({ "Http2": { "MaxFrameSize": 1 } })), "/Kestrel/Limits/Http2/MaxFrameSize"),
        (
            limits(&json!({ "Http2": { "KeepAlivePingDelay": 0.5 } })),
            "/Kestrel/Limits/Http2/KeepAlivePingDelay",
        ),
        (
            limits(&json!({ "MinRequestBodyDataRate": { "BytesPerSecond": 0 } })),
            "/Kestrel/Limits/MinRequestBodyDataRate/BytesPerSecond",
        ),
    ] {
        refused_by_both(&validator, &wrong, place);
    }
}

#[test]
fn keys_that_are_not_known_or_missing_are_refused_by_both_at_the_section() {
    let validator = validator(APP_SETTINGS);
    for (wrong, section, key) in [
        (json!({ "AccessLog": { "Fields": [] } }), "/AccessLog", "Fields"),
        (json!({ "Kestrel": { "Endpionts": {} } }), "/Kestrel", "Endpionts"),
        (json!({ "Metrics": { "Bounds": [] } }), "/Metrics", "Bounds"),
        (
            json!({ "Kestrel": { "EndpointDefaults": { "Url": "http://a" } } }),
            "/Kestrel/EndpointDefaults",
            "Url",
        ),
        (endpoint(&json!({ "Url": "http://a", "Protcols": "Http1" })), "/Kestrel/Endpoints/A", "Protcols"),
        (endpoint(&json!({})), "/Kestrel/Endpoints/A", "Url"),
        (limits(&json!({ "MaxSize": 1 })), "/Kestrel/Limits", "MaxSize"),
        (limits(&json!({ "Http2": { "MaxSize": 1 } })), "/Kestrel/Limits/Http2", "MaxSize"),
        (
            limits(&json!({ "MinResponseDataRate": {} })),
            "/Kestrel/Limits/MinResponseDataRate",
            "BytesPerSecond",
        ),
    ] {
        let error = read(&wrong).unwrap_err();
        let path = section[1..].replace('/', ":");
        assert!(
            error.contains(&path) && error.contains(key),
            "{wrong}: {path} and {key} are not named: {error}"
        );
        assert_eq!(places(&validator, &wrong), [section], "{wrong}");
    }
}

#[test]
fn rules_between_keys_are_known_to_the_server_alone() {
    let validator = validator(APP_SETTINGS);
    let http = |key: &str, value: Value| endpoint(&json!({ "Url": "http://a", key: value }));
    let tls = |certificate: Value| endpoint(&json!({ "Url": "https://a", "Certificate": certificate }));
    for (settings, reason) in [
        (http("Certificate", json!({ "Path": "a" })), "it needs an https url"),
        (http("SslProtocols", json!(["Tls12"])), "it needs an https url"),
        (http("ClientCertificateMode", json!("AllowCertificate")), "it needs an https url"),
        (http("Sni", json!({ "*": {} })), "it needs an https url"),
        (tls(json!({ "Name": "other" })), "there is no certificate"),
        (tls(json!({ "Name": "other", "Path": "a" })), "not both"),
        (tls(json!({ "KeyPath": "a" })), "needs a Path"),
        (limits(&json!({ "MaxRequestBufferSize": 10_000 })), "at least max_request_headers_total_size"),
        (limits(&json!({ "KeepAliveTimeout": "00:00:00" })), "at least 1ms"),
        (endpoint(&json!({ "Url": "http://a:x" })), "the port is not a number"),
    ] {
        let error = read(&settings).unwrap_err();
        assert!(error.contains(reason), "{settings}: {error}");
        assert!(validator.is_valid(&settings), "{settings}");
    }
    // Keys in any case, and values in any case, are the other way round.
    let settings = endpoint(&json!({ "url": "http://a", "protocols": "http1" }));
    assert_eq!(read(&settings), Ok(()));
    assert!(!validator.is_valid(&settings));
}

/// What the schema takes and the server does not: rules between keys, and amounts in texts.
const STRICTER_SERVER: &[(&str, &str)] = &[
    // It needs a Path, or the Name of another.
    ("Certificate", "{}"),
    // Numbers have their least value in the schema, and texts have not.
    ("KeepAliveTimeout", "0"),
    ("RequestHeadersTimeout", "0"),
    ("MaxConnectionAge", "0"),
    ("KeepAlivePingDelay", "0"),
    ("KeepAlivePingTimeout", "0"),
    ("GracePeriod", "0"),
    ("Lifetime", "0"),
    ("HandshakeTimeout", "0"),
    ("HeaderTimeout", "0"),
    // It may be empty on a Unix socket.
    ("TrustedProxies", "[]"),
    ("Interval", "0"),
    ("Time", "0"),
    ("Timeout", "0"),
    // The keys of one lifetime are not too many.
    ("TicketKeyRotation", "0"),
    ("TicketKeyRotation", "1"),
    ("TicketKeyRotation", "1.5"),
    ("TicketKeyRotation", "7"),
    ("TicketKeyRotation", "30"),
    ("TicketKeyRotation", "00:00:30"),
    // What may wait is not less than a head may have.
    ("MaxRequestBufferSize", "1"),
    ("MaxRequestBufferSize", "30"),
    ("MaxRequestLineSize", "20000000"),
    ("MaxRequestLineSize", "4294967295"),
    ("MaxRequestHeadersTotalSize", "20000000"),
    ("MaxRequestHeadersTotalSize", "4294967295"),
];

/// What the server takes and the schema does not, beside a number or a switch that is written as a text, a text that is
/// written as a number, and `null`, `""`, `[]` and `{}` for each other where something is empty.
const STRICTER_SCHEMA: &[(&str, &str)] = &[
    // Switches are also 1 and 0, as in variables.
    ("AddServerHeader", "1"),
    ("AddServerHeader", "0"),
    ("AllowAlternateSchemes", "1"),
    ("AllowAlternateSchemes", "0"),
    ("Enabled", "1"),
    ("Enabled", "0"),
    ("RedactQuery", "1"),
    ("RedactQuery", "0"),
    ("AllowInvalid", "1"),
    ("AllowInvalid", "0"),
    ("Details", "1"),
    ("Details", "0"),
    ("Enabled", "1"),
    ("Enabled", "0"),
    ("BelowTls", "1"),
    ("BelowTls", "0"),
    ("Enabled", "1"),
    ("Enabled", "0"),
    ("InheritListeners", "1"),
    ("InheritListeners", "0"),
    ("NoDelay", "1"),
    ("NoDelay", "0"),
    ("ReusePort", "1"),
    ("ReusePort", "0"),
    ("Tickets", "1"),
    ("Tickets", "0"),
    ("TrustUnixSockets", "1"),
    ("TrustUnixSockets", "0"),
    // A list is a section whose keys are numbers, so that it can be overridden by variables.
    ("Certificates", "[{}]"),
    ("Sni", "[{}]"),
];

/// Values of every kind; each is tried at every key.
pub(super) fn probes() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(1.5),
        json!(30),
        json!(65535),
        json!(20_000_000),
        json!(4_294_967_295_u32),
        json!(4_294_967_296_u64),
        json!(""),
        json!("text"),
        json!("7"),
        json!("0"),
        json!("00:00:30"),
        json!("24:00:00"),
        json!("5s"),
        json!("http://a"),
        json!("https://a"),
        json!("Http1"),
        json!("Tls12"),
        json!("NoCertificate"),
        json!([]),
        json!(["Tls12"]),
        json!(["text"]),
        json!([{}]),
        json!({}),
        json!({ "Unknown": 1 }),
        json!({ "BytesPerSecond": 1 }),
    ]
}

/// Settings with a value at the key, and what has to stand beside it.
fn settings(key: &str, value: &Value) -> Value {
    let names: Vec<_> = key.split(':').map(|name| if name == "{name}" { "A" } else { name }).collect();
    let mut settings = value.clone();
    for (depth, name) in names.iter().enumerate().rev() {
        let mut section = Map::new();
        match names.get(depth.wrapping_sub(1)).copied() {
            Some("MinRequestBodyDataRate" | "MinResponseDataRate") => {
                drop(section.insert("BytesPerSecond".to_owned(), json!(1)))
            }
            Some("A") if names[depth - 2] == "Endpoints" => {
                drop(section.insert("Url".to_owned(), json!("https://a")))
            }
            _ => {}
        }
        if ["KeyPath", "Password"].contains(name) {
            section.insert("Path".to_owned(), json!("a.pem"));
        }
        if *name == "TicketKeyRotation" {
            section.insert("Tickets".to_owned(), json!(true));
        }
        section.insert((*name).to_owned(), settings);
        settings = Value::Object(section);
    }
    settings
}

/// The same text as another kind of value.
pub(super) fn rewritten(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Number(_) | Value::Bool(_) => Some(json!(value.to_string())),
        _ => None,
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    [json!(null), json!(""), json!([]), json!({})].contains(value)
}

#[test]
fn at_every_key_of_a_section_every_value_is_judged_alike() {
    let validator = validator(APP_SETTINGS);
    let takes = |key: &str, value: &Value| validator.is_valid(&settings(key, value));
    let listed = |list: &[(&'static str, &'static str)], key: &str, value: &Value| {
        let name = key.rsplit(':').next().unwrap();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        list.iter().copied().find(|(other, probe)| *other == name && *probe == text)
    };
    let schema = json_file(&workspace().join(APP_SETTINGS));
    let sections = ["AccessLog", "Health", "Kestrel", "Metrics"];
    let keys: Vec<_> = sections.into_iter().flat_map(|section| documented::keys(&schema, section)).collect();
    assert!(keys.len() >= 65, "{keys:?}");
    let (mut differences, mut unused) =
        (Vec::new(), BTreeSet::from_iter([STRICTER_SERVER, STRICTER_SCHEMA].concat()));
    for key in &keys {
        for value in probes() {
            let read = read(&settings(key, &value));
            let exception = match (takes(key, &value), &read) {
                (true, Ok(())) | (false, Err(_)) => continue,
                (true, Err(_)) => listed(STRICTER_SERVER, key, &value),
                (false, Ok(())) => {
                    let is_empty_otherwise =
                        is_empty(&value) && probes().iter().any(|other| is_empty(other) && takes(key, other));
                    if is_empty_otherwise || rewritten(&value).is_some_and(|value| takes(key, &value)) {
                        continue;
                    }
                    listed(STRICTER_SCHEMA, key, &value)
                }
            };
            match exception {
                Some(exception) => drop(unused.remove(&exception)),
                None => differences.push(format!("{key} = {value}: the server says {read:?}")),
            }
        }
    }
    assert!(unused.is_empty(), "these are judged alike, and need not be listed: {unused:?}");
    assert!(differences.is_empty(), "the schema judges otherwise:\n{}", differences.join("\n"));
}
