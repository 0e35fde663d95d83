//! The system's store, which curl, OpenSSL and most programs but browsers read.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use dev_certs::{DevCertificate, Store, write_private};

use super::{TrustStore, is_in_path};

/// The store of one of the families of systems, if it is one that we know.
#[derive(Debug)]
pub(super) struct SystemStore(Option<Known>);

/// A store that is a folder for additions, a bundle of everything, and a command that makes the one from the other.
#[derive(Debug)]
struct Known {
    kind: Kind,
    /// Our file in the user's folder, to be copied.
    source: PathBuf,
    /// Its place among the additions.
    anchor: PathBuf,
    bundle: PathBuf,
    update: &'static [&'static str],
    update_after_removal: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A PEM file is all it takes.
    Debian,
    /// p11-kit puts into its bundles only what is an authority. Its own format can say that a certificate is to be
    /// taken for one, which is what OpenSSL needs to find it; it still can issue nothing.
    Fedora,
}

impl SystemStore {
    pub(super) fn find(store: &Store) -> Self {
        Self(Known::find(Path::new("/"), store))
    }

    fn known(&self) -> Result<&Known, String> {
        let unknown = "the store of this system is not known: neither Debian's (/usr/local/share/ca-certificates) nor \
                       Fedora's (/etc/pki/ca-trust/source/anchors)";
        self.0.as_ref().ok_or_else(|| unknown.to_owned())
    }
}

impl Known {
    fn find(root: &Path, store: &Store) -> Option<Self> {
        let user = env::var("USER").unwrap_or_default();
        let user: String = user.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
        let name = if user.is_empty() { "kestrel-dev".to_owned() } else { format!("kestrel-dev-{user}") };
        let debian = root.join("usr/local/share/ca-certificates");
        let fedora = root.join("etc/pki/ca-trust/source/anchors");
        if fedora.is_dir() {
            return Some(Self {
                kind: Kind::Fedora,
                source: store.folder().join("localhost.p11-kit"),
                anchor: fedora.join(name + ".p11-kit"),
                bundle: root.join("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
                update: &["update-ca-trust"],
                update_after_removal: &["update-ca-trust"],
            });
        }
        debian.is_dir().then(|| Self {
            kind: Kind::Debian,
            source: store.certificate_file(),
            anchor: debian.join(name + ".crt"),
            bundle: root.join("etc/ssl/certs/ca-certificates.crt"),
            update: &["update-ca-certificates"],
            // Else it leaves the links to what is gone.
            update_after_removal: &["update-ca-certificates", "--fresh"],
        })
    }

    fn content(&self, certificate: &DevCertificate) -> String {
        let pem = certificate.certificate_pem();
        match self.kind {
            Kind::Debian => pem,
            Kind::Fedora => format!(
                "[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\n\
                 certificate-category: authority\ntrusted: true\n{pem}"
            ),
        }
    }

    fn in_bundle(&self, certificate: &DevCertificate) -> Result<bool, String> {
        let bundle = fs::read(&self.bundle)
            .map_err(|error| format!("could not read {}: {error}", self.bundle.display()))?;
        let blocks =
            pem::parse_many(bundle).map_err(|error| format!("{}: {error}", self.bundle.display()))?;
        Ok(blocks.iter().any(|block| block.contents() == certificate.certificate_der()))
    }

    /// Whether we may change it, before anything is changed.
    fn may_change(&self) -> Result<(), String> {
        if !is_root() {
            return Err("that takes root".to_owned());
        }
        let program = self.update[0];
        if is_in_path(program) { Ok(()) } else { Err(format!("{program} is not in PATH")) }
    }

    fn install(&self) -> io::Result<()> {
        fs::copy(&self.source, &self.anchor)?;
        readable_by_all(&self.anchor)
    }
}

impl TrustStore for SystemStore {
    fn name(&self) -> String {
        let bundle = self.0.as_ref().map(|known| format!(" ({})", known.bundle.display()));
        format!("the system{}", bundle.unwrap_or_default())
    }

    fn trusts(&self, certificate: &DevCertificate) -> Result<bool, String> {
        self.known()?.in_bundle(certificate)
    }

    fn add(&self, certificate: &DevCertificate) -> Result<(), String> {
        let known = self.known()?;
        if known.in_bundle(certificate) == Ok(true) {
            return Ok(());
        }
        let prepared = write_private(&known.source, known.content(certificate).as_bytes());
        prepared.map_err(|error| format!("could not write {}: {error}", known.source.display()))?;
        known.may_change()?;
        known.install().map_err(|error| format!("could not write {}: {error}", known.anchor.display()))?;
        run(known.update)?;
        match known.in_bundle(certificate) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{} ran, but left the certificate out", known.update[0])),
            Err(reason) => Err(reason),
        }
    }

    fn remove(&self) -> Result<bool, String> {
        let Some(known) = &self.0 else { return Ok(false) };
        if known.kind == Kind::Fedora {
            let _ = fs::remove_file(&known.source);
        }
        if !known.anchor.exists() {
            return Ok(false);
        }
        known.may_change()?;
        fs::remove_file(&known.anchor)
            .map_err(|error| format!("could not remove {}: {error}", known.anchor.display()))?;
        run(known.update_after_removal)?;
        Ok(true)
    }

    fn add_by_hand(&self) -> String {
        let Some(known) = &self.0 else {
            return "add the certificate as the system's manual says".to_owned();
        };
        let (source, anchor) = (known.source.display(), known.anchor.display());
        format!("sudo install -m 644 '{source}' '{anchor}' && sudo {}", known.update.join(" "))
    }

    fn remove_by_hand(&self) -> String {
        let Some(known) = &self.0 else { return String::new() };
        let update = known.update_after_removal.join(" ");
        format!("sudo rm '{}' && sudo {update}", known.anchor.display())
    }
}

fn run(command: &[&str]) -> Result<(), String> {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.map_err(|error| format!("could not start {}: {error}", command[0]))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{} failed: {}", command[0], stderr.trim())) }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(unix)]
fn readable_by_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_known_by_its_folder_and_gets_what_it_takes() {
        let root = env::temp_dir().join(format!("system-store-{}", std::process::id()));
        let store = Store::in_folder(root.join("home"));
        assert!(Known::find(&root, &store).is_none());
        let certificate = store.find_or_make().unwrap().0;
        for (folder, kind, ending, start) in [
            ("usr/local/share/ca-certificates", Kind::Debian, "crt", "-----BEGIN CERTIFICATE-----"),
            ("etc/pki/ca-trust/source/anchors", Kind::Fedora, "p11-kit", "[p11-kit-object-v1]"),
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
            let known = Known::find(&root, &store).unwrap();
            assert_eq!(known.kind, kind);
            assert!(known.anchor.starts_with(root.join(folder)));
            assert_eq!(known.anchor.extension().unwrap(), ending);
            let content = known.content(&certificate);
            assert!(content.starts_with(start) && content.ends_with(&certificate.certificate_pem()));

            assert!(known.in_bundle(&certificate).unwrap_err().contains("could not read"));
            fs::create_dir_all(known.bundle.parent().unwrap()).unwrap();
            fs::write(&known.bundle, "").unwrap();
            assert_eq!(known.in_bundle(&certificate), Ok(false));
            fs::write(&known.bundle, format!("# others\n\n{}", certificate.certificate_pem())).unwrap();
            assert_eq!(known.in_bundle(&certificate), Ok(true));
            assert_eq!(SystemStore(Some(known)).add(&certificate), Ok(()), "there is nothing to do");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
