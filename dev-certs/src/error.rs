use std::{error, fmt, io, path::PathBuf};

use crate::InvalidPair;

/// Why there is no development certificate.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there, but holds no certificate with its key.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        source: InvalidPair,
    },
    /// The key or the certificate could not be made.
    Make(Box<dyn error::Error + Send + Sync>),
    /// A file could not be written or removed.
    Save {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(formatter, "could not read {}", path.display()),
            Self::Invalid { path, .. } => write!(formatter, "{} cannot be used", path.display()),
            Self::Make(_) => formatter.write_str("could not make a certificate"),
            Self::Save { path, .. } => write!(formatter, "could not write {}", path.display()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Save { source, .. } => Some(source),
            Self::Invalid { source, .. } => Some(source),
            Self::Make(source) => Some(&**source),
        }
    }
}
