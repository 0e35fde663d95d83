//! Keys that nobody reads, and whose names are near to those of keys that the host reads.
//!
//! Within sections of the host's own an unknown key fails the start. Beside them stand the application's own, so that a name is no
//! mistake for being unknown.

use tracing::Level;

use crate::nearest::nearest;
use crate::{Configuration, ConfigurationError, ConfigurationMonitor, ConfigurationSection};

/// The keys of the host at the top.
const TOP: &[&str] = &[
    "AccessLog",
    "AllowedHosts",
    "applicationName",
    "contentRoot",
    "Diagnostics",
    "environment",
    "ForwardedHeaders_Enabled",
    "Health",
    "hostBuilder",
    "http_ports",
    "https_port",
    "https_ports",
    "Kestrel",
    "Logging",
    "Metrics",
    "preferHostingUrls",
    "RequestIds",
    "shutdownDelaySeconds",
    "shutdownGraceSeconds",
    "shutdownTimeoutSeconds",
    "suppressStatusMessages",
    "Tracing",
    "urls",
];

/// The sections with keys of the host and of others, and those of the host.
const SECTIONS: [(&str, &[&str]); 3] =
    [("", TOP), ("Logging", &["LogLevel"]), ("hostBuilder", &["reloadConfigOnChange"])];

/// A key that may be meant for another one.
struct Misspelt {
    text: String,
    /// The path of the key that may be meant.
    meant: String,
}

/// What to tell at the start: one warning for each such key.
pub(crate) fn warnings(configuration: &Configuration) -> Vec<(Level, String)> {
    all(configuration).map(|misspelt| (Level::WARN, misspelt.text)).collect()
}

/// The same of each later state, once. One in which such a key stands in the place of a key that was there is refused: without
/// `Kestrel` or `AllowedHosts` everything would be served on other addresses, or to everybody.
pub(crate) fn watch(monitor: &ConfigurationMonitor) {
    monitor.guard_by(|last, new| {
        let renamed = all(new).find(|misspelt| last.section(&misspelt.meant).exists());
        renamed.map_or(Ok(()), |misspelt| Err(ConfigurationError::new(misspelt.text)))
    });
    let mut told: Vec<_> = all(&monitor.current()).map(|misspelt| misspelt.text).collect();
    monitor.follow(move |configuration| {
        let now: Vec<_> = all(configuration).map(|misspelt| misspelt.text).collect();
        now.iter().filter(|text| !told.contains(text)).for_each(|text| tracing::warn!("{text}"));
        told = now;
        true
    });
}

fn all(configuration: &Configuration) -> impl Iterator<Item = Misspelt> {
    SECTIONS.iter().flat_map(move |(path, known)| {
        let section = configuration.section(path);
        let found: Vec<_> =
            section.children().filter_map(|child| misspelt(&section, &child, known)).collect();
        found
    })
}

fn misspelt(
    section: &ConfigurationSection,
    child: &ConfigurationSection,
    known: &[&str],
) -> Option<Misspelt> {
    let source = child.source().filter(|source| is_for_the_host(source))?;
    let near = nearest(child.key(), known.iter().copied())?;
    let meant = section.section(near);
    // Who has both does not mean the one by the other.
    (!meant.exists()).then(|| Misspelt {
        text: format!("{} ({source}) is not read by the host; did you mean {near}?", child.path()),
        meant: meant.path().to_owned(),
    })
}

/// Variables without a prefix are there for anybody.
fn is_for_the_host(source: &str) -> bool {
    source
        .strip_prefix("environment variable ")
        .is_none_or(|name| name.starts_with("ASPNETCORE_") || name.starts_with("DOTNET_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_near_to_known_ones_are_told_unless_those_are_there_too() {
        let text = r#"{
            "Kestrell": { "Limits": {} }, "url": "http://a", "Shop": {}, "Heath": {}, "Health": {},
            "Logging": { "LogLevels": {}, "Console": {} }, "RequestIds": { "Any": 1 }
        }"#;
        let variables = [("METRIC", "1"), ("ASPNETCORE_SHUTDOWNTIMEOUTSECOND", "1")];
        let variables = || variables.map(|(name, value)| (name.to_owned(), value.to_owned(), None));
        let configuration = Configuration::builder()
            .json_text("a.json", text)
            .environment_variables(None, variables())
            .environment_variables(Some("ASPNETCORE_"), variables())
            .build()
            .unwrap();
        let told: Vec<_> = warnings(&configuration).into_iter().map(|(_, text)| text).collect();
        assert_eq!(
            told,
            [
                "Kestrell (a.json:2:37) is not read by the host; did you mean Kestrel?",
                "SHUTDOWNTIMEOUTSECOND (environment variable ASPNETCORE_SHUTDOWNTIMEOUTSECOND) is not read by the host; did you mean shutdownTimeoutSeconds?",
                "url (a.json:2:50) is not read by the host; did you mean urls?",
                "Logging:LogLevels (a.json:3:39) is not read by the host; did you mean LogLevel?",
            ]
        );
    }
}
