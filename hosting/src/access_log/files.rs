//! The files of a log: the one that is written, and those that are full.
//!
//! Several programs may write to the same log, as two versions of one do while the new one takes over. Whoever writes has the
//! file locked, and looks then whether it still has the log's name: whoever gives it a number has it locked as well.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::AccessLogFiles;
use super::writer::{Failure, append, count};

pub(super) struct Files {
    options: AccessLogFiles,
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    identity: Option<(u64, u64)>,
    size: u64,
    /// Whether there is a line, so that it may be full.
    has_lines: bool,
    /// Whether the last line has no end.
    is_torn: bool,
    needs_head: bool,
    is_locked: bool,
    /// Whether another program has it locked for long.
    is_busy: bool,
}

/// So often a lock is tried for, with a pause between: for about a second. Others have it for a write.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// So often at the most others give the file a number while this log waits for its lock.
const MOVES: u32 = 100;

/// No file has a higher number.
const LAST: u64 = u64::MAX / 2;

/// What stands before the first line.
type Head<'a> = &'a dyn Fn() -> Vec<u8>;

impl Files {
    /// Opens the file, so that what is wrong with it is found at the start.
    pub(super) fn open(options: &AccessLogFiles, head: Head<'_>) -> io::Result<Self> {
        let path = options.directory.join(&options.file_name);
        let mut files = Self { options: options.clone(), path, open: None };
        files.hold(head)?;
        files.release();
        Ok(files)
    }

    /// The file that is written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The first `held` bytes stay with the line behind them.
    pub(super) fn write(
        &mut self,
        lines: &[u8],
        held: usize,
        head: Head<'_>,
    ) -> Result<Option<io::Error>, Failure> {
        let result = self.write_parts(lines, held, head);
        self.release();
        result
    }

    fn write_parts(
        &mut self,
        lines: &[u8],
        held: usize,
        head: Head<'_>,
    ) -> Result<Option<io::Error>, Failure> {
        let mut held = held;
        let mut trouble = None;
        let before = |rest: &[u8]| count(&lines[..lines.len() - rest.len()]);
        let mut rest = lines;
        while !rest.is_empty() {
            let part = match self.part(rest, held, head) {
                Ok(0) => match self.rotate() {
                    Ok(()) => continue,
                    // Rather a file that is too large than none.
                    Err(error) if self.open.is_some() => {
                        trouble = Some(error);
                        rest.len()
                    }
                    Err(error) => return Err(Failure { written: before(rest), error }),
                },
                Ok(part) => part,
                Err(error) => return Err(Failure { written: before(rest), error }),
            };
            let (part, others) = rest.split_at(part);
            self.append(part, held)
                .map_err(|failure| Failure { written: before(rest) + failure.written, ..failure })?;
            rest = others;
            held = 0;
        }
        Ok(trouble)
    }

