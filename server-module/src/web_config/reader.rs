//! What is found while a file is read, each with its place.

use std::fmt;

use roxmltree::{Attribute, Document, Error, Node, NodeType};

use crate::SettingsError;
use crate::error::Problems;
use crate::nearest;

/// As many notes as anybody reads.
const MOST_NOTES: usize = 100;

/// The longest value that a message has.
const MOST_SHOWN: usize = 60;

/// What the configuration system of IIS understands at every section: who may change it.
const LOCKS: [&str; 5] =
    ["lockAllAttributesExcept", "lockAllElementsExcept", "lockAttributes", "lockElements", "lockItem"];

pub(super) struct Reader<'a, 'input> {
    name: &'a str,
    pub(super) document: &'a Document<'input>,
    problems: Problems,
    notes: Vec<String>,
}

impl<'a, 'input> Reader<'a, 'input> {
    pub(super) fn new(name: &'a str, document: &'a Document<'input>) -> Self {
        Self { name, document, problems: Problems::default(), notes: Vec::new() }
    }

    /// The file, or all that is wrong with it. Without a file something is.
    pub(super) fn finish<T>(self, make: impl FnOnce(Vec<String>) -> Option<T>) -> Result<T, SettingsError> {
        self.problems.or_missing(make(self.notes))
    }

    /// Says what is wrong with an element.
    pub(super) fn problem(&mut self, element: Node<'_, '_>, message: impl fmt::Display) {
        self.problem_at(element.range().start, message);
    }

    fn problem_at(&mut self, offset: usize, message: impl fmt::Display) {
        // Places are found by going through the text, which many of them should not do.
        let place = if self.problems.is_full() { String::new() } else { self.place(offset) };
        self.problems.push(format_args!("{place}: {message}"));
    }

    /// Says what an element has that is not applied.
    pub(super) fn note(&mut self, element: Node<'_, '_>, message: impl fmt::Display) {
        self.note_at(element.range().start, message);
    }

    fn note_at(&mut self, offset: usize, message: impl fmt::Display) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(format!("{}: {message}", self.place(offset)));
        }
    }

    /// `file:line:column`.
    pub(super) fn place(&self, offset: usize) -> String {
        let position = self.document.text_pos_at(offset);
        format!("{}:{}:{}", self.name, position.row, position.col)
    }

    /// Reads an attribute, if it is there and right.
    pub(super) fn attribute<T>(
        &mut self,
        element: Node<'_, '_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let attribute = element.attribute_node(name)?;
        let value = attribute.value();
        parse(value)
            .map_err(|reason| {
                self.problem_at(attribute.range().start, format_args!("{name}={} {reason}", shown(value)))
            })
            .ok()
    }

    /// Reads a text that must be there and have something in it.
    pub(super) fn required(&mut self, element: Node<'_, '_>, name: &str) -> Option<String> {
        let Some(attribute) = element.attribute_node(name) else {
            self.problem(
                element,
                format_args!("{} has no {name}, which it must have", element.tag_name().name()),
            );
            return None;
        };
        if attribute.value().is_empty() {
            self.problem_at(
                attribute.range().start,
                format_args!("{name}=\"\" is empty, which it must not be"),
            );
            return None;
        }
        Some(attribute.value().to_owned())
    }

    /// Refuses attributes that are not known, and notes those that say who may change a section of IIS.
    pub(super) fn only_attributes(&mut self, element: Node<'_, '_>, known: &[&str]) {
        for attribute in element.attributes() {
            let (name, offset) = (attribute.name(), attribute.range().start);
            if is_known(&attribute, known) {
                continue;
            }
            if is_known(&attribute, &LOCKS) {
                self.note_at(offset, format_args!("{name} is not applied: it is about the files of IIS"));
                continue;
            }
            let element = element.tag_name().name();
            let advice = nearest::advice(name, known);
            self.problem_at(offset, format_args!("{element} has no attribute {name}; {advice}"));
        }
    }

    /// The elements right below; text between them is refused.
    pub(super) fn children(
        &mut self,
        element: Node<'a, 'input>,
    ) -> impl Iterator<Item = Node<'a, 'input>> + use<'a, 'input> {
        for child in element.children() {
            let is_text = child.node_type() == NodeType::Text;
            if is_text && child.text().is_some_and(|text| !text.trim().is_empty()) {
                let name = element.tag_name().name();
                self.problem(child, format_args!("{name} has text, where only elements can be"));
            }
        }
        element.children().filter(Node::is_element)
    }

    /// Refuses an element that is not known here.
    pub(super) fn unknown(&mut self, element: Node<'_, '_>, known: &[&str]) {
        let name = element.tag_name().name();
        let parent = element.parent_element().map_or("the file", |parent| parent.tag_name().name());
        let advice = nearest::advice(name, known);
        self.problem(element, format_args!("{parent} has no element {name}; {advice}"));
    }
}

fn is_known(attribute: &Attribute<'_, '_>, known: &[&str]) -> bool {
    attribute.namespace().is_none() && known.contains(&attribute.name())
}

/// A value in quotes, its beginning if it is long.
fn shown(value: &str) -> String {
    match value.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// Why a text is no XML: line, column, and the reason.
pub(super) fn syntax(error: &Error, text: &str) -> String {
    let position = error.pos();
    let (mut row, mut column) = (position.row, position.col);
    let reason = match error {
        Error::DtdDetected => "a document type is not read; take <!DOCTYPE ...> out".to_owned(),
        Error::NodesLimitReached => "the file has more elements and attributes than are read".to_owned(),
        Error::UnclosedRootNode | Error::UnexpectedEndOfStream => {
            (row, column) = end(text);
            "it ends before the last element is closed".to_owned()
        }
        // The parser may append where it is, which has been said.
        other => {
            let text = other.to_string();
            text.strip_suffix(&format!(" at {position}")).unwrap_or(&text).to_owned()
        }
    };
    format!("{row}:{column}: the file is no XML: {reason}")
}

/// Line and column of the end.
fn end(text: &str) -> (u32, u32) {
    let lines = text.matches('\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default().chars().count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (number(lines).saturating_add(1), number(last).saturating_add(1))
}
