use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    DevCertificate, Error,
    private_file::{create_private_folder, write_private},
};

/// The folder in which a user's development certificate lies.
///
/// `localhost.pem` holds certificate and key and is readable by the user only; `localhost.crt` is the certificate
/// alone, for those who are to trust it.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// `server-kestrel` in the user's data folder: `$XDG_DATA_HOME`, else `~/.local/share`; on macOS
/// `~/Library/Application Support`, on Windows `%LOCALAPPDATA%`. `None` if the variables of none are set.
pub fn user_folder() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    Some(data?.join("server-kestrel"))
}

impl Store {
    /// `dev-certs` in the [user's folder](user_folder). `None` if there is none.
    pub fn of_user() -> Option<Self> {
        Some(Self::in_folder(user_folder()?.join("dev-certs")))
    }

    /// A folder, which need not exist yet.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with certificate and key.
    pub fn pair_file(&self) -> PathBuf {
        self.folder.join("localhost.pem")
    }

    /// The file with the certificate alone.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.join("localhost.crt")
    }

    /// The certificate, if there is one that is [current](DevCertificate::is_current).
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Invalid`]: there is a file, which is of no use.
    pub fn find(&self) -> Result<Option<DevCertificate>, Error> {
        let path = self.pair_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let found = DevCertificate::from_pem(&text).map_err(|source| Error::Invalid { path, source })?;
        Ok(found.is_current().then_some(found))
    }

    /// The certificate, and whether it was made because there was none that can be used.
    ///
    /// Of programs that start at once, one makes it and the others wait for it.
    ///
    /// # Errors
    /// [`Error::Make`] and [`Error::Save`].
    pub fn find_or_make(&self) -> Result<(DevCertificate, bool), Error> {
        // What is of no use is replaced.
        let find = || self.find().ok().flatten();
        if let Some(found) = find() {
            return Ok((found, false));
        }
        let _lock = self.lock()?;
        if let Some(found) = find() {
            return Ok((found, false));
        }
        let made = DevCertificate::make()?;
        self.write(&made)?;
        Ok((made, true))
    }

    /// Keeps a certificate in the place of the one that may be there.
    ///
    /// # Errors
    /// [`Error::Save`].
    pub fn save(&self, certificate: &DevCertificate) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.write(certificate)
    }

    /// Removes the certificate; false if there was none.
    ///
    /// # Errors
    /// [`Error::Save`].
    pub fn remove(&self) -> Result<bool, Error> {
        if !self.folder.exists() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let mut is_removed = false;
        for path in [self.pair_file(), self.certificate_file()] {
            match fs::remove_file(&path) {
                Ok(()) => is_removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Save { path, source }),
            }
        }
        Ok(is_removed)
    }

    /// Held until the file is closed.
    fn lock(&self) -> Result<fs::File, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| Error::Save { path, source }
        };
        create_private_folder(&self.folder).map_err(failed(&self.folder))?;
        let path = self.folder.join("lock");
        let file = fs::File::create(&path).map_err(failed(&path))?;
        file.lock().map_err(failed(&path))?;
        Ok(file)
    }

    fn write(&self, certificate: &DevCertificate) -> Result<(), Error> {
        let text = certificate.certificate_pem();
        let both = text.clone() + &certificate.key_pem();
        // The pair comes last and in one file: once it is there, everything is, and nobody reads half of it.
        for (path, text) in [(self.certificate_file(), text), (self.pair_file(), both)] {
            write_private(&path, text.as_bytes()).map_err(|source| Error::Save { path, source })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_is_private() {
        let store = Store::in_folder(env::temp_dir().join(format!("dev-certs-{}", std::process::id())));
        assert_eq!(store.find().unwrap(), None);
        assert!(!store.remove().unwrap());
        let (made, is_new) = store.find_or_make().unwrap();
        assert!(is_new);
        assert_eq!(store.find().unwrap().as_ref(), Some(&made));
        assert_eq!(store.find_or_make().unwrap(), (made, false));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(store.pair_file()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let crt = fs::read_to_string(store.certificate_file()).unwrap();
        assert!(!crt.contains("PRIVATE KEY"));
        fs::write(store.pair_file(), "broken").unwrap();
        assert!(matches!(store.find(), Err(Error::Invalid { .. })));
        assert!(store.find_or_make().unwrap().1);
        assert!(store.remove().unwrap() && !store.remove().unwrap());
        fs::remove_dir_all(store.folder()).unwrap();
    }
}
