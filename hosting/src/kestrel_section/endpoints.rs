//! Endpoints of Kestrel in a section that is not called `Kestrel`.
//!
//! A program that listens for others has endpoints as well, and one vocabulary for them is enough. Its section has the keys
//! [`KEYS`], which mean what they mean below `Kestrel` (`CONFIGURATION.md` of the repository has them all), beside keys
//! of its own.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use server_kestrel::KestrelOptions;

use super::certificate::CertificateSection;
use super::https::Reader;
use super::limits::LimitsSection;
use super::{EndpointDefaultsSection, EndpointSection, apply_defaults, apply_limits, listen};
use crate::{ConfigurationError, ConfigurationSection, Error, HostEnvironment, dev_certificate};

/// The keys that [`apply`] reads below its section.
pub const KEYS: [&str; 4] = ["Certificates", "EndpointDefaults", "Endpoints", "Limits"];

/// What stands below the keys [`KEYS`], for the JSON Schema of a section that has them: it is flattened into it.
#[cfg(feature = "schema")]
#[derive(Debug, Default, schemars::JsonSchema)]
#[schemars(rename_all = "PascalCase", default)]
pub struct EndpointKeys {
    /// Certificates by name, for the `Name` of others; the one called `Default` is for every https address that has no
    /// other. Default is none.
    certificates: BTreeMap<String, CertificateSection>,
    /// For endpoints that do not say otherwise. Default is what each key says.
    endpoint_defaults: EndpointDefaultsSection,
    /// Where the program listens, by names of your own. Default is none.
    endpoints: BTreeMap<String, EndpointSection>,
    /// What connections and requests may take. Default is what each key says.
    limits: LimitsSection,
}

/// Puts the endpoints of the section, with their certificates and limits, on top of the options. Endpoints are added, in
/// the order of their names; relative paths start from the content root.
///
/// # Errors
/// Something cannot be understood or obeyed. There is one error for each certificate, each endpoint, the defaults and the
/// limits at the most, and each names the key and its place.
pub fn apply(
    section: &ConfigurationSection,
    environment: &HostEnvironment,
    options: &mut KestrelOptions,
) -> Result<(), Vec<ConfigurationError>> {
    let mut errors = Vec::new();
    let configuration = section.configuration();
    let certificates = each::<CertificateSection>(section, "Certificates", &mut errors);
    // A certificate that could not be read would only be missed again.
    let has_certificates = errors.is_empty();
    let endpoints = each::<EndpointSection>(section, "Endpoints", &mut errors);
    let defaults = keep(section.section("EndpointDefaults").bind(), &mut errors);
    if let Some(limits) = keep(section.section("Limits").bind::<LimitsSection>(), &mut errors) {
        keep(apply_limits(configuration, section.path(), limits, &mut options.limits), &mut errors);
    }
    let reader = Reader { configuration, environment, root: section.path(), certificates: &certificates };
    if has_certificates {
        apply_all(&reader, &defaults.unwrap_or_default(), &endpoints, options, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Gives the https endpoints that have no certificate the one of the user for development, which is made if there is none.
/// Returns what to tell the user, if there is anything.
///
/// [`WebApplication`](crate::WebApplication) does so by itself in the environment Development; nobody else should.
///
/// # Errors
/// It cannot be made: there is no place for it, or that cannot be written to.
pub fn use_development_certificate(options: &mut KestrelOptions) -> Result<Vec<String>, Error> {
    let mut messages = Vec::new();
    if dev_certificate::is_needed(options, false) {
        let certificate = dev_certificate::find_or_create(&mut messages)?.certificate;
        options.https_defaults.get_or_insert_default().certificate = certificate;
    }
    Ok(messages.into_iter().map(|(_, text)| text).collect())
}

fn apply_all(
    reader: &Reader<'_>,
    defaults: &EndpointDefaultsSection,
    endpoints: &BTreeMap<String, EndpointSection>,
    options: &mut KestrelOptions,
    errors: &mut Vec<ConfigurationError>,
) {
    keep(apply_defaults(reader, defaults, options), errors);
    for (name, endpoint) in endpoints {
        let endpoint = keep(listen(reader, name, endpoint, options), errors);
        options.endpoints.extend(endpoint);
    }
}

/// The sections by name below a key.
fn each<T: DeserializeOwned>(
    section: &ConfigurationSection,
    key: &str,
    errors: &mut Vec<ConfigurationError>,
) -> BTreeMap<String, T> {
    let section = section.section(key);
    keep(section.bind::<BTreeMap<String, IgnoredAny>>(), errors);
    let mut found = BTreeMap::new();
    for child in section.children() {
        if let Some(value) = keep(child.bind(), errors) {
            found.insert(child.key().to_owned(), value);
        }
    }
    found
}

fn keep<T>(result: Result<T, ConfigurationError>, errors: &mut Vec<ConfigurationError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}
