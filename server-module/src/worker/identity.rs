use std::error::Error;
use std::ffi::CString;
use std::fmt;

use nix::unistd::{Group, User, getgrouplist};

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
