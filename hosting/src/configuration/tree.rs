//! The merged layers: one tree of keys.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::ConfigurationError;

/// A key that stands in no layer, bound as an empty section.
pub(super) static ABSENT: Node = Node { name: String::new(), value: None, children: BTreeMap::new() };

/// What separates the names in a path.
const SEPARATOR: char = ':';

/// Deeper keys are refused: a tree is walked and dropped by recursion, and the environment is not ours.
const MAX_LEVELS: usize = 512;

/// One key with its value and the keys below it. A key may have both.
#[derive(Clone, Default)]
pub(super) struct Node {
    /// As the lowest layer spelled it.
    pub(super) name: String,
    pub(super) value: Option<Value>,
    pub(super) children: BTreeMap<Key, Self>,
}

/// What a layer says about a key, and where it says so.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) content: Content,
    pub(super) source: Arc<str>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// Written as `null`: hides the text of lower layers.
    Null,
    /// Written as `{}` or `[]`: there, with nothing in it.
    Empty,
}

/// A key as it is compared: without regard to case, numbers first and by their value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Index(u64, String),
    Name(String),
}

impl Key {
    pub(super) fn new(name: &str) -> Self {
        let folded = name.to_lowercase();
        let digits = !folded.is_empty() && folded.bytes().all(|byte| byte.is_ascii_digit());
        match folded.parse() {
            Ok(number) if digits => Self::Index(number, folded),
            _ => Self::Name(folded),
        }
    }
}

impl Value {
    pub(super) fn text(text: impl Into<String>, source: impl Into<Arc<str>>) -> Self {
        Self { content: Content::Text(text.into()), source: source.into() }
    }
}

/// Joins a path and a name below it.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}{SEPARATOR}{name}") }
}

fn content(node: &Node) -> Option<&Content> {
    node.value.as_ref().map(|value| &value.content)
}

impl Node {
    /// The node at `path`, this one for the empty path.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        path.split(SEPARATOR).try_fold(self, |node, name| node.children.get(&Key::new(name)))
    }

    /// `path` as the lowest layer spelled it, as far as it exists.
    pub(super) fn spelling(&self, path: &str) -> String {
        if path.is_empty() {
            return String::new();
        }
        let mut node = self;
        path.split(SEPARATOR).fold(String::with_capacity(path.len()), |spelled, name| {
            node = node.children.get(&Key::new(name)).unwrap_or(&ABSENT);
            let name = if node.name.is_empty() { name } else { &node.name };
            join(&spelled, name)
        })
    }

    /// Puts a value over what lower layers said.
    pub(super) fn set(&mut self, path: &str, value: Value) -> Result<(), ConfigurationError> {
        if path.matches(SEPARATOR).count() >= MAX_LEVELS {
            let message = format!("a key has more than {MAX_LEVELS} levels ({})", value.source);
            return Err(ConfigurationError::new(message));
        }
        let mut node = self;
        for name in path.split(SEPARATOR) {
            node = node
                .children
                .entry(Key::new(name))
                .or_insert_with(|| Self { name: name.to_owned(), ..Self::default() });
        }
        node.value = Some(value);
        Ok(())
    }

    /// Puts a whole tree over what lower layers said.
    pub(super) fn merge(&mut self, higher: &Self) {
        if higher.value.is_some() {
            self.value.clone_from(&higher.value);
        }
        for (key, child) in &higher.children {
            self.children
                .entry(key.clone())
                .or_insert_with(|| Self { name: child.name.clone(), ..Self::default() })
                .merge(child);
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value.as_ref()?.content {
            Content::Text(text) => Some(text),
            Content::Null | Content::Empty => None,
        }
    }

    /// Whether no layer gives this key a value or a key below it.
    pub(super) fn is_absent(&self) -> bool {
        self.value.is_none() && self.children.is_empty()
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Some(Value { content: Content::Null, .. })) && self.children.is_empty()
    }

    /// Where this key, or else the first key below it, was written.
    pub(super) fn source(&self) -> Option<&str> {
        match &self.value {
            Some(value) => Some(&value.source),
            None => self.children.values().find_map(Self::source),
        }
    }

    /// Whether both say the same, wherever they say it.
    pub(super) fn has_same_values(&self, other: &Self) -> bool {
        content(self) == content(other)
            && self.children.len() == other.children.len()
            && self.children.iter().zip(&other.children).all(|((key, child), (other_key, other_child))| {
                key == other_key && child.has_same_values(other_child)
            })
    }

    /// The paths at which the other says something else, with `path` as that of both.
    #[cfg(feature = "kestrel")]
    pub(super) fn changes(&self, other: &Self, path: &str, found: &mut Vec<String>) {
        if content(self) != content(other) {
            found.push(path.to_owned());
        }
        let added = other.children.iter().filter(|(key, _)| !self.children.contains_key(key));
        for (key, child) in self.children.iter().chain(added) {
            let mine = self.children.get(key).unwrap_or(&ABSENT);
            let theirs = other.children.get(key).unwrap_or(&ABSENT);
            mine.changes(theirs, &join(path, &child.name), found);
        }
    }

    /// The number of texts in the tree.
    pub(super) fn values(&self) -> usize {
        usize::from(self.text().is_some()) + self.children.values().map(Self::values).sum::<usize>()
    }

    /// `key = "value" (source): reason`, without the parts that this key does not have.
    pub(super) fn describe(&self, path: &str, reason: &dyn fmt::Display) -> String {
        match self.text() {
            Some(text) => format!("{path} = {text:?}{}: {reason}", self.source_in_brackets()),
            None => self.describe_key(path, reason),
        }
    }

    /// The same without the value, for keys whose value nobody asked for: it may be a secret.
    pub(super) fn describe_key(&self, path: &str, reason: &dyn fmt::Display) -> String {
        format!("{path}{}: {reason}", self.source_in_brackets())
    }

    fn source_in_brackets(&self) -> String {
        self.source().map(|source| format!(" ({source})")).unwrap_or_default()
    }
}
