use std::fmt;

/// How a process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, if it has ended itself.
    pub(crate) code: Option<i32>,
    /// The signal that has ended it.
    pub(crate) signal: Option<i32>,
}

impl Exit {
    /// Nobody has seen how.
    pub(super) fn unknown() -> Self {
        Self { code: None, signal: None }
    }

    /// As the guard tells it.
    pub(super) fn to_line(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exited {code}"),
            (None, Some(signal)) => format!("signaled {signal}"),
            (None, None) => "ended".to_owned(),
        }
    }

    pub(super) fn from_line(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("exited", code)) => Some(Self { code: Some(code.parse().ok()?), signal: None }),
            Some(("signaled", signal)) => Some(Self { code: None, signal: Some(signal.parse().ok()?) }),
            None if line == "ended" => Some(Self::unknown()),
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("unknown: its guard was ended, or hangs"),
        }
    }
}
