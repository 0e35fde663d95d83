//! Random numbers for ids.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// The system's random keys of this thread, and how many numbers were made with them.
    static SOURCE: RefCell<(RandomState, u64)> = RefCell::new((RandomState::new(), 0));
}

/// A number that nobody can foresee and that is not 0: a keyed hash of a count, with keys of the system.
pub(crate) fn random() -> u64 {
    loop {
        let number = SOURCE.try_with(|source| {
            let Ok(mut source) = source.try_borrow_mut() else { return 0 };
            source.1 = source.1.wrapping_add(1);
            source.0.hash_one(source.1)
        });
        // A thread that ends has no source any more.
        match number.unwrap_or_else(|_| RandomState::new().hash_one(0)) {
            0 => {}
            number => return number,
        }
    }
}