    /// How many bytes, in whole lines, may be written to the file that is there; 0 if it is full.
    fn part(&mut self, lines: &[u8], held: usize, head: Head<'_>) -> io::Result<usize> {
        self.hold(head)?;
        let (Some(open), Some(limit)) = (&self.open, self.options.file_size_limit) else {
            return Ok(lines.len());
        };
        let room = usize::try_from(limit.saturating_sub(open.size)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return Ok(lines.len());
        }
        let first =
            lines[held..].iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| held + at + 1);
        match lines[..room].iter().rposition(|&byte| byte == b'\n') {
            Some(at) if at >= first - 1 => Ok(at + 1),
            _ if open.has_lines => Ok(0),
            _ => Ok(first),
        }
    }

    fn append(&mut self, lines: &[u8], held: usize) -> Result<(), Failure> {
        let Some(open) = &mut self.open else {
            return Err(Failure { written: 0, error: io::ErrorKind::NotFound.into() });
        };
        if open.is_torn {
            append(&mut open.file, b"\n").map_err(|(_, error)| Failure { written: 0, error })?;
            open.size += 1;
            open.is_torn = false;
        }
        match append(&mut open.file, lines) {
            Ok(()) => {
                open.size += lines.len() as u64;
                open.has_lines = true;
                Ok(())
            }
            Err((bytes, error)) => {
                let written = open.take_back(lines, bytes, held);
                Err(Failure { written, error })
            }
        }
    }

    /// Opens the file that has the name, if it is another one than before, and keeps other programs from writing to it until
    /// [`release`](Self::release). Whoever does not get the lock goes on without it: the lines of two programs may then be
    /// in an odd order, and no more.
    fn hold(&mut self, head: Head<'_>) -> io::Result<()> {
        for _ in 0..MOVES {
            if !self.is_there() {
                self.open = None;
                fs::create_dir_all(&self.options.directory)?;
                self.open = Some(Open::at(&self.path)?);
            }
            let Some(open) = &mut self.open else { continue };
            let has_waited = !open.is_locked && open.lock();
            if !has_waited || self.is_there() {
                break;
            }
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        open.look()?;
        if open.needs_head
            && let Err(error) = open.begin(head())
        {
            // A file without its head would not be understood.
            self.open = None;
            return Err(error);
        }
        Ok(())
    }

    fn release(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| open.is_locked) {
            open.is_locked = false;
            // It ends with the file otherwise, which is opened anew then.
            if open.file.unlock().is_err() {
                self.open = None;
            }
        }
    }

    /// Whether the open file is the one that has the name.
    fn is_there(&self) -> bool {
        let Some(open) = &self.open else { return false };
        fs::symlink_metadata(&self.path).is_ok_and(|there| open.identity == identity(&there))
    }

    /// Gives the full file its number, so that a new one is begun, and deletes those that are too many.
    fn rotate(&mut self) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.is_busy) {
            return Err(other(
                "another program has the full file locked, so that no new one can be begun; end that program",
            ));
        }
        let mut numbers = self.numbers()?;
        let mut number = numbers.last().map_or(1, |last| last + 1);
        while !move_to(&self.path, &self.numbered(number))? {
            number += 1;
        }
        numbers.push(number);
        self.open = None;
        let Some(limit) = self.options.retained_file_count_limit else { return Ok(()) };
        // One of them is the file that is written.
        let full = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(1);
        for &number in &numbers[..numbers.len().saturating_sub(full)] {
            match fs::remove_file(self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.options.directory.join(format!("{}.{number:06}", self.options.file_name))
    }

    /// The numbers of the files that this log has made, ascending. What has another name is not its own.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.options.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.options.file_name)?.strip_prefix('.')?.parse().ok());
            if let Some(number) = number
                && number < LAST
                && self.numbered(number).file_name() == Some(&name)
                && entry.file_type()?.is_file()
            {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_symlink() => {
                return Err(other(
                    "it is a symbolic link, which the log does not follow; name the file that it leads to",
                ));
            }
            Ok(there) if !there.is_file() => return Err(other("it is no file; choose another name")),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        // Addresses of clients are nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self {
            file,
            identity,
            size: 0,
            has_lines: false,
            is_torn: false,
            needs_head: true,
            is_locked: false,
            is_busy: false,
        })
    }

    /// Waits for the lock, but not for long, and only once: everyone who can read the file may lock it.
    fn lock(&mut self) -> bool {
        let tries = if self.is_busy { 1 } else { TRIES };
        self.is_busy = true;
        for attempt in 1..=tries {
            match self.file.try_lock() {
                Ok(()) => {
                    (self.is_locked, self.is_busy) = (true, false);
                    break;
                }
                Err(TryLockError::WouldBlock) if attempt < tries => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {}
                // Not every file system has locks.
                Err(TryLockError::Error(_)) => {
                    self.is_busy = false;
                    break;
                }
            }
        }
        self.is_locked
    }

    /// Sees what others have written.
    fn look(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if size == self.size {
            return Ok(());
        }
        self.size = size;
        self.has_lines = size > 0;
        self.is_torn = false;
        if size > 0 {
            let mut last = [0];
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
            self.is_torn = last != *b"\n";
        }
        Ok(())
    }

    fn begin(&mut self, head: Vec<u8>) -> io::Result<()> {
        self.needs_head = false;
        if head.is_empty() {
            return Ok(());
        }
        let is_torn = std::mem::take(&mut self.is_torn);
        let text = if is_torn { [b"\n", head.as_slice()].concat() } else { head };
        match append(&mut self.file, &text) {
            Ok(()) => {
                self.size += text.len() as u64;
                Ok(())
            }
            Err((bytes, error)) => {
                self.take_back(&text, bytes, text.len());
                Err(error)
            }
        }
    }

    /// Takes back what was written of a line that is not whole, and returns how many lines are.
    fn take_back(&mut self, lines: &[u8], bytes: usize, held: usize) -> u64 {
        let whole = lines[..bytes].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let whole = if whole > held { whole } else { 0 };
        let is_own = self.file.metadata().is_ok_and(|there| there.len() == self.size + bytes as u64);
        let is_back = bytes == whole || (is_own && self.file.set_len(self.size + whole as u64).is_ok());
        self.is_torn = !is_back;
        self.size += if is_back { whole } else { bytes } as u64;
        self.has_lines |= whole > 0;
        count(&lines[..whole])
    }
}

/// Moves a file to a name that nobody has; false if somebody has it.
fn move_to(path: &Path, target: &Path) -> io::Result<bool> {
    match fs::hard_link(path, target) {
        Ok(()) => match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) => {
                // Otherwise each attempt would leave another one.
                let _ = fs::remove_file(target);
                Err(error)
            }
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Not every file system has links.
        Err(_) => match fs::symlink_metadata(target) {
            Ok(_) => Ok(false),
            Err(_) => fs::rename(path, target).map(|()| true),
        },
    }
}

fn other(message: &'static str) -> io::Error {
    io::Error::other(message)
}

/// What tells a file from one that has come in its place.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}
