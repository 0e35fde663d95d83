use std::time::Duration;

use crate::Error;

/// Where a [`HealthLayer`](crate::HealthLayer) answers, and with what.
#[doc(alias = "HealthCheckOptions")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthOptions {
    /// The path that tells whether the process lives: who gets no answer starts it anew. It is compared as it is written.
    /// Default is `/healthz/live`.
    pub live_path: String,
    /// The path that tells whether requests may be sent: who gets 503 sends them elsewhere. Default is `/healthz/ready`.
    pub ready_path: String,
    /// How long a check may take that has no [timeout](crate::HealthCheckOptions::timeout) of its own. Default is 5 seconds.
    pub timeout: Duration,
    /// Whether answers tell the errors of checks that fail, and how long checks take. Else the text is the status alone, and JSON
    /// has the names of the checks with their status: others than those who operate the application may reach the paths, and
    /// the log names what fails with its error all the same. Default is false; a [`WebApplication`](crate::WebApplication) has
    /// true in the environment Development.
    pub details: bool,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            live_path: "/healthz/live".to_owned(),
            ready_path: "/healthz/ready".to_owned(),
            timeout: Duration::from_secs(5),
            details: false,
        }
    }
}

impl HealthOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        for (name, path) in [("live_path", &self.live_path), ("ready_path", &self.ready_path)] {
            check_path(path).map_err(|reason| Error::new(format!("HealthOptions::{name}: {reason}")))?;
        }
        if self.live_path == self.ready_path {
            return Err(Error::new(format!(
                "HealthOptions: live_path and ready_path are both {}; give each a path of its own",
                self.live_path
            )));
        }
        if self.timeout.is_zero() {
            return Err(Error::new("HealthOptions::timeout: expected more than no time"));
        }
        Ok(())
    }
}

/// A path as it stands in a target.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    let is_path = path.starts_with('/') && path.parse::<http::Uri>().is_ok_and(|uri| uri.path() == path);
    if is_path { Ok(()) } else { Err(format!("{path:?} is no path, such as /healthz/ready")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_none_are_refused() {
        for path in ["", "healthz", "/a?b", "/a#b", "/a b", "http://a/b", "*"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        assert!(check_path("/").is_ok() && check_path("/a/b%20c").is_ok());
        let same = HealthOptions { live_path: "/healthz/ready".to_owned(), ..HealthOptions::default() };
        assert!(same.check().unwrap_err().to_string().contains("/healthz/ready"));
        let never = HealthOptions { timeout: Duration::ZERO, ..HealthOptions::default() };
        assert!(never.check().is_err() && HealthOptions::default().check().is_ok());
    }
}
