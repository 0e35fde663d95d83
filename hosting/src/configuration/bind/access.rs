//! Serde's views of a section: as a list, as keys with values, and as a choice among variants.

use std::{collections::btree_map, vec};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor, value::StrDeserializer,
};

use super::{Section, error::BindError, text::same_name};
use crate::configuration::tree::{Key, Node, Value};

/// The elements of a list.
pub(super) struct ListAccess<'a> {
    list: &'a Section<'a>,
    elements: vec::IntoIter<&'a Node>,
}

impl<'a> ListAccess<'a> {
    pub(super) fn new(list: &'a Section<'a>, elements: Vec<&'a Node>) -> Self {
        Self { list, elements: elements.into_iter() }
    }
}

impl<'de> SeqAccess<'de> for ListAccess<'_> {
    type Error = BindError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, BindError> {
        let Some(node) = self.elements.next() else { return Ok(None) };
        let element = self.list.child(node);
        seed.deserialize(&element).map(Some).map_err(|error| error.at(&element))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len())
    }
}

/// The keys and values of a section.
pub(super) struct SectionAccess<'a> {
    section: &'a Section<'a>,
    /// A struct's fields, which the keys are matched with; none for a map.
    fields: &'static [&'static str],
    children: btree_map::Values<'a, Key, Node>,
    current: Option<Section<'a>>,
}

impl<'a> SectionAccess<'a> {
    pub(super) fn new(section: &'a Section<'a>, fields: &'static [&'static str]) -> Self {
        Self { section, fields, children: section.node.children.values(), current: None }
    }
}

impl<'de> MapAccess<'de> for SectionAccess<'_> {
    type Error = BindError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BindError> {
        let Some(node) = self.children.next() else { return Ok(None) };
        let child = self.current.insert(self.section.child(node));
        let field = self.fields.iter().find(|field| same_name(field, &node.name));
        let key = match field {
            Some(field) => {
                let field: StrDeserializer<'_, BindError> = field.into_deserializer();
                seed.deserialize(field)
            }
            None => {
                // A key is bound like a value, so that maps may have numbers and enums as keys.
                let text = Node { value: Some(Value::text(&node.name, "")), ..Node::default() };
                seed.deserialize(&Section { path: child.path.clone(), node: &text })
            }
        };
        key.map(Some).map_err(|error| error.at_key(child))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BindError> {
        let child =
            self.current.take().ok_or_else(|| BindError::new("a value was asked for before its key"))?;
        seed.deserialize(&child).map_err(|error| error.at(&child))
    }
}

/// A choice among an enum's variants: by its name as text, or by the one key of a section, whose value is
/// then the variant's content.
pub(super) struct VariantChoice<'a> {
    name: &'static str,
    content: Option<Section<'a>>,
}

impl<'a> VariantChoice<'a> {
    pub(super) fn new(section: &Section<'a>, variants: &'static [&'static str]) -> Result<Self, BindError> {
        let expected = format!("one of {}", variants.join(", "));
        let named = |name: &str| variants.iter().copied().find(|variant| same_name(variant, name.trim()));
        let mut children = section.node.children.values();
        let (name, content) = match (section.node.text(), children.next(), children.next()) {
            (Some(text), _, _) => (named(text), None),
            (None, Some(only), None) => (named(&only.name), Some(section.child(only))),
            _ => (None, None),
        };
        let name = name.ok_or_else(|| section.unexpected(&expected))?;
        Ok(Self { name, content })
    }
}

impl<'de, 'a> EnumAccess<'de> for VariantChoice<'a> {
    type Error = BindError;
    type Variant = VariantContent<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), BindError> {
        let name: StrDeserializer<'_, BindError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, VariantContent { variant: self.name, content: self.content }))
    }
}

pub(super) struct VariantContent<'a> {
    variant: &'static str,
    content: Option<Section<'a>>,
}

impl<'a> VariantContent<'a> {
    fn with<T>(self, read: impl FnOnce(&Section<'a>) -> Result<T, BindError>) -> Result<T, BindError> {
        let Some(content) = self.content else {
            return Err(BindError::new(format!("expected a section with the key {}", self.variant)));
        };
        read(&content).map_err(|error| error.at(&content))
    }
}

impl<'de> VariantAccess<'de> for VariantContent<'_> {
    type Error = BindError;

    fn unit_variant(self) -> Result<(), BindError> {
        match self.content {
            None => Ok(()),
            Some(content) => {
                content.deserialize_unit(serde::de::IgnoredAny).map(drop).map_err(|error| error.at(&content))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, BindError> {
        self.with(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, BindError> {
        self.with(|content| content.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.with(|content| content.deserialize_struct("", fields, visitor))
    }
}
