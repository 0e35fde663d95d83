//! Keys that are read at the start, so that a change of them takes a new one.

use crate::{Configuration, ConfigurationMonitor};

/// Keys, and sections with all that is in them.
const READ_AT_START: &[&str] = &[
    "urls",
    "http_ports",
    "https_ports",
    "https_port",
    "preferHostingUrls",
    "shutdownDelaySeconds",
    "shutdownTimeoutSeconds",
    "shutdownGraceSeconds",
    "suppressStatusMessages",
    "hostBuilder:reloadConfigOnChange",
    "ForwardedHeaders_Enabled",
    "AccessLog",
    "Diagnostics",
    "Health",
    "Kestrel:InheritListeners",
    "Kestrel:Threads",
    "Metrics",
    "RequestIds",
    "Tracing",
];

/// The keys that a warning names at the most.
const MOST_NAMED: usize = 20;

/// Warns of each change that does not come into force.
pub(crate) fn watch(monitor: &ConfigurationMonitor) {
    let start = monitor.current();
    let mut last = Vec::new();
    monitor.follow(move |configuration| {
        let changed = changed_keys(&start, configuration);
        if changed != last && !changed.is_empty() {
            let more = changed.len().saturating_sub(MOST_NAMED);
            let mut keys = changed[..changed.len() - more].join(", ");
            if more > 0 {
                keys.push_str(&format!(" and {more} more"));
            }
            tracing::warn!(
                keys,
                "keys of the configuration have changed that are read at the start only; start the application anew for them"
            );
        }
        last = changed;
        true
    });
}

fn changed_keys(start: &Configuration, now: &Configuration) -> Vec<String> {
    READ_AT_START.iter().flat_map(|key| start.section(key).changed_keys(&now.section(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_named_that_is_not_what_it_was_at_the_start() {
        let read = |text: &str| Configuration::builder().json_text("a.json", text).build().unwrap();
        let start = read(
            r#"{ "urls": "http://a", "AccessLog": { "Format": "Json", "FileName": "a" }, "Kestrel": { "Threads": 2 } }"#,
        );
        let now = read(
            r#"{ "Urls": "http://a", "accesslog": { "Format": "W3C" }, "Health": {}, "Other": 1, "Kestrel": { "Threads": 3, "AddServerHeader": false } }"#,
        );
        assert_eq!(
            changed_keys(&start, &now),
            ["AccessLog:FileName", "AccessLog:Format", "Health", "Kestrel:Threads"]
        );
        assert!(changed_keys(&now, &now).is_empty());
    }
}
