//! The command line of an application: variables, arguments and the program, as `web.config` writes them.
//!
//! The file is written for Windows. Variables stand between `%`, arguments are one text, paths have backslashes. The
//! functions here say what that means for this system; none of them reads the process's own environment.

mod expand;
mod program;
mod split;

pub use self::expand::{expand, lookup};
pub use self::program::{ProgramError, find_program, local_path};
pub use self::split::split;

pub(crate) use self::expand::unset_variables;
pub(crate) use self::split::has_open_quote;
