//! The names of header fields, and how they are found.

use http::HeaderName;

/// The lengths of some names. Most fields of a request are of another length, and are passed over without a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths(u64);

impl Lengths {
    #[inline]
    pub(crate) fn of<'n>(names: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        Self(names.into_iter().fold(0, |lengths, name| lengths | Self::bit(name)))
    }

    #[inline]
    pub(crate) fn add(&mut self, name: &HeaderName) {
        self.0 |= Self::bit(name);
    }

    #[inline]
    fn bit(name: &HeaderName) -> u64 {
        1 << (name.as_str().len() & 63)
    }

    /// Those of both.
    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// False if no name of the one has the length of a name of the other.
    #[inline]
    pub(crate) fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// False if none of the names is of this length.
    #[inline]
    pub(crate) fn have_one_like(self, name: &HeaderName) -> bool {
        self.0 & Self::bit(name) != 0
    }
}
