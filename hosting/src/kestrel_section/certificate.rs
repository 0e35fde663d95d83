//! Certificate objects: in files, in a folder that is a store, or by a name.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use server_kestrel::{CertificateFile, ConfiguredAt, FindCertificate, ServerCertificate, StoredCertificate};

use super::https::Reader;
use crate::ConfigurationError;
use crate::startup::rooted;

/// A certificate: in files, in a store, or by the name that it has below `Kestrel:Certificates`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct CertificateSection {
    /// The name of a certificate below `Kestrel:Certificates`, in the place of a `Path` or a store. Default is none.
    name: Option<String>,
    /// A file with the chain in PEM, or with chain and key in PKCS#12; a relative path starts from the content root.
    /// Default is none.
    path: Option<PathBuf>,
    /// A file with the key in PEM; a relative path starts from the content root. Default is the file of `Path`.
    key_path: Option<PathBuf>,
    /// The password of the key or of the PKCS#12 file, better kept in a variable of the environment. Default is none.
    password: Option<String>,
    /// A part of the subject of a certificate in a store. Default is none.
    subject: Option<String>,
    /// The thumbprint of a certificate in a store: the digits of its SHA-1 or SHA-256. Default is none.
    thumbprint: Option<String>,
    /// The name of the store. Default is `My`.
    store: Option<String>,
    /// Whose store it is. Default is `CurrentUser`.
    location: Option<Location>,
    /// The folder that is the store, in the place of `Store` and `Location`; a relative path starts from the content root.
    /// Default is none.
    store_folder: Option<PathBuf>,
    /// Whether a certificate of the store may be one that is not valid today. Default is `false`.
    allow_invalid: Option<bool>,
}

/// Whose stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum Location {
    #[default]
    CurrentUser,
    LocalMachine,
}

/// The key that is wrong, and why.
type Wrong = (&'static str, String);

impl CertificateSection {
    /// The first key that is for a store only.
    fn store_key(&self) -> Option<&'static str> {
        let keys = [
            ("Subject", self.subject.is_some()),
            ("Thumbprint", self.thumbprint.is_some()),
            ("Store", self.store.is_some()),
            ("Location", self.location.is_some()),
            ("StoreFolder", self.store_folder.is_some()),
            ("AllowInvalid", self.allow_invalid.is_some()),
        ];
        keys.iter().find(|(_, is_there)| *is_there).map(|(key, _)| *key)
    }

    /// The first key that is for files only.
    fn file_key(&self) -> Option<&'static str> {
        if self.path.is_some() { Some("Path") } else { self.key_path.as_ref().map(|_| "KeyPath") }
    }

    fn stored(&self, reader: &Reader<'_>) -> Result<StoredCertificate, Wrong> {
        if let Some(key) = self.file_key() {
            let reason = "a certificate is in files (Path, KeyPath) or in a store (Subject or Thumbprint, Store, Location, StoreFolder, AllowInvalid), not both";
            return Err((key, reason.to_owned()));
        }
        let (key, find) = match (&self.subject, &self.thumbprint) {
            (Some(subject), None) => ("Subject", FindCertificate::Subject(subject.clone())),
            (None, Some(thumbprint)) => ("Thumbprint", FindCertificate::Thumbprint(thumbprint.clone())),
            (Some(_), Some(_)) => {
                return Err((
                    "Thumbprint",
                    "a certificate has a Subject or a Thumbprint, not both".to_owned(),
                ));
            }
            (None, None) => {
                return Err((
                    "Subject",
                    "a certificate in a store needs a Subject or a Thumbprint".to_owned(),
                ));
            }
        };
        find.check().map_err(|reason| (key, reason.to_owned()))?;
        Ok(StoredCertificate {
            folder: self.folder(reader)?,
            find,
            allow_invalid: self.allow_invalid.unwrap_or_default(),
            password: self.password.clone(),
            configured_at: ConfiguredAt::default(),
        })
    }

    fn folder(&self, reader: &Reader<'_>) -> Result<PathBuf, Wrong> {
        if let Some(folder) = &self.store_folder {
            return match (&self.store, self.location) {
                (None, None) => Ok(rooted(reader.environment, folder)),
                _ => Err((
                    "StoreFolder",
                    "a store has a folder, or a name and a location, not both".to_owned(),
                )),
            };
        }
        let store = self.store.as_deref().unwrap_or("My");
        if !is_plain(store) {
            return Err(("Store", "it must be a name, and no path; StoreFolder is one".to_owned()));
        }
        let folder = match self.location.unwrap_or_default() {
            Location::LocalMachine => PathBuf::from("/etc/server-kestrel"),
            Location::CurrentUser => of_user("StoreFolder")?,
        };
        Ok(folder.join("certificates").join(store))
    }
}

