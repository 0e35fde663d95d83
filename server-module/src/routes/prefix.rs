use std::fmt;
use std::str::FromStr;

use super::RouteError;

/// The beginning of paths that an application is reached by: `/` for all of them, or whole segments such as `/shop`.
///
/// It is the decoded path, so there are no escapes in it, and case does not matter. A slash at the end says nothing and is
/// left out.
#[doc(alias = "PathBase")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    /// Without the slash at the end; empty for the root.
    text: Box<str>,
}

impl PathPrefix {
    /// All paths.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether it is the beginning of all paths.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// The text without a slash at the end, as a path base has it: empty for the root, else such as `/shop`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a decoded path begins with these segments.
    pub(super) fn is_before(&self, path: &str) -> bool {
        path.split_at_checked(self.text.len()).is_some_and(|(base, rest)| {
            base.eq_ignore_ascii_case(&self.text) && (rest.is_empty() || rest.starts_with('/'))
        })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl FromStr for PathPrefix {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let fail = |reason| Err(RouteError::PathPrefix(reason));
        if !text.starts_with('/') {
            return fail("it does not begin with a slash; write / for all paths, or a path such as /shop");
        }
        if text.contains(['%', '?', '#', '\\']) || text.contains(char::is_control) {
            return fail("it has a character that no decoded path has; expected a path such as /shop");
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        let mut segments = path.split('/').skip(1);
        if segments.any(|segment| matches!(segment, "" | "." | "..")) {
            return fail("it has a segment that is empty or made of dots; expected a path such as /shop");
        }
        Ok(Self { text: path.into() })
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "/" } else { &self.text })
    }
}
