use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::process::Pid;

use crate::AspNetCore;
use crate::command::local_path;

/// The file of a worker's output: `{path}_yyyyMMddHHmmss_{pid}.log`, in UTC.
///
/// The pid is that of the worker. The file belongs to the worker's user; its owner reads and writes it, its group reads it.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// The beginning of the path, which is absolute.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// That of an application, if its output goes to files.
    pub(crate) fn of(settings: &AspNetCore, folder: &Path) -> Option<Self> {
        settings.stdout_log_enabled.then(|| Self::new(local_path(folder, &settings.stdout_log_file)))
    }

    /// The beginning of the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file, and the folders above it, as the worker's user. A link in its place is not followed, and what is no
    /// file is not written: others may have put it there.
    pub(crate) fn create(&self, pid: Pid) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut name = self.path.clone().into_os_string();
        name.push(format!("_{}_{pid}.log", digits(seconds)));
        // Whoever waits at the other end of a pipe is not waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file =
            OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(&name)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{} is no file", Path::new(&name).display())));
        }
        Ok(file)
    }
}

/// A time in seconds since 1970, as `yyyyMMddHHmmss`.
fn digits(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day since 1970-01-01. Years are counted from the first of March of the year 0, so that the day
/// that not every year has is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use rustix::process::getpid;

    use super::*;

    #[test]
    fn what_others_have_put_in_its_place_is_not_written() {
        let folder = std::env::temp_dir().join(format!("server-module-planted-{}", std::process::id()));
        let secret = folder.join("secret");
        for kind in ["link", "pipe", "pipe that is read"] {
            DirBuilder::new().recursive(true).create(&folder).unwrap();
            std::fs::write(&secret, "kept").unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            // Wherever it may come by the time that it is made.
            let names = (now..now + 10).map(|second| format!("log_{}_{}.log", digits(second), getpid()));
            let mut readers = Vec::new();
            for path in names.map(|name| folder.join(name)) {
                if kind == "link" {
                    std::os::unix::fs::symlink(&secret, path).unwrap();
                    continue;
                }
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
                if kind != "pipe" {
                    let flags = OFlags::NONBLOCK.bits().cast_signed();
                    readers.push(OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap());
                }
            }
            LogFile::new(folder.join("log")).create(getpid()).unwrap_err();
            assert_eq!(std::fs::read_to_string(&secret).unwrap(), "kept", "{kind}");
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }

    #[test]
    fn a_time_has_14_digits() {
        for (seconds, expected) in [
            (0, "19700101000000"),
            (951_782_399, "20000228235959"),
            (951_782_400, "20000229000000"),
            (951_868_800, "20000301000000"),
            (1_709_164_799, "20240228235959"),
            (1_709_251_199, "20240229235959"),
            (1_735_689_599, "20241231235959"),
            (1_735_689_600, "20250101000000"),
            (4_107_542_399, "21000228235959"),
            (4_107_542_400, "21000301000000"),
        ] {
            assert_eq!(digits(seconds), expected);
        }
    }
}
