//! Texts that are ready before their line is.

use std::cell::Cell;

/// Pieces of text in one allocation.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<u8>);

/// As many bytes the pieces of most requests have at the most.
const USUAL: usize = 256;

/// A larger room is not kept for another request.
const LARGEST_SPARE: usize = 4096;

thread_local! {
    /// The room of a request that is over, for the next one.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Drop for Kept {
    fn drop(&mut self) {
        if (USUAL..=LARGEST_SPARE).contains(&self.0.capacity()) {
            self.0.clear();
            let room = std::mem::take(&mut self.0);
            // A thread that ends keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(room));
        }
    }
}

const LENGTH: usize = size_of::<u32>();

impl Kept {
    /// With room for the pieces of most requests.
    pub(super) fn with_room() -> Self {
        let spare = SPARE.try_with(Cell::take).unwrap_or_default();
        Self(if spare.capacity() == 0 { Vec::with_capacity(USUAL) } else { spare })
    }

    /// Adds what is written as a piece.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len() + LENGTH;
        self.0.extend_from_slice(&[0; LENGTH]);
        write(&mut self.0);
        // A line, and so a piece of it, is far shorter (`Plan::limit`).
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        self.0[start - LENGTH..start].copy_from_slice(&length.to_ne_bytes());
    }

    pub(super) fn pieces(&self) -> Pieces<'_> {
        Pieces(&self.0)
    }
}

/// The pieces in the order in which they were added.
#[derive(Debug)]
pub(super) struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<LENGTH>()?;
        let (piece, rest) = rest.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
        self.0 = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_as_they_were_added() {
        let mut kept = Kept::default();
        for piece in ["one", "", "three"] {
            kept.add(|text| text.extend_from_slice(piece.as_bytes()));
        }
        assert_eq!(kept.pieces().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!(Kept::default().pieces().next(), None);
    }
}
