use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// How well the application, or a part of it, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    /// It cannot do its work: 503.
    Unhealthy,
    /// It works, but not as it should: 200.
    Degraded,
    /// It is well: 200.
    Healthy,
}

impl HealthStatus {
    /// The name, as it stands in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unhealthy => "Unhealthy",
            Self::Degraded => "Degraded",
            Self::Healthy => "Healthy",
        }
    }
}

/// What one check has found.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) status: HealthStatus,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
}

/// What all checks of a probe have found.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    entries: Vec<Entry>,
    /// Why it is unhealthy, whatever the checks say.
    reason: Option<&'static str>,
}

impl Report {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries, reason: None }
    }

    pub(super) fn unhealthy(reason: &'static str) -> Self {
        Self { entries: Vec::new(), reason: Some(reason) }
    }

    /// The worst of all.
    pub(super) fn status(&self) -> HealthStatus {
        if self.reason.is_some() {
            return HealthStatus::Unhealthy;
        }
        self.entries.iter().map(|entry| entry.status).min().unwrap_or(HealthStatus::Healthy)
    }

    /// The status, then what is behind it, each on a line of its own.
    pub(super) fn text(&self, details: bool) -> String {
        let mut text = self.status().as_str().to_owned();
        if let Some(reason) = self.reason {
            let _ = write!(text, "\n{reason}");
        }
        for entry in self.entries.iter().filter(|_| details) {
            let _ = write!(text, "\n{}: {}", one_line(&entry.name), entry.status.as_str());
            if let Some(error) = &entry.error {
                let _ = write!(text, ", {}", one_line(error));
            }
        }
        text
    }

    pub(super) fn json(&self, details: bool) -> String {
        let mut document = json!({ "status": self.status().as_str() });
        if let Some(reason) = self.reason {
            document["reason"] = reason.into();
        }
        let checks = self.entries.iter().map(|entry| (entry.name.clone(), entry_json(entry, details)));
        document["checks"] = Value::Object(checks.collect());
        document.to_string()
    }
}

fn entry_json(entry: &Entry, details: bool) -> Value {
    let mut fields = Map::new();
    fields.insert("status".to_owned(), entry.status.as_str().into());
    if details {
        fields.insert("seconds".to_owned(), entry.took.as_secs_f64().into());
    }
    if let Some(error) = entry.error.as_ref().filter(|_| details) {
        fields.insert("error".to_owned(), error.as_str().into());
    }
    Value::Object(fields)
}

/// What comes from elsewhere begins no line of its own.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, status: HealthStatus, error: Option<&str>) -> Entry {
        Entry {
            name: name.to_owned(),
            status,
            took: Duration::from_millis(250),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn the_worst_check_is_the_status() {
        use HealthStatus::{Degraded, Healthy, Unhealthy};

        assert_eq!(Report::default().status(), Healthy);
        let mut report = Report::new(vec![entry("a", Healthy, None), entry("b", Degraded, Some("x"))]);
        assert_eq!(report.status(), Degraded);
        report.entries.push(entry("c", Unhealthy, Some("y\nForged: Healthy")));
        assert_eq!(report.status(), Unhealthy);
        assert_eq!(
            report.text(true),
            "Unhealthy\na: Healthy\nb: Degraded, x\nc: Unhealthy, y Forged: Healthy"
        );
        assert_eq!(report.text(false), "Unhealthy");
        let document: Value = serde_json::from_str(&report.json(true)).unwrap();
        assert_eq!(document["status"], "Unhealthy");
        assert_eq!(document["checks"]["a"], json!({ "status": "Healthy", "seconds": 0.25 }));
        assert_eq!(document["checks"]["c"]["error"], "y\nForged: Healthy");
        let document: Value = serde_json::from_str(&report.json(false)).unwrap();
        let status = |status: &str| json!({ "status": status });
        let checks = json!({ "a": status("Healthy"), "b": status("Degraded"), "c": status("Unhealthy") });
        assert_eq!(document, json!({ "status": "Unhealthy", "checks": checks }));
        // What the application itself does is no secret.
        for details in [false, true] {
            assert_eq!(Report::unhealthy("why").text(details), "Unhealthy\nwhy");
        }
        let document: Value = serde_json::from_str(&Report::unhealthy("why").json(true)).unwrap();
        assert_eq!(document, json!({ "status": "Unhealthy", "reason": "why", "checks": {} }));
    }
}
