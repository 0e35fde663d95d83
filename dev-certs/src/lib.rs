//! The development certificate of a user: made once, kept in one place, found by the host and by `cargo host`.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("dev-certs-doc-{}", std::process::id()));
//! let store = dev_certs::Store::in_folder(&folder);
//! let (certificate, is_new) = store.find_or_make()?;
//! assert!(is_new && certificate.is_current());
//! assert_eq!(store.find()?, Some(certificate));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It needs one of the cargo features `aws-lc-rs` and `ring`, which make the key.

mod certificate;
mod error;
mod make;
mod private_file;
mod store;

pub use certificate::{DevCertificate, InvalidPair};
pub use error::Error;
pub use private_file::write_private;
pub use store::{Store, user_folder};
