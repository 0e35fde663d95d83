use std::error::Error;
use std::ffi::CString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Group, User, getgrouplist};
use rustix::thread::CapabilitySet;

/// Whom a process belongs to, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(super) user: u32,
    pub(super) group: u32,
    /// The other groups of the user.
    pub(super) groups: Vec<u32>,
}

/// A user or a group that the system does not know.
#[derive(Debug)]
pub(crate) struct IdentityError(String);

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for IdentityError {}

impl Identity {
    /// Looks up a user and a group, each by name or number. Without a group it is that of the user.
    ///
    /// # Errors
    /// One of them is not known, or the system's lists cannot be read.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, IdentityError> {
        let entry = user.map(find_user).transpose()?;
        let group = group.map(find_group).transpose()?;
        let Some(entry) = entry else {
            let user = nix::unistd::getuid().as_raw();
            return Ok(group.map(|group| Self { user, group, groups: vec![group] }));
        };
        let group = group.unwrap_or(entry.gid.as_raw());
        let name = CString::new(entry.name).unwrap_or_default();
        let groups = getgrouplist(&name, nix::unistd::Gid::from_raw(group)).map_err(|error| {
            IdentityError(format!("the groups of the user {name:?} cannot be read: {error}"))
        })?;
        let groups = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
        Ok(Some(Self { user: entry.uid.as_raw(), group, groups }))
    }

    /// The one that a worker gets. None: the module's own, so that nothing is to be changed.
    ///
    /// # Errors
    /// As of [`find`](Self::find), or the module may not give it.
    pub(crate) fn of_worker(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, IdentityError> {
        let found = Self::find(user, group)?.filter(|identity| !identity.is_own());
        if let Some(identity) = &found {
            identity.check_rights()?;
        }
        Ok(found)
    }

    /// The one that files of the application are read for. None: the module's own. If the system does not know it, it may
    /// read what everybody may.
    pub(crate) fn to_read_as(user: Option<&str>, group: Option<&str>) -> Option<Self> {
        let unknown = || Some(Self { user: u32::MAX, group: u32::MAX, groups: Vec::new() });
        Self::find(user, group).unwrap_or_else(|_| unknown()).filter(|identity| !identity.is_own())
    }

    /// Whether it may read a file with this owner and mode.
    pub(crate) fn may_read(&self, file: &Metadata) -> bool {
        let mode = file.mode();
        let is_of_group = file.gid() == self.group || self.groups.contains(&file.gid());
        let right = match () {
            () if file.uid() == self.user => 0o400,
            () if is_of_group => 0o040,
            () => 0o004,
        };
        mode & right != 0
    }

    /// Without these the worker does not start, or cannot be ended.
    pub(super) fn check_rights(&self) -> Result<(), IdentityError> {
        let own = rustix::thread::capabilities(None).map(|sets| sets.effective);
        let own = own.unwrap_or(CapabilitySet::empty());
        let is_other = nix::unistd::getuid().as_raw() != self.user;
        let needed = [
            ("CAP_SETGID", CapabilitySet::SETGID, true),
            ("CAP_SETUID", CapabilitySet::SETUID, is_other),
            ("CAP_KILL", CapabilitySet::KILL, is_other),
        ];
        let missing = needed.iter().filter(|(_, right, is_needed)| *is_needed && !own.contains(*right));
        let missing: Vec<_> = missing.map(|(name, ..)| *name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(" and ");
        Err(IdentityError(format!(
            "a process of user {} and group {} cannot be started and ended by this one, which lacks {missing}; run the module with that (AmbientCapabilities= of a unit, --cap-add of a container), or leave out User and Group",
            self.user, self.group
        )))
    }

    /// Whether the module's own process belongs to the same user and group, so that nothing is to be changed.
    pub(crate) fn is_own(&self) -> bool {
        nix::unistd::getuid().as_raw() == self.user && nix::unistd::getgid().as_raw() == self.group
    }
}

fn find_user(user: &str) -> Result<User, IdentityError> {
    let found = match user.parse() {
        Ok(id) => User::from_uid(nix::unistd::Uid::from_raw(id)),
        Err(_) => User::from_name(user),
    };
    let unknown = |reason: &str| IdentityError(format!("the user {user:?} is not known: {reason}"));
    found.map_err(|error| unknown(&error.to_string()))?.ok_or_else(|| unknown("the system has none"))
}

fn find_group(group: &str) -> Result<u32, IdentityError> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let unknown = |reason: &str| IdentityError(format!("the group {group:?} is not known: {reason}"));
    let found = Group::from_name(group).map_err(|error| unknown(&error.to_string()))?;
    Ok(found.ok_or_else(|| unknown("the system has none"))?.gid.as_raw())
}
