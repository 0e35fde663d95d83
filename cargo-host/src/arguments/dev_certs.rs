//! `cargo host dev-certs`.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::{WrongUse, is_word, value_of_word};

/// The options of `cargo host dev-certs https`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DevCertsOptions {
    pub(crate) action: Action,
    pub(crate) verbosity: Verbosity,
}

/// What to do with the certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// See whether there is one, and whether it is trusted.
    Check { trust: bool },
    /// Remove it, and keep another one in its place.
    Clean(Option<Import>),
    /// See to it that there is one, then export it and have it trusted.
    Ensure { export: Option<Export>, trust: bool },
}

/// A certificate from elsewhere, PKCS#12.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: PathBuf,
    pub(crate) password: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
}

/// What is exported, as the original chooses it from its options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The certificate alone, in DER.
    Der,
    /// Certificate and key.
    Pkcs12 { password: String },
    /// The certificate alone.
    Pem,
    /// The certificate, and the key beside it; encrypted if there is a password.
    PemWithKey { password: Option<String> },
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    #[default]
    Normal,
    /// Also what was looked at in vain.
    Verbose,
}

pub(crate) const HELP: &str = "\
Makes the certificate for https in development, unless there is one; exports it and has it trusted.

Usage: cargo host dev-certs https [OPTIONS]

Options:
  -c, --check               Only see whether there is a valid one; with --trust also whether it is trusted
  -t, --trust               Have it trusted: by the system (which takes root), Chromium and Firefox
      --clean               Remove it, and the trust in it
  -ep, --export-path PATH   Export it to this file
      --format Pfx|Pem      As what [default: Pfx]. Pfx is PKCS#12 with a password, and without one the certificate
                            alone in DER. Pem is the certificate alone, or with --password or --no-password the
                            key as well, in a file beside it that ends in .key
  -p, --password PASSWORD   Encrypt the exported key, or decrypt the imported file
  -np, --no-password        Export the key as Pem without a password
  -i, --import PATH         With --clean and --password: keep the certificate in this PKCS#12 file instead
  -v, --verbose             Tell more
  -q, --quiet               Tell errors only
  -h, --help                Print this

Exit codes:
  0  done                             9  there is a certificate that cannot be used (--check)
  1  it could not be made            10  the format is neither Pfx nor Pem
  2  it could not be saved           11  the import failed
  3  the export failed               12  the file to import is missing
  4  it could not be trusted         13  the file to import cannot be read, or not with this password
     by everything that is here      14  what it holds is no development certificate
  6  there is none (--check)         15  there is a certificate already (--import)
  7  it is not trusted (--check)    255  the options are wrong
  8  it could not be removed
";

/// The exit code for options that are wrong.
const WRONG_USE: i32 = -1;
/// The exit code for a format that there is not.
const WRONG_FORMAT: i32 = 10;

/// The options as they stand there.
#[derive(Default)]
struct Given {
    check: bool,
    trust: bool,
    clean: bool,
    no_password: bool,
    verbose: bool,
    quiet: bool,
    export: Option<PathBuf>,
    import: Option<PathBuf>,
    password: Option<String>,
    format: Option<String>,
}

/// Reads what follows `dev-certs`; `None` asks for help.
pub(super) fn parse(parser: Parser) -> Result<Option<DevCertsOptions>, WrongUse> {
    let wrong = |message: String, exit_code| WrongUse { message, command: "cargo host dev-certs", exit_code };
    let given = read(parser).map_err(|error| wrong(error.to_string(), WRONG_USE))?;
    let Some(given) = given else { return Ok(None) };
    if let Some(format) = given.format.as_deref().filter(|format| is_pem(format).is_none()) {
        return Err(wrong(format!("the format {format:?} is neither Pfx nor Pem"), WRONG_FORMAT));
    }
    let verbosity = given.verbosity();
    let action = given.action().map_err(|message| wrong(message.to_owned(), WRONG_USE))?;
    Ok(Some(DevCertsOptions { action, verbosity }))
}

fn read(mut parser: Parser) -> Result<Option<Given>, lexopt::Error> {
    let mut given = Given::default();
    match parser.next()? {
        Some(Arg::Value(kind)) if kind == "https" => {}
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(None),
        _ => return Err("which certificate? There is one for https: cargo host dev-certs https".into()),
    }
    loop {
        if let Some(path) = value_of_word(&mut parser, "-ep")? {
            given.export = Some(path.into());
            continue;
        }
        if is_word(&mut parser, "-np") {
            given.no_password = true;
            continue;
        }
        match parser.next()? {
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(None),
            Some(argument) => given.take(option_name(argument)?, &mut parser)?,
            None => return Ok(Some(given)),
        }
    }
}

