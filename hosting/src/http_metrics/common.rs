//! Attributes that are made once.

use std::sync::OnceLock;

use http::{StatusCode, Version};
use opentelemetry::KeyValue;

use super::attributes::{
    Kind, METHODS, SCHEMES, VERSIONS, status_attribute, version_attribute, version_index,
};

type Attributes = [KeyValue; 4];

/// For each scheme, method and version the attributes with the first status that came, most often the one of nearly all
/// answers.
pub(super) struct CommonAttributes(Vec<OnceLock<(StatusCode, Attributes)>>);

impl Default for CommonAttributes {
    fn default() -> Self {
        Self((0..SCHEMES.len() * METHODS.len() * VERSIONS.len()).map(|_| OnceLock::new()).collect())
    }
}

impl CommonAttributes {
    /// `None`: this status is not the common one.
    pub(super) fn of(&self, kind: Kind, version: Version, status: StatusCode) -> Option<&Attributes> {
        let index = (kind.scheme() * METHODS.len() + kind.method()) * VERSIONS.len() + version_index(version);
        let (first, attributes) = self.0[index].get_or_init(|| {
            let [scheme, method] = [kind.scheme_attribute(), kind.method_attribute()];
            (status, [scheme, method, version_attribute(version), status_attribute(status)])
        });
        (*first == status).then_some(attributes)
    }
}
