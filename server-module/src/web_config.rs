//! An application's own `web.config`.

mod asp_net_core;
mod element;
mod handler_settings;
mod reader;
mod sections;
mod values;

use std::io::{self, Read};
use std::path::Path;

use roxmltree::{Document, ParsingOptions};

use self::reader::Reader;
use crate::error::Problems;
use crate::worker::Identity;
use crate::{SettingsError, folder_file};

pub(crate) use self::element::why_no_name;

pub use self::asp_net_core::{AspNetCore, HostingModel};
pub use self::handler_settings::HandlerSettings;

/// The bytes that a file may have, as much as IIS reads by default.
const MAX_FILE_SIZE: u64 = 250 * 1024;

/// The elements and attributes that a file may have. One of the greatest size does not have many more.
const MAX_NODES: u32 = 50_000;

/// What an application's `web.config` says: the file that `dotnet publish` writes and that IIS reads.
///
/// The element `aspNetCore` is read out of `configuration/system.webServer`, also below `<location path=".">`. What IIS
/// understands and this module does not is accepted, so that one file serves both, and told in [`notes`](Self::notes).
/// What neither understands is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebConfig {
    /// The element `aspNetCore`.
    #[doc(alias = "aspNetCore")]
    pub asp_net_core: AspNetCore,
    /// The bytes that the body of a request may have, out of `security/requestFiltering/requestLimits`. Range is 0 to
    /// 4,294,967,295. Default is 30,000,000.
    #[doc(alias = "maxAllowedContentLength")]
    pub max_allowed_content_length: u32,
    /// What the file says and the module does not do, with line and column, in the order of the file.
    pub notes: Vec<String>,
    /// Where it names the program: file, line and column.
    pub(crate) process_path_at: String,
}

impl WebConfig {
    /// The name of the file.
    pub const FILE_NAME: &str = "web.config";

    /// The default of [`max_allowed_content_length`](Self::max_allowed_content_length).
    pub const DEFAULT_MAX_ALLOWED_CONTENT_LENGTH: u32 = 30_000_000;

    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 250 KiB or no text in UTF-8, or [`parse`](Self::parse) refuses it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        Self::load_for(path.as_ref(), None)
    }

    /// The same for an application that belongs to a user of its own.
    pub(crate) fn load_for(path: &Path, user: Option<&Identity>) -> Result<Self, SettingsError> {
        let mut problems = Problems::default();
        let text = read(path, user)
            .map_err(|error| problems.push(format_args!("could not read {}: {error}", path.display())));
        match text {
            Ok(text) => Self::parse(&path.display().to_string(), &text),
            Err(()) => problems.or_missing(None),
        }
    }

    /// Reads the text of a file; `name` stands for the file in messages.
    ///
    /// # Errors
    /// The text is no XML, has no `aspNetCore` element, or says something that is wrong or not known. The error has all
    /// faults, each with line and column; text that is no XML has one.
    pub fn parse(name: &str, text: &str) -> Result<Self, SettingsError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        match Document::parse_with_options(text, options) {
            Ok(document) => sections::read(Reader::new(name, &document)),
            Err(error) => {
                let mut problems = Problems::default();
                problems.push(format_args!("{name}:{}", reader::syntax(&error, text)));
                problems.or_missing(None)
            }
        }
    }

    /// Reads the file `web.config` of a folder.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_from(folder: impl AsRef<Path>) -> Result<Self, SettingsError> {
        Self::load(folder.as_ref().join(Self::FILE_NAME))
    }
}

fn read(path: &Path, user: Option<&Identity>) -> io::Result<String> {
    let mut text = String::new();
    let read = folder_file::open(path, user)?.take(MAX_FILE_SIZE + 1).read_to_string(&mut text).map_err(
        |error| match error.kind() {
            io::ErrorKind::InvalidData => {
                io::Error::new(error.kind(), "it is not text in UTF-8; save it in that encoding")
            }
            _ => error,
        },
    )?;
    if read as u64 > MAX_FILE_SIZE {
        let message =
            format!("it has more than {} KiB, which is the most that is read", MAX_FILE_SIZE / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}
