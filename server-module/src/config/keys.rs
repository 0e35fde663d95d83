//! The keys of a section, read one by one, so that everything that is wrong is found.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use hosting::{ConfigurationSection, configuration_duration};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Problems;
use crate::{SettingsError, nearest, ranges};

pub(super) struct Keys<'a> {
    section: &'a ConfigurationSection,
    problems: &'a mut Problems,
}

/// A time as the configuration has it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Time(#[serde(deserialize_with = "configuration_duration::deserialize")] Duration);

/// Whoever reads the line sees the cause as well.
pub(super) fn with_cause(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl<'a> Keys<'a> {
    pub(super) fn new(section: &'a ConfigurationSection, problems: &'a mut Problems) -> Self {
        Self { section, problems }
    }

    pub(super) fn push(&mut self, problem: impl fmt::Display) {
        self.problems.push(problem);
    }

    /// Says what is wrong with the value of a key, or with the key that is missing.
    pub(super) fn wrong(&mut self, key: &str, reason: impl fmt::Display) {
        let path = self.path(key);
        self.problems.push(self.section.configuration().invalid(&path, reason));
    }

    /// The same as a text, for what is not wrong and without effect.
    pub(super) fn note(&self, key: &str, reason: impl fmt::Display) -> String {
        self.section.configuration().invalid(&self.path(key), reason).to_string()
    }

    fn path(&self, key: &str) -> String {
        match (self.section.path(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}:{key}"),
        }
    }

    /// Refuses keys that are not known. Their values are not shown: nobody asked for them.
    pub(super) fn only(&mut self, known: &[&str]) {
        for child in self.section.children() {
            if !known.iter().any(|known| known.eq_ignore_ascii_case(child.key())) {
                let place = child.source().map(|source| format!(" ({source})")).unwrap_or_default();
                let advice = nearest::advice(child.key(), known);
                self.problems.push(format_args!("{}{place}: unknown key; {advice}", child.path()));
            }
        }
    }

    /// Whether this is a plain text in the place of a section.
    pub(super) fn is_plain(&self) -> bool {
        is_plain(self.section)
    }

    /// How many faults there are by now.
    pub(super) fn problems(&self) -> usize {
        self.problems.count()
    }

    /// The keys of another section.
    pub(super) fn of<'b>(&'b mut self, section: &'b ConfigurationSection) -> Keys<'b> {
        Keys::new(section, self.problems)
    }

    pub(super) fn take(&mut self, error: SettingsError) {
        self.problems.take(error);
    }

    /// The names below a path of the configuration.
    pub(super) fn names_at(&self, path: &str) -> Vec<String> {
        let section = self.section.configuration().section(path);
        section.children().map(|child| child.key().to_owned()).collect()
    }

    /// Whether a key has a text, in the place of a list or a section.
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.section.get(key).is_some()
    }

    /// Whether a key is there. `null` is as if it were not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.section.section(key).exists()
    }

    /// The section of a key, which a plain text is not.
    pub(super) fn section(&mut self, key: &str) -> ConfigurationSection {
        let section = self.section.section(key);
        if is_plain(&section) {
            self.wrong(key, "expected a section");
        }
        section
    }

    /// What stands below a key by names of the user's own, which a list has none of.
    pub(super) fn named(&mut self, key: &str, expected: &str) -> Vec<ConfigurationSection> {
        let children: Vec<_> = self.section(key).children().collect();
        if children.first().is_some_and(|first| first.key() == "0") {
            self.wrong(key, format_args!("it is a list; expected {expected}"));
            return Vec::new();
        }
        children
    }

    /// The value of a key, if it is there and right.
    pub(super) fn value<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        if !self.has(key) {
            return None;
        }
        self.section.section(key).bind().map_err(|error| self.problems.push(error)).ok()
    }

    /// A text with something in it.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let text = self.value::<String>(key)?;
        if text.is_empty() {
            self.wrong(key, "it is empty");
            return None;
        }
        self.without_nul(key, text)
    }

    /// A text that goes to the system, which ends texts at a NUL.
    pub(super) fn without_nul(&mut self, key: &str, text: String) -> Option<String> {
        if text.contains('\0') {
            self.wrong(key, "it has a NUL, which no text for the system can have");
            return None;
        }
        Some(text)
    }

    /// A whole number in its range.
    pub(super) fn number(&mut self, key: &str, range: &RangeInclusive<u32>) -> Option<u32> {
        let text = self.value::<String>(key)?;
        match ranges::number(text.trim(), range, "") {
            Ok(number) => Some(number),
            Err(reason) => {
                self.wrong(key, format_args!("it {reason}"));
                None
            }
        }
    }

    /// A whole number that is not less than another.
    pub(super) fn at_least(&mut self, key: &str, least: u64) -> Option<u64> {
        let number = self.value::<u64>(key)?;
        if number < least {
            self.wrong(key, format_args!("it is below {least}"));
            return None;
        }
        Some(number)
    }

    pub(super) fn time(&mut self, key: &str) -> Option<Duration> {
        self.value::<Time>(key).map(|time| time.0)
    }

    /// A time in its range, which is in seconds.
    pub(super) fn time_in(&mut self, key: &str, range: &RangeInclusive<u32>) -> Option<Duration> {
        if !self.has(key) {
            return None;
        }
        let time = match self.section.section(key).bind::<Time>() {
            Ok(time) => time.0,
            Err(error) => {
                self.problems.push(format_args!("{error}; it is from {}", ranges::shown(range)));
                return None;
            }
        };
        if let Some(reason) = ranges::outside_time(time, range) {
            self.wrong(key, format_args!("it {reason}"));
            return None;
        }
        Some(time)
    }
}

/// An empty text says that there is nothing in a section.
fn is_plain(section: &ConfigurationSection) -> bool {
    section.value().is_some_and(|text| !text.is_empty())
}
