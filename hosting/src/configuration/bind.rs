//! Binding a section to a type: serde's `Deserializer` over the tree.

mod access;
mod error;
#[cfg(test)]
mod tests;
mod text;

use serde::{
    Deserializer,
    de::{DeserializeOwned, Expected, Visitor},
};

pub(super) use self::text::{EXPECTED_BOOL, parse_bool};
use self::{
    access::{ListAccess, SectionAccess, VariantChoice},
    error::BindError,
};
use super::{
    ConfigurationError,
    tree::{ABSENT, Key, Node},
};

/// Reads the section at `path` into a `T`.
pub(super) fn bind<T: DeserializeOwned>(root: &Node, path: &str) -> Result<T, ConfigurationError> {
    let section = Section { path: root.spelling(path), node: root.find(path).unwrap_or(&ABSENT) };
    T::deserialize(&section).map_err(|error| error.at(&section).into_located())
}

/// One key with its full path, as a thing to deserialize.
struct Section<'a> {
    path: String,
    node: &'a Node,
}

impl<'a> Section<'a> {
    fn child(&self, node: &'a Node) -> Self {
        Self { path: super::tree::join(&self.path, &node.name), node }
    }

    /// The key's text; anything else is an error that says what was expected.
    fn text(&self, expected: &str) -> Result<&'a str, BindError> {
        self.node.text().ok_or_else(|| self.unexpected(expected))
    }

    /// A key with a text of its own is no section, unless it is empty, which says "nothing in it".
    fn not_text(&self, expected: &str) -> Result<(), BindError> {
        match self.node.text() {
            Some(text) if !text.is_empty() && self.node.children.is_empty() => Err(self.unexpected(expected)),
            _ => Ok(()),
        }
    }

    fn unexpected(&self, expected: &str) -> BindError {
        let node = self.node;
        let names: Vec<_> = node.children.values().map(|child| child.name.as_str()).collect();
        BindError::new(if node.is_absent() {
            format!("expected {expected}, found nothing")
        } else if node.is_null() {
            format!("expected {expected}, found null")
        } else if !names.is_empty() {
            format!("expected {expected}, found a section with {}", names.join(", "))
        } else {
            format!("expected {expected}")
        })
    }

    /// The children of a list in their order.
    fn elements(&self, expected: &str) -> Result<Vec<&'a Node>, BindError> {
        self.not_text(expected)?;
        let named = self.node.children.iter().find(|(key, _)| matches!(key, Key::Name(_)));
        match named {
            Some((_, child)) => Err(BindError::new(format!(
                "expected a list, whose keys are 0, 1 and so on; found {}",
                child.name
            ))),
            None => Ok(self.node.children.values().collect()),
        }
    }

    fn is_list(&self) -> bool {
        self.node.children.keys().all(|key| matches!(key, Key::Index(..)))
    }
}

/// What a type says that it expects, unless those are serde's own words, which tell of Rust.
fn wanted(visitor: &dyn Expected, otherwise: &str) -> String {
    let words = visitor.to_string();
    let are_serdes = words.starts_with("struct ") || words.starts_with("tuple ") || words == "a sequence";
    if are_serdes { otherwise.to_owned() } else { words }
}

macro_rules! numbers {
    ($($deserialize:ident $visit:ident $number:ty, $parse:expr;)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
            let parse: fn(&str) -> Result<$number, String> = $parse;
            let text = self.text("a number")?;
            visitor.$visit(parse(text).map_err(BindError::new)?)
        })*
    };
}

macro_rules! whole_number {
    ($number:ty) => {
        |text| text::whole_number(text, <$number>::BITS, (<$number>::MIN, <$number>::MAX))
    };
}

impl<'de> Deserializer<'de> for &Section<'_> {
    type Error = BindError;

    numbers! {
        deserialize_u8 visit_u8 u8, whole_number!(u8);
        deserialize_u16 visit_u16 u16, whole_number!(u16);
        deserialize_u32 visit_u32 u32, whole_number!(u32);
        deserialize_u64 visit_u64 u64, whole_number!(u64);
        deserialize_u128 visit_u128 u128, whole_number!(u128);
        deserialize_i8 visit_i8 i8, whole_number!(i8);
        deserialize_i16 visit_i16 i16, whole_number!(i16);
        deserialize_i32 visit_i32 i32, whole_number!(i32);
        deserialize_i64 visit_i64 i64, whole_number!(i64);
        deserialize_i128 visit_i128 i128, whole_number!(i128);
        deserialize_f32 visit_f32 f32, text::number;
        deserialize_f64 visit_f64 f64, text::number;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let text = self.text("true or false")?;
        visitor.visit_bool(parse_bool(text).ok_or_else(|| BindError::new(EXPECTED_BOOL))?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_str(self.text("a text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_bytes(self.text("a text")?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        if self.node.is_absent() || self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        if self.node.text().is_some_and(|text| !text.is_empty()) || !self.node.children.is_empty() {
            return Err(self.unexpected("nothing"));
        }
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let elements = self.elements(&wanted(&visitor, "a list"))?;
        visitor.visit_seq(ListAccess::new(self, elements))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, BindError> {
        let elements = self.elements("a list")?;
        match elements.len() {
            found if found == length => visitor.visit_seq(ListAccess::new(self, elements)),
            found => Err(BindError::new(format!("expected a list of {length}, found {found}"))),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.not_text("a section")?;
        visitor.visit_map(SectionAccess::new(self, &[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.not_text(&wanted(&visitor, "a section"))?;
        visitor.visit_map(SectionAccess::new(self, fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        visitor.visit_enum(VariantChoice::new(self, variants)?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_unit()
    }

    /// What the key looks like, for types that do not say what they want.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        match self.node.text() {
            _ if !self.node.children.is_empty() && self.is_list() => self.deserialize_seq(visitor),
            _ if !self.node.children.is_empty() => self.deserialize_map(visitor),
            Some(text) => visitor.visit_str(text),
            None if self.node.is_null() => visitor.visit_unit(),
            None => self.deserialize_map(visitor),
        }
    }
}
