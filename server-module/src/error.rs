use std::error::Error;
use std::fmt;

/// Settings that cannot be used: every fault that was found, each in a line of its own.
///
/// A line names the file with line and column, or the key with its value and its place, what is wrong there, and what
/// would be right. `Display` has all lines, and no line break at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<String>,
    /// The program that a file with these faults names, and where.
    pub(crate) process_path: Option<(String, String)>,
}

impl SettingsError {
    /// The lines, in the order in which the files and keys were read. There is one at least.
    pub fn problems(&self) -> impl ExactSizeIterator<Item = &str> {
        self.problems.iter().map(String::as_str)
    }

    pub(crate) fn naming(self, process_path: Option<(String, String)>) -> Self {
        Self { process_path, ..self }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl Error for SettingsError {}

/// More faults than anybody reads are counted only.
const MOST: usize = 100;

/// Collects faults.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<String>,
    left_out: usize,
}

impl Problems {
    /// The error of the only thing that is wrong.
    pub(crate) fn one(problem: impl fmt::Display) -> SettingsError {
        SettingsError { problems: vec![problem.to_string()], process_path: None }
    }

    pub(crate) fn push(&mut self, problem: impl fmt::Display) {
        if self.found.len() < MOST {
            self.found.push(problem.to_string());
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len() + self.left_out
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    pub(crate) fn take(&mut self, error: SettingsError) {
        error.problems.into_iter().for_each(|problem| self.push(problem));
    }

    /// The value, if nothing was found.
    pub(crate) fn or<T>(mut self, value: T) -> Result<T, SettingsError> {
        if self.found.is_empty() { Ok(value) } else { Err(self.finish()) }
    }

    /// The value, if there is one and nothing was found. Whoever has no value has said why.
    pub(crate) fn or_missing<T>(mut self, value: Option<T>) -> Result<T, SettingsError> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.finish()),
        }
    }

    pub(crate) fn finish(&mut self) -> SettingsError {
        let mut problems = std::mem::take(&mut self.found);
        if self.left_out > 0 {
            problems.push(format!("and {} more", self.left_out));
        }
        SettingsError { problems, process_path: None }
    }
}