/// What a user has of the server.
fn of_user(instead: &'static str) -> Result<PathBuf, Wrong> {
    dev_certs::user_folder().ok_or_else(|| {
        (instead, "neither XDG_DATA_HOME nor HOME is set, so the user has no folder for it".to_owned())
    })
}

/// Whether it is a name of one file.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(part)), None) if part == name)
}

impl Reader<'_> {
    /// The certificate that a section of this path names.
    pub(super) fn certificate(
        &self,
        section: &CertificateSection,
        path: &str,
    ) -> Result<ServerCertificate, ConfigurationError> {
        let invalid = |(key, reason): Wrong| self.configuration.invalid(&format!("{path}:{key}"), reason);
        if let Some(name) = &section.name {
            let password = section.password.as_ref().map(|_| "Password");
            return match section.file_key().or(section.store_key()).or(password) {
                None => self.named(name, path),
                Some(key) => Err(invalid((
                    "Name",
                    format!("a certificate has a Name or keys of its own such as {key}, not both"),
                ))),
            };
        }
        if section.store_key().is_some() {
            let key = if section.subject.is_some() { "Subject" } else { "Thumbprint" };
            let configured_at = self.place(&format!("{path}:{key}"));
            let stored = section.stored(self).map_err(invalid)?;
            return Ok(ServerCertificate::Store(StoredCertificate { configured_at, ..stored }));
        }
        let Some(file) = &section.path else {
            return Err(invalid((
                "Path",
                format!(
                    "a certificate needs a Path, a Subject or Thumbprint in a store, or the Name of one below {}:Certificates",
                    self.root
                ),
            )));
        };
        let rooted = |path: &PathBuf| rooted(self.environment, path);
        Ok(ServerCertificate::File(CertificateFile {
            path: rooted(file),
            key_path: section.key_path.as_ref().map(rooted),
            password: section.password.clone(),
            configured_at: self.place(&format!("{path}:Path")),
        }))
    }

    /// The key, and where it was written.
    pub(super) fn place(&self, path: &str) -> ConfiguredAt {
        ConfiguredAt::new(match self.configuration.source(path) {
            Some(source) => format!("{path} ({source})"),
            None => path.to_owned(),
        })
    }

    /// The one of this name below `Kestrel:Certificates`, for the section of this path.
    fn named(&self, name: &str, path: &str) -> Result<ServerCertificate, ConfigurationError> {
        let invalid = |reason: String| self.configuration.invalid(&format!("{path}:Name"), reason);
        let Some((key, named)) = self.section(name) else {
            return Err(invalid(format!(
                "there is no certificate {name:?} below {}:Certificates",
                self.root
            )));
        };
        if named.name.is_some() {
            return Err(invalid("a certificate with a name of its own names no other".to_owned()));
        }
        self.certificate(named, &format!("{}:Certificates:{key}", self.root))
    }

    fn section(&self, name: &str) -> Option<(&String, &CertificateSection)> {
        self.certificates.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))
    }

    /// The certificate of endpoints that have none: `Default`; else, if the code has none either, the exported
    /// development certificate, if `Development` has its password.
    pub(super) fn default_certificate(
        &self,
        of_code: Option<ServerCertificate>,
    ) -> Result<Option<ServerCertificate>, ConfigurationError> {
        if let Some((key, section)) = self.section("Default") {
            return self.certificate(section, &format!("{}:Certificates:{key}", self.root)).map(Some);
        }
        match self.section("Development") {
            Some((key, section)) if of_code.is_none() && section.is_only_a_password() => {
                let exported = self.exported(section);
                exported.map(Some).map_err(|(wrong, reason)| {
                    let path = format!("{}:Certificates:{key}:{wrong}", self.root);
                    self.configuration.invalid(&path, reason)
                })
            }
            _ => Ok(of_code),
        }
    }

    /// The development certificate of this application, which was exported with a password.
    fn exported(&self, section: &CertificateSection) -> Result<ServerCertificate, Wrong> {
        let application = &self.environment.application_name;
        if !is_plain(application) {
            let reason = format!("the application's name {application:?} is that of no file; set a Path");
            return Err(("Password", reason));
        }
        let path = of_user("Path")?.join("https").join(format!("{application}.pfx"));
        if !path.is_file() {
            let shown = path.display();
            let reason = format!(
                "there is no file {shown} that it could be the password of; export the development certificate to it: cargo host dev-certs https -ep {shown} -p PASSWORD"
            );
            return Err(("Password", reason));
        }
        let password = section.password.clone();
        let configured_at = self.place(&format!("{}:Certificates:Development:Password", self.root));
        Ok(ServerCertificate::File(CertificateFile { password, configured_at, ..CertificateFile::new(path) }))
    }
}

impl CertificateSection {
    fn is_only_a_password(&self) -> bool {
        self.password.is_some()
            && self.name.is_none()
            && self.file_key().is_none()
            && self.store_key().is_none()
    }
}
