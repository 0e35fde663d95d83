//! Which application a request is for.

mod host;
mod prefix;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

use hosting::server_abstractions::decode_path;

pub use self::host::HostPattern;
pub use self::prefix::PathPrefix;

/// What an application is reached by: hosts, and the beginning of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A number of the caller's own, which [`Found`] has again.
    pub application: usize,
    /// The hosts. None at all is any host.
    pub hosts: Vec<HostPattern>,
    /// The beginning of the paths, which becomes the application's path base.
    pub path_prefix: PathPrefix,
}

/// The applications behind one address, by host and path.
///
/// Of the routes that fit a request, that with the most particular host is taken: a name before the end of names, a longer
/// end before a shorter one, and any host last. Among those it is that with the longest path. A host is compared without
/// its port; host and path are compared regardless of case, paths by whole segments and as the application sees them,
/// decoded and without dot segments.
///
/// A route that fits by its host but not by its path hides no other.
///
/// ```
/// use server_module::{Route, Routes};
/// let route = |application, hosts: &[&str], prefix: &str| {
///     let hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>()?;
///     Ok::<_, server_module::RouteError>(Route { application, hosts, path_prefix: prefix.parse()? })
/// };
/// let routes = Routes::new([
///     route(0, &[], "/")?,
///     route(1, &["shop.example", "*.shop.example"], "/")?,
///     route(2, &[], "/api")?,
/// ])?;
/// assert_eq!(routes.find("www.shop.example:8080", "/api").map(|found| found.application), Some(1));
/// assert_eq!(routes.find("other.example", "/api/items").map(|found| found.application), Some(2));
/// assert_eq!(routes.find("other.example", "/apis").map(|found| found.application), Some(0));
/// # Ok::<(), server_module::RouteError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// By name, each with its routes, those with the longest path first.
    names: Vec<(HostPattern, Vec<Entry>)>,
    /// The longest end first.
    ends: Vec<(HostPattern, Vec<Entry>)>,
    any: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    application: usize,
    prefix: PathPrefix,
}

/// The application that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found<'a> {
    /// The application, by the number of its [`Route`].
    pub application: usize,
    /// The beginning of the path that belongs to the application.
    pub path_base: &'a PathPrefix,
}

impl Routes {
    /// The routes, in any order.
    ///
    /// # Errors
    /// Two routes have a host and a path in common.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self, RouteError> {
        let mut made = Self::default();
        for Route { application, hosts, path_prefix } in routes {
            let hosts = if hosts.is_empty() { vec![HostPattern::any()] } else { hosts };
            for host in hosts {
                made.add(host, Entry { application, prefix: path_prefix.clone() })?;
            }
        }
        made.sort();
        Ok(made)
    }

    fn add(&mut self, host: HostPattern, entry: Entry) -> Result<(), RouteError> {
        let entries = self.entries(&host);
        if let Some(known) = entries.iter().find(|known| known.prefix.is_same(&entry.prefix)) {
            if known.application == entry.application {
                return Ok(());
            }
            let (first, second) = (known.application, entry.application);
            return Err(RouteError::Conflict { first, second, host, path_prefix: entry.prefix });
        }
        entries.push(entry);
        Ok(())
    }

    fn entries(&mut self, host: &HostPattern) -> &mut Vec<Entry> {
        let list = if host.is_any() {
            return &mut self.any;
        } else if host.is_end() {
            &mut self.ends
        } else {
            &mut self.names
        };
        let at = list.iter().position(|(known, _)| known == host).unwrap_or_else(|| {
            list.push((host.clone(), Vec::new()));
            list.len() - 1
        });
        &mut list[at].1
    }

    fn sort(&mut self) {
        self.names.sort_by(|(left, _), (right, _)| left.cmp_names(right.text()));
        self.ends.sort_by_key(|(end, _)| std::cmp::Reverse(end.text().len()));
        let lists = self.names.iter_mut().chain(&mut self.ends).map(|(_, entries)| entries);
        for entries in lists.chain([&mut self.any]) {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.as_str().len()));
        }
    }

    /// The application that every request is for, if there is one.
    pub(crate) fn only(&self) -> Option<usize> {
        match &self.any[..] {
            [entry] if self.names.is_empty() && self.ends.is_empty() && entry.prefix.is_root() => {
                Some(entry.application)
            }
            _ => None,
        }
    }

    /// The application for a host, with or without a port, and a path as it was sent. Nothing but a path with escapes or
    /// dot segments needs memory. A target that is no path, such as `*`, is for applications at the root only.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<Found<'_>> {
        let host = host::without_port(host);
        let path = if path.starts_with('/') { decode_path(path) } else { "".into() };
        let name = self.names.binary_search_by(|(name, _)| name.cmp_names(host));
        let name = name.ok().map(|at| &self.names[at].1);
        let ends = self.ends.iter().filter(|(end, _)| end.matches(host)).map(|(_, entries)| entries);
        let mut candidates = name.into_iter().chain(ends).chain([&self.any]).flatten();
        candidates
            .find(|entry| entry.prefix.is_before(&path))
            .map(|entry| Found { application: entry.application, path_base: &entry.prefix })
    }
}

/// Why a route cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// The text is no host, nor `*.` and the end of one, nor `*`; with the reason.
    Host(&'static str),
    /// The text is not the beginning of paths; with the reason.
    PathPrefix(&'static str),
    /// Two applications have a host and a path in common.
    #[non_exhaustive]
    Conflict {
        /// The one that came first.
        first: usize,
        /// The other one.
        second: usize,
        /// What both have.
        host: HostPattern,
        /// What both have.
        path_prefix: PathPrefix,
    },
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(reason) | Self::PathPrefix(reason) => f.write_str(reason),
            Self::Conflict { first, second, host, path_prefix } => {
                write!(
                    f,
                    "the applications {first} and {second} have the host {host} with the path {path_prefix} in common"
                )
            }
        }
    }
}

impl Error for RouteError {}
