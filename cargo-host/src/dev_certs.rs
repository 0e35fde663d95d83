//! `cargo host dev-certs https`: the certificate that [`dev_certs`] keeps, which the host uses in Development.

mod export;
mod failure;
mod import;
mod trust;

use std::io::{self, Write};

use dev_certs::{DevCertificate, Error, Store};

use self::failure::{Code, Failure};
use crate::{
    arguments::{Action, DevCertsOptions, Export, Import, Verbosity},
    one_line,
};

/// Does what the options say and tells the exit code.
pub(crate) fn run(options: DevCertsOptions) -> i32 {
    let console = Console(options.verbosity);
    let result = match Store::of_user() {
        Some(store) => act(options.action, &store, &console),
        None => Err(Failure::new(
            Code::Save,
            "there is no place for a certificate: neither XDG_DATA_HOME nor HOME is set",
        )),
    };
    let Err(failure) = result else { return 0 };
    eprintln!("cargo host: {}", one_line(&failure));
    failure.exit_code()
}

fn act(action: Action, store: &Store, console: &Console) -> Result<(), Failure> {
    match action {
        Action::Check { trust } => check(store, trust, console),
        Action::Clean(None) => clean(store, console),
        Action::Clean(Some(import)) => replace(store, &import, console),
        Action::Ensure { export, trust } => ensure(store, export, trust, console),
    }
}

fn check(store: &Store, trust: bool, console: &Console) -> Result<(), Failure> {
    let found = store
        .find()
        .map_err(|error| Failure::new(Code::Unusable, "the certificate cannot be used").because(error))?;
    let Some(certificate) = found else {
        let message = format!(
            "there is no valid certificate in {}; make one: cargo host dev-certs https",
            store.folder().display()
        );
        return Err(Failure::new(Code::Missing, message));
    };
    console.say(&describe(&certificate, store));
    if trust { trust::check(&certificate, store, console) } else { Ok(()) }
}

fn ensure(store: &Store, export: Option<Export>, trust: bool, console: &Console) -> Result<(), Failure> {
    let (certificate, is_new) = store.find_or_make().map_err(|error| match error {
        Error::Make(_) => Failure::new(Code::Make, "there is no certificate").because(error),
        _ => Failure::new(Code::Save, "the certificate was not saved").because(error),
    })?;
    let made = if is_new { "made a certificate" } else { "there is a valid certificate already" };
    console.say(made);
    console.detail(&describe(&certificate, store));
    if let Some(export) = export {
        export::write(&certificate, &export, console)?;
    }
    if trust { trust::add(&certificate, store, console) } else { Ok(()) }
}

/// Removes the certificate, also when the trust in it cannot be.
fn clean(store: &Store, console: &Console) -> Result<(), Failure> {
    let trust = trust::remove(store, console);
    let removed = store
        .remove()
        .map_err(|error| Failure::new(Code::Clean, "the certificate is still there").because(error))?;
    console.say(if removed { "removed the certificate" } else { "there was no certificate to remove" });
    trust
}

/// Reads the file first: one that is of no use costs nobody their certificate.
fn replace(store: &Store, import: &Import, console: &Console) -> Result<(), Failure> {
    let certificate = import::read(import)?;
    clean(store, console)?;
    import::keep(&certificate, store)?;
    console.say(&format!("imported {}", import.path.display()));
    Ok(())
}

fn describe(certificate: &DevCertificate, store: &Store) -> String {
    format!("{}, valid until {}", store.certificate_file().display(), certificate.valid_until())
}

/// Where the user reads what was done.
struct Console(Verbosity);

impl Console {
    fn say(&self, text: &str) {
        self.write(Verbosity::Normal, text);
    }

    fn detail(&self, text: &str) {
        self.write(Verbosity::Verbose, text);
    }

    fn write(&self, from: Verbosity, text: &str) {
        if self.0 >= from {
            // Whoever reads this may stop reading; the work goes on.
            let _ = writeln!(io::stdout(), "{text}");
        }
    }
}
