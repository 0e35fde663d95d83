use std::{fmt, io};

use hosting::BoxError;

/// What goes wrong on a connection to a process.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The system says that it is broken.
    Broken(io::Error),
    /// The process has ended it in the middle.
    Ended,
    /// The head of an answer is too long, or has too many fields.
    TooLarge,
    /// An answer is none; with the reason.
    Malformed(&'static str),
    /// The body of the request did not come to its end.
    Body(BoxError),
}

impl Fault {
    /// Whether another connection may do better.
    pub(super) fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Ended)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "the connection to the process is broken: {error}"),
            Self::Ended => f.write_str("the process has closed the connection before the end of its answer, or has said something before the request"),
            Self::TooLarge => {
                f.write_str("the head of the answer is longer than 64 KiB, or has more than 100 fields")
            }
            Self::Malformed(reason) => write!(f, "the answer of the process is malformed: {reason}"),
            Self::Body(error) => write!(f, "the body of the request has not come to its end: {error}"),
        }
    }
}

impl std::error::Error for Fault {}
