//! Who is to trust the certificate: the system's programs, Chromium and Firefox.

mod nss;
mod system;

use std::{env, path::PathBuf};

use dev_certs::{DevCertificate, Store};

use self::{nss::NssDatabase, system::SystemStore};
use super::{
    Console,
    failure::{Code, Failure},
};

/// Something that keeps certificates to trust.
trait TrustStore {
    /// What it is, for the user.
    fn name(&self) -> String;

    /// Whether it has this certificate and trusts it.
    fn trusts(&self, certificate: &DevCertificate) -> Result<bool, String>;

    /// Trusts this certificate in the place of an earlier one of ours.
    fn add(&self, certificate: &DevCertificate) -> Result<(), String>;

    /// Forgets ours; false if there was none.
    fn remove(&self) -> Result<bool, String>;

    /// The command for the user that does what [`add`](Self::add) could not.
    fn add_by_hand(&self) -> String;

    /// The command for the user that does what [`remove`](Self::remove) could not.
    fn remove_by_hand(&self) -> String;
}

/// Adds it to everything that is here.
pub(super) fn add(certificate: &DevCertificate, store: &Store, console: &Console) -> Result<(), Failure> {
    let mut is_everywhere = true;
    for place in places(store, console) {
        match place.add(certificate) {
            Ok(()) => console.say(&format!("trusted by {}", place.name())),
            Err(reason) => {
                is_everywhere = false;
                eprintln!("not trusted by {}: {reason}", place.name());
                eprintln!("  by hand: {}", place.add_by_hand());
            }
        }
    }
    let failure = || {
        let file = store.certificate_file();
        let message = format!(
            "not everything here trusts the certificate; a program can be told to, as with curl --cacert {}",
            file.display()
        );
        Failure::new(Code::Trust, message)
    };
    if is_everywhere { Ok(()) } else { Err(failure()) }
}

/// Sees whether everything that is here trusts it.
pub(super) fn check(certificate: &DevCertificate, store: &Store, console: &Console) -> Result<(), Failure> {
    let mut is_everywhere = true;
    for place in places(store, console) {
        let (is_trusted, text) = match place.trusts(certificate) {
            Ok(true) => (true, format!("trusted by {}", place.name())),
            Ok(false) => (false, format!("not trusted by {}", place.name())),
            Err(reason) => (false, format!("not known whether {} trusts it: {reason}", place.name())),
        };
        is_everywhere &= is_trusted;
        console.say(&text);
    }
    let failure = || {
        let message = "not everything here trusts the certificate: cargo host dev-certs https --trust";
        Failure::new(Code::NotTrusted, message)
    };
    if is_everywhere { Ok(()) } else { Err(failure()) }
}

/// Removes the trust in it from everything that is here.
pub(super) fn remove(store: &Store, console: &Console) -> Result<(), Failure> {
    let mut is_everywhere = true;
    for place in places(store, console) {
        match place.remove() {
            Ok(true) => console.say(&format!("no longer trusted by {}", place.name())),
            Ok(false) => console.detail(&format!("was not trusted by {}", place.name())),
            Err(reason) => {
                is_everywhere = false;
                eprintln!("still trusted by {}: {reason}", place.name());
                eprintln!("  by hand: {}", place.remove_by_hand());
            }
        }
    }
    let failure = || Failure::new(Code::Clean, "the certificate is still trusted");
    if is_everywhere { Ok(()) } else { Err(failure()) }
}

/// The places that are here.
fn places(store: &Store, console: &Console) -> Vec<Box<dyn TrustStore>> {
    let mut places: Vec<Box<dyn TrustStore>> = vec![Box::new(SystemStore::find(store))];
    let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let databases = home.map_or_else(Vec::new, |home| NssDatabase::find(&home));
    if databases.is_empty() {
        console.detail(
            "there is no certificate database of Chromium or Firefox; each makes its own at its first start",
        );
    }
    places.extend(databases.into_iter().map(|database| Box::new(database) as Box<dyn TrustStore>));
    places
}

/// Whether a program is in `PATH`.
fn is_in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
