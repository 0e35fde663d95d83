use std::fmt;

use serde::de::DeserializeOwned;

use super::{
    Configuration, ConfigurationError,
    tree::{self, Node},
};

/// A part of a [`Configuration`]: the key at [`path`](Self::path) and what lies below it.
///
/// A section is a view that keeps its configuration alive; one that does not exist is empty.
#[doc(alias = "IConfigurationSection")]
#[derive(Clone)]
pub struct ConfigurationSection {
    configuration: Configuration,
    path: String,
}

impl ConfigurationSection {
    pub(super) fn new(configuration: Configuration, path: &str) -> Self {
        let path = configuration.root.spelling(path);
        Self { configuration, path }
    }

    /// The configuration that this is a part of.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The full path of this section, spelled as the lowest layer spelled it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last name of the path.
    #[must_use]
    pub fn key(&self) -> &str {
        self.path.rsplit(':').next().unwrap_or_default()
    }

    /// The section's own text, which one with keys below it seldom has.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.node().text()
    }

    /// Where the section's value was written, or the first value below it.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.node().source()
    }

    /// The text at `path` below this section.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.node().find(path)?.text()
    }

    /// Whether both sections have the same keys and values, wherever those were written.
    #[must_use]
    pub fn has_same_values(&self, other: &Self) -> bool {
        self.node().has_same_values(other.node())
    }

    /// The paths of the keys, here and below, that are not the same in the other section, which stands at the same path.
    #[cfg(feature = "kestrel")]
    pub(crate) fn changed_keys(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        self.node().changes(other.node(), &self.path, &mut found);
        found
    }

    /// The section at `path` below this one, which need not exist.
    #[doc(alias = "GetSection")]
    #[must_use]
    pub fn section(&self, path: &str) -> Self {
        Self::new(self.configuration.clone(), &tree::join(&self.path, path))
    }

    /// The sections right below this one: numbers first and by value, then names in alphabetical order.
    #[doc(alias = "GetChildren")]
    pub fn children(&self) -> impl Iterator<Item = Self> {
        self.node().children.values().map(|child| Self {
            configuration: self.configuration.clone(),
            path: tree::join(&self.path, &child.name),
        })
    }

    /// Whether there is a value here or below; `{}` and `[]` count, `null` does not.
    #[doc(alias = "Exists")]
    #[must_use]
    pub fn exists(&self) -> bool {
        let node = self.node();
        !node.is_absent() && !node.is_null()
    }

    /// Reads the section into a type, see [`Configuration::bind`].
    ///
    /// # Errors
    /// As [`Configuration::bind`].
    #[doc(alias = "Bind")]
    pub fn bind<T: DeserializeOwned>(&self) -> Result<T, ConfigurationError> {
        self.configuration.bind(&self.path)
    }

    fn node(&self) -> &Node {
        self.configuration.root.find(&self.path).unwrap_or(&tree::ABSENT)
    }
}

impl fmt::Debug for ConfigurationSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigurationSection").field("path", &self.path).finish_non_exhaustive()
    }
}
