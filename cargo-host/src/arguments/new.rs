//! `cargo host new`.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

/// The options of `cargo host new`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewOptions {
    /// The folder to make, whose name is the crate's.
    pub(crate) folder: PathBuf,
    pub(crate) template: Template,
    pub(crate) hosting: Hosting,
}

/// What the crate is to be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    #[default]
    Empty,
    Axum,
    Grpc,
}

/// Where the crate finds `hosting`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Hosting {
    /// In the workspace that this tool was built from.
    #[default]
    Here,
    /// In a folder.
    Path(PathBuf),
    /// In a git repository.
    Git(String),
}

pub(crate) const HELP: &str = "\
Makes a crate that runs at once, with cargo run or cargo host run.

Usage: cargo host new NAME [OPTIONS]

NAME is the crate's; a path makes it elsewhere, and its last part is the name.

Options:
      --template empty|axum|grpc   What it is to be [default: empty]
      --hosting-path DIR           The folder of the crate `hosting` to depend on [default: the one in the
                                   workspace that this tool was built from]
      --hosting-git URL            Depend on the git repository with it instead
  -h, --help                       Print this
";

/// Reads what follows `new`; `None` asks for help.
pub(super) fn parse(mut parser: Parser) -> Result<Option<NewOptions>, lexopt::Error> {
    let (mut folder, mut template, mut hosting) = (None, Template::default(), Hosting::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("template") => template = parse_template(&parser.value()?.string()?)?,
            Arg::Long("hosting-path") => set(&mut hosting, Hosting::Path(parser.value()?.into()))?,
            Arg::Long("hosting-git") => set(&mut hosting, Hosting::Git(parser.value()?.string()?))?,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Value(value) if folder.is_none() => folder = Some(PathBuf::from(value)),
            other => return Err(other.unexpected()),
        }
    }
    let folder = folder.ok_or("the name of the crate is missing")?;
    Ok(Some(NewOptions { folder, template, hosting }))
}

fn set(hosting: &mut Hosting, to: Hosting) -> Result<(), lexopt::Error> {
    match std::mem::replace(hosting, to) {
        Hosting::Here => Ok(()),
        _ => Err("only one of --hosting-path and --hosting-git can be the one".into()),
    }
}

fn parse_template(name: &str) -> Result<Template, lexopt::Error> {
    match name {
        "empty" => Ok(Template::Empty),
        "axum" => Ok(Template::Axum),
        "grpc" => Ok(Template::Grpc),
        _ => Err(format!("there is no template {name:?}; there are empty, axum and grpc").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<NewOptions>, String> {
        super::parse(Parser::from_args(line.split_whitespace())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_is_all_it_takes() {
        let (folder, template, hosting) = (PathBuf::from("app"), Template::Empty, Hosting::Here);
        assert_eq!(parse("app"), Ok(Some(NewOptions { folder, template, hosting })));
        let (folder, template, hosting) = ("a/b".into(), Template::Grpc, Hosting::Path("../hosting".into()));
        let expected = NewOptions { folder, template, hosting };
        assert_eq!(parse("--template grpc a/b --hosting-path ../hosting"), Ok(Some(expected)));
        assert_eq!(parse("app --help"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, message) in [
            ("", "the name of the crate is missing"),
            ("a b", "unexpected argument \"b\""),
            ("a --template web", "there is no template \"web\"; there are empty, axum and grpc"),
            (
                "a --hosting-git x --hosting-path y",
                "only one of --hosting-path and --hosting-git can be the one",
            ),
        ] {
            assert_eq!(parse(line), Err(message.to_owned()), "{line}");
        }
    }
}
