//! The keys of tickets in a file that processes share.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use std::{fmt, fs};

use rustls::crypto::SecureRandom;
use server_abstractions::StartError;

use super::ring::random_key;
use super::tickets::{KEY, Key, Keys};
use crate::tls::configured_at::ConfiguredAt;
use crate::tls::reloadable::{Look, Source, Stamp};

/// More keys than anybody rotates.
const MAX_KEYS: usize = 64;
/// How long a process that has just been told of a new key may still encrypt with the one before.
const LATE: Duration = Duration::from_secs(60);
/// How long a start waits for another process that makes the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file, and who rotates it.
pub(super) struct KeyFile {
    path: PathBuf,
    rotation: Option<Duration>,
    configured_at: ConfiguredAt,
    lifetime: Duration,
    random: &'static dyn SecureRandom,
    /// A rotation that fails is told once.
    has_failed: AtomicBool,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl Source<Keys> for KeyFile {
    fn what(&self) -> &'static str {
        "a file of ticket keys"
    }

    fn look(&self) -> Look {
        match self.rotate_if_due() {
            Ok(()) => self.has_failed.store(false, Ordering::Relaxed),
            Err(error) if self.has_failed.swap(true, Ordering::Relaxed) => drop(error),
            Err(error) => tracing::error!(
                source = ?self,
                error = &error as &dyn std::error::Error,
                "the keys of session tickets cannot be rotated; the last ones are used as before"
            ),
        }
        vec![Stamp::of(&self.path)]
    }

    fn load(&self) -> Result<Keys, StartError> {
        let keys: Vec<_> = self.read()?.iter().map(|bytes| Arc::new(Key::new(bytes))).collect();
        Ok(Keys(keys))
    }

    fn is_same(&self, one: &Keys, other: &Keys) -> bool {
        one.0.iter().map(|key| key.name()).eq(other.0.iter().map(|key| key.name()))
    }
}

impl KeyFile {
    pub(super) fn new(
        path: PathBuf,
        rotation: Option<Duration>,
        configured_at: ConfiguredAt,
        lifetime: Duration,
        random: &'static dyn SecureRandom,
    ) -> Self {
        Self { path, rotation, configured_at, lifetime, random, has_failed: AtomicBool::new(false) }
    }

