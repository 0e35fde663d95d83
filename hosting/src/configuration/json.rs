//! A JSON file as a layer.

use std::collections::HashMap;

use jsonc_parser::{
    ast::{Object, Value as Json},
    common::Ranged,
};

use super::{
    ConfigurationError,
    jsonc::{Document, Fault, kind},
    tree::{Content, Node, Value, join},
};

/// Puts the values of a JSON text into `layer`; `name` is the file's.
pub(super) fn read(name: &str, text: &str, layer: &mut Node) -> Result<(), ConfigurationError> {
    let document = Document::new(text);
    let broken = |fault: Fault| ConfigurationError::new(format!("could not read {name}: {fault}"));
    let value = document.parse().map_err(broken)?;
    let Json::Object(top) = &value else {
        let message = format!("expected an object at the top level, found {}", kind(&value));
        return Err(broken(document.fault(value.start(), message)));
    };
    let mut walk = Walk { document: &document, lines: HashMap::new(), found: Vec::new() };
    walk.object("", top).map_err(broken)?;
    walk.found.into_iter().try_for_each(|(path, offset, content)| {
        let position = document.position(offset);
        let source = format!("{name}:{}:{}", position.line, position.column);
        layer.set(&path, Value { content, source: source.into() })
    })
}

struct Walk<'a> {
    document: &'a Document<'a>,
    /// The line of every path seen, in lower case.
    lines: HashMap<String, usize>,
    found: Vec<(String, usize, Content)>,
}

impl Walk<'_> {
    fn object(&mut self, path: &str, object: &Object<'_>) -> Result<(), Fault> {
        for property in &object.properties {
            let path = join(path, property.name.as_str());
            self.once(&path, property.start())?;
            self.value(path, &property.value)?;
        }
        Ok(())
    }

    fn value(&mut self, path: String, value: &Json<'_>) -> Result<(), Fault> {
        let content = match value {
            Json::Object(object) if !object.properties.is_empty() => return self.object(&path, object),
            Json::Array(array) if !array.elements.is_empty() => {
                return array.elements.iter().enumerate().try_for_each(|(index, element)| {
                    let path = join(&path, &index.to_string());
                    self.once(&path, element.start())?;
                    self.value(path, element)
                });
            }
            Json::Object(_) | Json::Array(_) => Content::Empty,
            Json::StringLit(text) => Content::Text(text.value.clone().into_owned()),
            Json::NumberLit(number) => Content::Text(number.value.to_owned()),
            Json::BooleanLit(boolean) => Content::Text(boolean.value.to_string()),
            Json::NullKeyword(_) => Content::Null,
        };
        self.found.push((path, value.start(), content));
        Ok(())
    }

    /// Two spellings of one path would make a file say two things about one key.
    fn once(&mut self, path: &str, offset: usize) -> Result<(), Fault> {
        let line = self.document.position(offset).line;
        match self.lines.insert(path.to_lowercase(), line) {
            None => Ok(()),
            Some(first) => {
                let message = format!("the key {path:?} is given twice, first on line {first}");
                Err(self.document.fault(offset, message))
            }
        }
    }
}
