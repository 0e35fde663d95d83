//! `cargo host schema`.

use std::path::PathBuf;

use lexopt::{Arg, Parser};

/// The options of `cargo host schema`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaOptions {
    /// The folder that the schemas are written to.
    pub(crate) folder: PathBuf,
}

pub(crate) const HELP: &str = "\
Writes the JSON Schemas of appsettings.json, launchSettings.json and module.json, by which editors complete and check
these files.
Files of an earlier version of this tool are replaced.

Usage: cargo host schema [OPTIONS]

Options:
      --out DIR  The folder to write them to [default: .vscode]
  -h, --help     Print this
";

/// Reads what follows `schema`; `None` asks for help.
pub(super) fn parse(mut parser: Parser) -> Result<Option<SchemaOptions>, lexopt::Error> {
    let mut folder = PathBuf::from(".vscode");
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("out") => folder = parser.value()?.into(),
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(SchemaOptions { folder }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_can_be_said() {
        let parse =
            |line: &str| parse(Parser::from_args(line.split_whitespace())).map_err(|error| error.to_string());
        let options = |folder: &str| Ok(Some(SchemaOptions { folder: folder.into() }));
        assert_eq!(parse(""), options(".vscode"));
        assert_eq!(parse("--out a/b"), options("a/b"));
        assert_eq!(parse("--help"), Ok(None));
        assert_eq!(parse("a"), Err("unexpected argument \"a\"".to_owned()));
        assert_eq!(parse("--out"), Err("missing argument for option '--out'".to_owned()));
    }
}
