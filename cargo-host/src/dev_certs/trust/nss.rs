//! The databases of NSS, in which browsers keep their certificates, by its tool `certutil`.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use dev_certs::DevCertificate;

use super::TrustStore;

/// The name of our certificate in a database.
const NICKNAME: &str = "server-kestrel-localhost";

/// A database of one user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NssDatabase {
    folder: PathBuf,
    browser: Browser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Browser {
    Chromium,
    Firefox,
}

impl Browser {
    /// The trust for servers that makes the browser accept a certificate that is no authority. Chromium wants a
    /// trusted peer and refuses `C`; Firefox knows only what is trusted to issue, and takes the certificate for its
    /// own issuer.
    fn trust(self) -> &'static str {
        match self {
            Self::Chromium => "P,,",
            Self::Firefox => "C,,",
        }
    }
}

impl NssDatabase {
    /// Those that are there, of all the ways in which the browsers are installed.
    pub(super) fn find(home: &Path) -> Vec<Self> {
        const CHROMIUM: [&str; 3] =
            [".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"];
        const FIREFOX: [&str; 4] = [
            ".mozilla/firefox",
            ".config/mozilla/firefox",
            "snap/firefox/common/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/.mozilla/firefox",
        ];
        let chromium = CHROMIUM.iter().map(|folder| (home.join(folder), Browser::Chromium));
        let profiles =
            FIREFOX.iter().flat_map(|folder| fs::read_dir(home.join(folder)).into_iter().flatten());
        let firefox = profiles.flatten().map(|profile| (profile.path(), Browser::Firefox));
        let all = chromium.chain(firefox).filter(|(folder, _)| folder.join("cert9.db").is_file());
        let mut all: Vec<_> = all.map(|(folder, browser)| Self { folder, browser }).collect();
        all.sort_by(|one, other| one.folder.cmp(&other.folder));
        all
    }

    fn database(&self) -> String {
        format!("sql:{}", self.folder.display())
    }

    fn certutil(&self, arguments: &[&str], input: &str) -> Result<Output, String> {
        let mut command = Command::new("certutil");
        command.args(arguments).args(["-d", &self.database()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                "certutil is missing (on Debian in the package libnss3-tools, on Fedora in nss-tools)"
                    .to_owned()
            }
            _ => format!("could not start certutil: {error}"),
        })?;
        let mut stdin = child.stdin.take().expect("it was asked for");
        // If it does not want to read, it says why.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().map_err(|error| format!("could not read what certutil says: {error}"))
    }

    /// Runs it to a good end.
    fn change(&self, arguments: &[&str], input: &str) -> Result<(), String> {
        let output = self.certutil(arguments, input)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(stderr.trim().to_owned()) }
    }

    /// Whether there is one under our name.
    fn has_ours(&self) -> Result<bool, String> {
        Ok(self.certutil(&["-L", "-n", NICKNAME, "-a"], "")?.status.success())
    }
}

impl TrustStore for NssDatabase {
    fn name(&self) -> String {
        format!("{:?} ({})", self.browser, self.folder.display())
    }

    fn trusts(&self, certificate: &DevCertificate) -> Result<bool, String> {
        let ours = self.certutil(&["-L", "-n", NICKNAME, "-a"], "")?;
        let blocks = pem::parse_many(&ours.stdout).unwrap_or_default();
        let is_there = blocks.iter().any(|block| block.contents() == certificate.certificate_der());
        let all = self.certutil(&["-L"], "")?;
        let all = String::from_utf8_lossy(&all.stdout).into_owned();
        let trust = all.lines().find_map(|line| line.strip_prefix(NICKNAME)).map(str::trim);
        Ok(is_there && trust == Some(self.browser.trust()))
    }

    fn add(&self, certificate: &DevCertificate) -> Result<(), String> {
        self.remove()?;
        let arguments = ["-A", "-n", NICKNAME, "-t", self.browser.trust(), "-a"];
        self.change(&arguments, &certificate.certificate_pem())
    }

    fn remove(&self) -> Result<bool, String> {
        let mut is_removed = false;
        while self.has_ours()? {
            self.change(&["-D", "-n", NICKNAME], "")?;
            is_removed = true;
        }
        Ok(is_removed)
    }

    fn add_by_hand(&self) -> String {
        "install certutil and call this again, or add the certificate in the browser's settings".to_owned()
    }

    fn remove_by_hand(&self) -> String {
        format!("certutil -D -n {NICKNAME} -d '{}'", self.database())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_found_where_browsers_keep_them() {
        let home = std::env::temp_dir().join(format!("nss-{}", std::process::id()));
        for (folder, file) in [
            (".pki/nssdb", "cert9.db"),
            (".mozilla/firefox/b.default", "cert9.db"),
            (".mozilla/firefox/a.old", "cert8.db"),
            ("snap/firefox/common/.mozilla/firefox/c.default", "cert9.db"),
        ] {
            fs::create_dir_all(home.join(folder)).unwrap();
            fs::write(home.join(folder).join(file), "").unwrap();
        }
        let found: Vec<_> =
            NssDatabase::find(&home).into_iter().map(|found| (found.folder, found.browser)).collect();
        let expected = [
            (".mozilla/firefox/b.default", Browser::Firefox),
            (".pki/nssdb", Browser::Chromium),
            ("snap/firefox/common/.mozilla/firefox/c.default", Browser::Firefox),
        ];
        assert_eq!(found, expected.map(|(folder, browser)| (home.join(folder), browser)));
        fs::remove_dir_all(home).unwrap();
    }
}
