use std::{error::Error, fmt};

/// What failed, as the original's exit codes tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Make = 1,
    Save = 2,
    Export = 3,
    Trust = 4,
    /// `--check` found none.
    Missing = 6,
    /// `--check --trust` found one that is not trusted.
    NotTrusted = 7,
    Clean = 8,
    /// `--check` found one whose key is not there.
    Unusable = 9,
    Import = 11,
    ImportMissing = 12,
    /// The file is broken, or the password is another one.
    ImportUnreadable = 13,
    /// The file holds another kind of certificate.
    ImportForeign = 14,
    /// There is a certificate already.
    ImportPresent = 15,
}

/// Why the tool ends with something else than 0.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: String,
    source: Option<Box<dyn Error>>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None }
    }

    pub(super) fn because(self, source: impl Into<Box<dyn Error>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    pub(super) fn exit_code(&self) -> i32 {
        self.code as i32
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref()
    }
}
