//! What the settings need of the system.

use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::{ApplicationOptions, ModuleOptions, ROOT};
use crate::SettingsError;
use crate::command::local_path;
use crate::error::Problems;
use crate::worker::Identity;

impl ModuleOptions {
    /// Looks whether the system has what the options name: users, groups, files of certificates, folders of sockets and of
    /// output. Nothing is made or changed. What may come by the time it is needed is told in [`notes`](Self::notes).
    ///
    /// # Errors
    /// Something is not there or of another kind, or may not be read by this process. The error has all of it, each with
    /// its key and place.
    pub fn check_system(&mut self) -> Result<(), SettingsError> {
        let mut problems = Problems::default();
        self.check_control_socket(&mut problems);
        for (key, path) in self.given.certificate_files() {
            if let Err(error) = readable(&path) {
                let reason = format!("the file {} cannot be read: {error}", path.display());
                problems.push(self.invalid(&format!("{ROOT}:{key}"), reason));
            }
        }
        for application in &self.applications {
            self.check_identity(application, &mut problems);
            self.check_output(application, &mut problems);
        }
        problems.or(())
    }

    fn invalid(&self, path: &str, reason: impl Display) -> String {
        match &self.places {
            Some(places) => places.invalid(path, reason).to_string(),
            None => format!("{path}: {reason}"),
        }
    }

    fn check_control_socket(&mut self, problems: &mut Problems) {
        let Some(path) = &self.control_socket else { return };
        let key = format!("{ROOT}:ControlSocket");
        if let Ok(found) = fs::symlink_metadata(path)
            && !found.file_type().is_socket()
        {
            let what = if found.is_dir() { "a folder" } else { "a file and no socket" };
            let reason = format!("{} is {what}; name a file that is not there yet", path.display());
            problems.push(self.invalid(&key, reason));
        }
        let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) else { return };
        let shown = folder.display();
        if folder.starts_with("/run") && !folder.exists() {
            // It is made for a service when that starts.
            let note = format!(
                "the folder {shown} is not there; a service of systemd has it made by RuntimeDirectory=, else make it before the module starts"
            );
            self.notes.push(self.invalid(&key, note));
        } else {
            let reason =
                format!("the folder {shown} is not there; make it, for the module's user alone to write to");
            problems.push(self.invalid(&key, reason));
        }
    }

    fn check_identity(&self, application: &ApplicationOptions, problems: &mut Problems) {
        for (key, user, group) in
            [("User", application.user.as_deref(), None), ("Group", None, application.group.as_deref())]
        {
            if let Err(error) = Identity::find(user, group) {
                let path = format!("{ROOT}:Applications:{}:{key}", application.name);
                problems.push(self.invalid(&path, error));
            }
        }
    }

    fn check_output(&self, application: &ApplicationOptions, problems: &mut Problems) {
        let settings = &application.settings;
        if !settings.stdout_log_enabled {
            return;
        }
        let file = local_path(&application.folder, &settings.stdout_log_file);
        let Some(obstacle) = file.parent().and_then(obstacle) else { return };
        let path = format!("{ROOT}:Applications:{}:StdoutLogFile", application.name);
        let reason = format!(
            "what processes print is to go to {}_..., and {} is no folder; name a path in another one",
            file.display(),
            obstacle.display()
        );
        problems.push(self.invalid(&path, reason));
    }
}

/// Whether a file may be read. It is not opened: that would wait, if it is a pipe.
fn readable(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(rustix::fs::access(path, rustix::fs::Access::READ_OK)?)
}

/// What stands in the way of a folder: the nearest thing above it that is there and is none.
fn obstacle(folder: &Path) -> Option<PathBuf> {
    let nearest = folder.ancestors().find(|above| above.symlink_metadata().is_ok())?;
    (!nearest.is_dir()).then(|| nearest.to_owned())
}