/// The long name of an option.
fn option_name(argument: Arg<'_>) -> Result<&'static str, lexopt::Error> {
    const NAMES: [(Option<char>, &str); 10] = [
        (Some('c'), "check"),
        (Some('t'), "trust"),
        (None, "clean"),
        (None, "export-path"),
        (None, "format"),
        (Some('p'), "password"),
        (None, "no-password"),
        (Some('i'), "import"),
        (Some('v'), "verbose"),
        (Some('q'), "quiet"),
    ];
    let found = NAMES.iter().find(|(short, long)| match &argument {
        Arg::Short(letter) => *short == Some(*letter),
        Arg::Long(name) => name == long,
        Arg::Value(_) => false,
    });
    found.map(|(_, name)| *name).ok_or_else(|| argument.unexpected())
}

impl Given {
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), lexopt::Error> {
        match name {
            "check" => self.check = true,
            "trust" => self.trust = true,
            "clean" => self.clean = true,
            "no-password" => self.no_password = true,
            "verbose" => self.verbose = true,
            "quiet" => self.quiet = true,
            "export-path" => self.export = Some(parser.value()?.into()),
            "import" => self.import = Some(parser.value()?.into()),
            "password" => self.password = Some(parser.value()?.string()?),
            _ => self.format = Some(parser.value()?.string()?),
        }
        Ok(())
    }

    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }

    fn action(self) -> Result<Action, &'static str> {
        if self.quiet && self.verbose {
            return Err("--quiet and --verbose exclude each other");
        }
        if self.check {
            return self.check_action();
        }
        if self.clean {
            return self.clean_action();
        }
        if self.import.is_some() {
            return Err("--import replaces the certificate, so it takes --clean as well, and --password");
        }
        let trust = self.trust;
        Ok(Action::Ensure { export: self.export()?, trust })
    }

    fn check_action(self) -> Result<Action, &'static str> {
        let others = self.clean || self.import.is_some() || self.exports();
        if others {
            return Err("--check only looks: of the others it goes with --trust, --verbose and --quiet");
        }
        Ok(Action::Check { trust: self.trust })
    }

    fn clean_action(self) -> Result<Action, &'static str> {
        if self.trust || self.export.is_some() || self.format.is_some() || self.no_password {
            return Err("--clean goes with --import and --password, and not with --trust or an export");
        }
        match (self.import, self.password) {
            (None, None) => Ok(Action::Clean(None)),
            (Some(path), Some(password)) => Ok(Action::Clean(Some(Import { path, password }))),
            (Some(_), None) => Err("--import takes the --password of the file"),
            (None, Some(_)) => Err("--clean takes a --password only with --import"),
        }
    }

    fn exports(&self) -> bool {
        self.export.is_some() || self.format.is_some() || self.password.is_some() || self.no_password
    }

    fn export(self) -> Result<Option<Export>, &'static str> {
        let exports = self.exports();
        let pem = self.format.as_deref().and_then(is_pem).unwrap_or(false);
        let Some(path) = self.export else {
            let error = "--format, --password and --no-password are for an export: --export-path is missing";
            return if exports { Err(error) } else { Ok(None) };
        };
        let format = match (pem, self.password, self.no_password) {
            (_, Some(_), true) => return Err("--password and --no-password exclude each other"),
            (false, None, true) => return Err("--no-password takes --format Pem"),
            (false, None, false) => Format::Der,
            (false, Some(password), false) => Format::Pkcs12 { password },
            (true, None, false) => Format::Pem,
            (true, password, _) => Format::PemWithKey { password },
        };
        Ok(Some(Export { path, format }))
    }
}

fn is_pem(format: &str) -> Option<bool> {
    match format.to_ascii_lowercase().as_str() {
        "pem" => Some(true),
        "pfx" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Action, (String, i32)> {
        let arguments = ["https"].into_iter().chain(line.split_whitespace());
        let parsed = super::parse(Parser::from_args(arguments));
        let parsed =
            parsed.map(|options| options.map_or(Action::Check { trust: false }, |options| options.action));
        parsed.map_err(|error| (error.message, error.exit_code))
    }

    #[test]
    fn what_is_exported_follows_from_format_and_password() {
        let secret = || "s".to_owned();
        for (line, format) in [
            ("-ep a", Format::Der),
            ("--export-path a --format PFX", Format::Der),
            ("-ep=a -p s", Format::Pkcs12 { password: secret() }),
            ("-ep a --format pem", Format::Pem),
            ("-ep a --format Pem --password s", Format::PemWithKey { password: Some(secret()) }),
            ("-np -ep a --format Pem", Format::PemWithKey { password: None }),
        ] {
            let export = Some(Export { path: "a".into(), format });
            assert_eq!(parse(line), Ok(Action::Ensure { export, trust: false }), "{line}");
        }
        assert_eq!(parse(""), Ok(Action::Ensure { export: None, trust: false }));
        assert_eq!(parse("-t"), Ok(Action::Ensure { export: None, trust: true }));
        assert_eq!(parse("-ct"), Ok(Action::Check { trust: true }));
        assert_eq!(parse("--clean -q"), Ok(Action::Clean(None)));
        let import = Import { path: "a".into(), password: secret() };
        assert_eq!(parse("--clean -i a -p s"), Ok(Action::Clean(Some(import))));
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for line in [
            "--check --clean",
            "--check -ep a",
            "-c --format Pem",
            "-c -p s",
            "-c -np",
            "-c -i a",
            "--clean -t",
            "--clean -ep a",
            "--clean --format Pem",
            "--clean -np",
            "--clean -p s",
            "--clean -i a",
            "-i a -p s",
            "-ep a --format Pem -p s -np",
            "-ep a -np",
            "-p s",
            "-np",
            "--format Pem",
            "-q -v",
            "word",
            "-x",
            "--export-path",
        ] {
            assert_eq!(parse(line).map_err(|(_, code)| code), Err(WRONG_USE), "{line}");
        }
        let error = parse("-ep a --format Der");
        assert_eq!(error, Err(("the format \"Der\" is neither Pfx nor Pem".to_owned(), 10)));
    }
}
