use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::worker::Identity;
use crate::{ApplicationOptions, folder_file};

/// The longest page; more of it is not read.
const MAX_PAGE: u64 = 4 * 1024 * 1024;

/// Whether `app_offline.htm` lies in an application's folder, and what it says, as the last look has found it.
#[derive(Debug)]
pub(super) struct Offline {
    path: PathBuf,
    user: Option<Identity>,
    /// Whether there is something, so that requests to an application that is online wait for nobody.
    is_on: AtomicBool,
    found: Mutex<Option<Page>>,
}

#[derive(Debug)]
struct Page {
    stamp: Stamp,
    text: Bytes,
}

/// What shows that a file is another one.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self { changed: (file.ctime(), file.ctime_nsec()), length: file.len(), inode: file.ino() }
    }
}

impl Offline {
    pub(super) fn new(options: &ApplicationOptions) -> Self {
        let offline = Self {
            path: options.folder.join("app_offline.htm"),
            user: Identity::to_read_as(options.user.as_deref(), options.group.as_deref()),
            is_on: AtomicBool::new(false),
            found: Mutex::default(),
        };
        offline.look();
        offline
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Looks at the folder, which may block. Whatever has the name of the file means it, but for a folder.
    pub(super) fn look(&self) -> bool {
        let stamp = self.stamp();
        let is_on = stamp.is_some();
        let is_as_before = self.found().as_ref().map(|page| &page.stamp) == stamp.as_ref();
        if !is_as_before {
            let page = stamp.map(|stamp| Page { stamp, text: self.read() });
            *self.found() = page;
        }
        if is_on != self.is_on.swap(is_on, Ordering::AcqRel) {
            let what = if is_on { "offline" } else { "online again" };
            tracing::info!(file = %self.path.display(), "the application is {what}");
        }
        is_on
    }

    fn stamp(&self) -> Option<Stamp> {
        let there = match self.user {
            // A link that is followed is as its file is.
            None => std::fs::metadata(&self.path).or_else(|_| std::fs::symlink_metadata(&self.path)),
            Some(_) => std::fs::symlink_metadata(&self.path),
        };
        there.ok().filter(|metadata| !metadata.is_dir()).as_ref().map(Stamp::of)
    }

    /// One that cannot be read counts as empty.
    fn read(&self) -> Bytes {
        let mut text = Vec::new();
        let file = folder_file::open(&self.path, self.user.as_ref());
        let read = file.and_then(|file| file.take(MAX_PAGE).read_to_end(&mut text));
        if let Err(error) = read {
            let file = self.path.display();
            tracing::warn!(%file, %error, "the page of an application that is offline cannot be read and is empty");
            text.clear();
        }
        text.into()
    }

    /// The page, unless the application is online. It is shared by all who get it.
    pub(super) fn page(&self) -> Option<Bytes> {
        if !self.is_on() {
            return None;
        }
        self.found().as_ref().map(|page| page.text.clone())
    }

    fn found(&self) -> MutexGuard<'_, Option<Page>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
