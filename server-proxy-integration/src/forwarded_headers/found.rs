//! The fields of a request that are read.

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::chain::Chain;
use super::{ForwardedFields, Settled};

/// What a walk over the fields of a request has found.
#[derive(Debug, Default)]
pub(super) struct Found<'h> {
    pub(super) node: Slot<'h>,
    pub(super) proto: Slot<'h>,
    pub(super) host: Slot<'h>,
    pub(super) prefix: Slot<'h>,
    pub(super) forwarded: Slot<'h>,
    /// Whether there is a field that is to be removed unless it is believed.
    pub(super) has_unread: bool,
}

/// The fields with one name.
#[derive(Debug, Default)]
pub(super) struct Slot<'h> {
    last: Option<&'h HeaderValue>,
    are_several: bool,
}

impl<'h> Slot<'h> {
    fn push(&mut self, value: &'h HeaderValue) {
        self.are_several = self.last.is_some();
        self.last = Some(value);
    }

    pub(super) fn is_present(&self) -> bool {
        self.last.is_some()
    }

    pub(super) fn chain(&self, headers: &'h HeaderMap, name: &HeaderName) -> Option<Chain<'h>> {
        self.last.map(|last| Chain::new(last, self.are_several.then_some((headers, name))))
    }
}

impl Found<'_> {
    pub(super) fn has_x_forwarded(&self) -> bool {
        [&self.node, &self.proto, &self.host, &self.prefix].into_iter().any(Slot::is_present)
    }
}

impl Settled {
    /// Walks over the names, which for most requests finds nothing; that is cheaper than a look-up for each one.
    #[inline]
    pub(super) fn finds_something(&self, headers: &HeaderMap) -> bool {
        headers.keys().any(|name| self.lengths.have_one_like(name) && self.is_of_interest(name))
    }

    fn is_of_interest(&self, name: &HeaderName) -> bool {
        self.interest.contains(name)
    }

    pub(super) fn collect<'h>(&self, headers: &'h HeaderMap) -> Option<Found<'h>> {
        let mut found = None;
        for field in headers.iter().filter(|(name, _)| self.lengths.have_one_like(name)) {
            self.sort(field, &mut found);
        }
        found
    }

    fn sort<'h>(&self, (name, value): (&HeaderName, &'h HeaderValue), found: &mut Option<Found<'h>>) {
        let names = &self.names;
        let is =
            |flag, own: &HeaderName| self.reads_x_forwarded() && self.fields.contains(flag) && name == own;
        let slot = if is(ForwardedFields::FOR, &names.node) {
            &mut found.get_or_insert_default().node
        } else if is(ForwardedFields::PROTO, &names.proto) {
            &mut found.get_or_insert_default().proto
        } else if is(ForwardedFields::HOST, &names.host) {
            &mut found.get_or_insert_default().host
        } else if is(ForwardedFields::PREFIX, &names.prefix) {
            &mut found.get_or_insert_default().prefix
        } else if self.reads_forwarded() && *name == FORWARDED {
            &mut found.get_or_insert_default().forwarded
        } else {
            if self.remove_untrusted && self.is_removed(name) {
                found.get_or_insert_default().has_unread = true;
            }
            return;
        };
        slot.push(value);
    }

    fn is_removed(&self, name: &HeaderName) -> bool {
        *name == FORWARDED || self.names.iter().chain(self.originals.iter()).any(|own| own == name)
    }
}