    /// At the start: makes the file if that is the server's to do, or waits for the process that is about to.
    pub(super) fn prepare(&self) -> Result<(), StartError> {
        if self.rotation.is_none() {
            return Ok(());
        }
        let pause = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            self.rotate_if_due()?;
            if self.path.exists() {
                return Ok(());
            }
            std::thread::sleep(pause);
        }
        let lock = self.lock_path();
        Err(self.failed(format_args!("another process holds {} and does not make it", lock.display())))
    }

    fn failed(&self, why: impl fmt::Display) -> StartError {
        let what = format!("cannot use the ticket keys {}: {why}", self.path.display());
        self.configured_at.blame(StartError::configuration(what))
    }

    fn lock_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        path.into()
    }

    /// The keys, the newest first.
    fn read(&self) -> Result<Vec<[u8; KEY]>, StartError> {
        let cannot_read = |error: io::Error| {
            self.failed(
                "cannot read the file (`openssl rand 80` makes one, and so does the server with a rotation)",
            )
            .with_source(error)
        };
        let file = open_at_once(&self.path).map_err(cannot_read)?;
        let metadata = file.metadata().map_err(cannot_read)?;
        if !metadata.is_file() {
            return Err(self.failed("it is no file"));
        }
        self.check_mode(&metadata)?;
        let mut content = Vec::with_capacity((MAX_KEYS + 1) * KEY);
        file.take((MAX_KEYS * KEY + 1) as u64).read_to_end(&mut content).map_err(cannot_read)?;
        let (keys, rest) = content.as_chunks::<KEY>();
        if keys.is_empty() || !rest.is_empty() || keys.len() > MAX_KEYS {
            return Err(self.failed(format_args!(
                "it must hold 1 to {MAX_KEYS} keys of {KEY} bytes, the newest first; `openssl rand {KEY}` makes one"
            )));
        }
        for (index, key) in keys.iter().enumerate() {
            if key.iter().all(|byte| *byte == key[0]) {
                return Err(self.failed(format_args!("key {} is not random", index + 1)));
            }
            if keys[..index].iter().any(|other| other[..16] == key[..16]) {
                return Err(self.failed(format_args!("key {} has the name of one before it", index + 1)));
            }
        }
        Ok(keys.to_vec())
    }

    /// Who reads the file can read everything that was sent in sessions that went on.
    #[cfg(unix)]
    fn check_mode(&self, metadata: &fs::Metadata) -> Result<(), StartError> {
        use std::os::unix::fs::MetadataExt;
        let (mode, owner) = (metadata.mode(), metadata.uid());
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            let why = format_args!("it belongs to another user ({owner}), who knows the keys");
            return Err(self.failed(why));
        }
        if mode & 0o027 == 0 {
            return Ok(());
        }
        Err(self.failed(format_args!(
            "its mode {:o} lets others read or change it; chmod it to 600, or to 640",
            mode & 0o777
        )))
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _: &fs::Metadata) -> Result<(), StartError> {
        Ok(())
    }

    /// How long the newest key has been there; `None` if there is no file.
    fn age(&self) -> Result<Option<Duration>, StartError> {
        match fs::metadata(&self.path).and_then(|metadata| metadata.modified()) {
            Ok(modified) => Ok(Some(match SystemTime::now().duration_since(modified) {
                Ok(age) => age,
                Err(ahead) if ahead.duration() <= LATE => Duration::ZERO,
                // The clock was set back: nobody knows how old it is.
                Err(_) => Duration::MAX,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("cannot see how old it is").with_source(error)),
        }
    }

    /// Adds a key if the newest one is old enough, unless another process is about to do it.
    fn rotate_if_due(&self) -> Result<(), StartError> {
        let Some(rotation) = self.rotation else { return Ok(()) };
        let is_due = |age: Option<Duration>| age.is_none_or(|age| age >= rotation);
        if !is_due(self.age()?) {
            return Ok(());
        }
        let lock_path = self.lock_path();
        let cannot_lock = |error: io::Error| {
            let why = format!("cannot lock {} (its folder must be there and writable)", lock_path.display());
            self.failed(why).with_source(error)
        };
        let lock = lock_file().open(&lock_path).map_err(cannot_lock)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(cannot_lock(error)),
        }
        // Another one may have done it just now.
        match self.age()? {
            age if !is_due(age) => Ok(()),
            None => self.write(&[]),
            Some(age) => {
                let keys = self.read()?;
                self.write(&keys[..self.needed(&keys, age, rotation)])
            }
        }
    }

    /// How many of the keys there may be valid tickets of. The newest one encrypts until now, the next one did until the
    /// newest was made, and those behind it ended at least one rotation apart.
    fn needed(&self, keys: &[[u8; KEY]], age: Duration, rotation: Duration) -> usize {
        let ended = |index: u32| age.saturating_add(rotation.saturating_mul(index));
        let is_needed = |index: &u32| ended(*index) <= self.lifetime + LATE;
        let old = (0..MAX_KEYS as u32 - 2).take_while(is_needed).count();
        keys.len().min(1 + old)
    }

    /// A new key and these: beside the place, then moved there, so that nobody reads half of it.
    fn write(&self, old: &[[u8; KEY]]) -> Result<(), StartError> {
        let new = random_key(self.random)?;
        let content = [&new[..], old.as_flattened()].concat();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = self.path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let written = write_new(&temporary, &content).and_then(|()| fs::rename(&temporary, &self.path));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            self.failed("cannot write a new key (its folder must be writable)").with_source(error)
        })
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    // What a process of this number left behind; the lock is held.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// For reading, without waiting for whoever writes to it if it is a pipe.
fn open_at_once(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags(rustix::fs::OFlags::NONBLOCK));
    options.open(path)
}

/// A lock is no link to somewhere else.
fn lock_file() -> OpenOptions {
    let mut options = private();
    options.create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags(rustix::fs::OFlags::NOFOLLOW));
    options
}

#[cfg(unix)]
fn flags(flags: rustix::fs::OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or_default()
}

/// For writing; what is made is readable by this user only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
