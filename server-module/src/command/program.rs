use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// A path as `web.config` writes it, as one of this system: backslashes are separators, and a relative path starts from
/// the folder. A name with a backslash in it cannot be said.
///
/// ```
/// # #[cfg(unix)] {
/// use std::path::Path;
/// let path = server_module::command::local_path(Path::new("/srv/shop"), r".\logs\stdout");
/// assert_eq!(path, Path::new("/srv/shop/logs/stdout"));
/// # }
/// ```
#[must_use]
pub fn local_path(folder: &Path, path: &str) -> PathBuf {
    let path = slashes(path);
    // What `.` adds would only be shown.
    let relative = path.strip_prefix("./").map_or(path.as_str(), |rest| rest.trim_start_matches('/'));
    folder.join(relative)
}

fn slashes(path: &str) -> String {
    path.replace('\\', "/")
}

/// Finds the program that a process path means.
///
/// A path is relative to the folder, and a name without a separator is looked for in the folder first and then in the
/// folders of `search_path`, the text of the variable `PATH`; those that are not absolute are passed over. Backslashes are
/// separators. Off Windows a path that ends with `.exe` means the program without that ending if there is one, so that
/// the file for Windows serves here as well, and a file must be one that may be executed.
///
/// Variables are not expanded here. The folder should be absolute, as the result is then.
///
/// # Errors
/// There is no such program. The error has the places where it was looked for, or the file that cannot be executed.
pub fn find_program(
    process_path: &str,
    folder: &Path,
    search_path: Option<&OsStr>,
) -> Result<PathBuf, ProgramError> {
    let fail = |kind| ProgramError { process_path: process_path.to_owned(), kind };
    if process_path.is_empty() {
        return Err(fail(Kind::Empty));
    }
    if !cfg!(windows) && has_drive(process_path) {
        return Err(fail(Kind::OfWindows));
    }
    let names = names(process_path);
    let mut folders = vec![folder.to_owned()];
    let is_name = !process_path.contains(['/', '\\']);
    if let (true, Some(search_path)) = (is_name, search_path) {
        folders.extend(std::env::split_paths(search_path).filter(|folder| folder.is_absolute()));
    }
    let mut not_executable = None;
    for folder in &folders {
        for path in names.iter().map(|name| local_path(folder, name)) {
            match look(&path) {
                Look::Program => return Ok(path),
                Look::NotExecutable => drop(not_executable.get_or_insert(path)),
                Look::Absent => {}
            }
        }
    }
    Err(fail(match not_executable {
        Some(path) => Kind::NotExecutable(path),
        None => Kind::Absent { folder: folder.to_owned(), searched: folders.len() > 1 },
    }))
}

/// The names that a program may have here, the best one first.
fn names(process_path: &str) -> Vec<&str> {
    let length = process_path.len().saturating_sub(4);
    let without = process_path
        .split_at_checked(length)
        .filter(|(name, ending)| {
            ending.eq_ignore_ascii_case(".exe") && !name.is_empty() && !name.ends_with(['/', '\\'])
        })
        .map(|(name, _)| name);
    match without {
        Some(name) if cfg!(windows) => vec![process_path, name],
        Some(name) => vec![name, process_path],
        None => vec![process_path],
    }
}

fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
        || path.starts_with(r"\\")
}

enum Look {
    Program,
    NotExecutable,
    Absent,
}

fn look(path: &Path) -> Look {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() && is_executable(&metadata) => Look::Program,
        Ok(metadata) if metadata.is_file() => Look::NotExecutable,
        _ => Look::Absent,
    }
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &std::fs::Metadata) -> bool {
    true
}

/// A process path that means no program here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    process_path: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    OfWindows,
    Absent { folder: PathBuf, searched: bool },
    NotExecutable(PathBuf),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = &self.process_path;
        match &self.kind {
            Kind::Empty => f.write_str("it names no program"),
            Kind::OfWindows => write!(
                f,
                "the program {program} has a path of Windows; write it relative to the application's folder, such as .\\app.exe"
            ),
            Kind::Absent { folder, searched } => {
                let path = if *searched { " or in a folder of PATH" } else { "" };
                let folder = folder.display();
                write!(
                    f,
                    "there is no program {program} in the folder {folder}{path}; build the application or correct the path"
                )
            }
            Kind::NotExecutable(path) => {
                let path = path.display();
                write!(f, "the program {path} may not be executed; allow it: chmod +x {path}")
            }
        }
    }
}

impl Error for ProgramError {}
