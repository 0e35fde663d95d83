//! Options as a layer uses them: once and for all, or as a channel has them now.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::OptionsError;

/// Where the rules `R` of a layer come from.
pub(crate) enum Rules<R> {
    Fixed(Arc<R>),
    Watched(Arc<dyn Watch<R>>),
}

/// The rules for one request.
pub(crate) enum Current<'r, R> {
    Fixed(&'r R),
    Watched(Arc<R>),
}

impl<R: Send + Sync + 'static> Rules<R> {
    pub(crate) fn fixed(rules: R) -> Self {
        Self::Fixed(Arc::new(rules))
    }

    /// Rules that are made again when the channel has other options.
    pub(crate) fn watched<O: Send + Sync + 'static>(
        mut options: watch::Receiver<O>,
        make: fn(&O) -> Result<R, OptionsError>,
    ) -> Result<Self, OptionsError> {
        let rules = Arc::new(make(&options.borrow_and_update())?);
        Ok(Self::Watched(Arc::new(Watched {
            state: RwLock::new(State { options, rules, is_final: false }),
            make,
        })))
    }

    pub(crate) fn can_change(&self) -> bool {
        matches!(self, Self::Watched(_))
    }

    #[inline]
    pub(crate) fn current(&self) -> Current<'_, R> {
        match self {
            Self::Fixed(rules) => Current::Fixed(rules),
            Self::Watched(watched) => Current::Watched(watched.current()),
        }
    }
}

impl<R> Clone for Rules<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(rules) => Self::Fixed(Arc::clone(rules)),
            Self::Watched(watched) => Self::Watched(Arc::clone(watched)),
        }
    }
}

impl<R> fmt::Debug for Rules<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Fixed",
            Self::Watched(_) => "Watched",
        })
    }
}

impl<R> Deref for Current<'_, R> {
    type Target = R;

    #[inline]
    fn deref(&self) -> &R {
        match self {
            Self::Fixed(rules) => rules,
            Self::Watched(rules) => rules,
        }
    }
}

/// Rules that follow options of a type that is of no interest here.
pub(crate) trait Watch<R>: Send + Sync {
    fn current(&self) -> Arc<R>;
}

struct Watched<O, R> {
    state: RwLock<State<O, R>>,
    make: fn(&O) -> Result<R, OptionsError>,
}

struct State<O, R> {
    options: watch::Receiver<O>,
    rules: Arc<R>,
    /// Whether there is no sender any more, and its last options are in use.
    is_final: bool,
}

impl<O, R> State<O, R> {
    /// Whether the channel has other options than the rules were made of.
    fn is_outdated(&self) -> bool {
        !self.is_final && self.options.has_changed().unwrap_or(true)
    }
}

impl<O: Send + Sync, R: Send + Sync> Watch<R> for Watched<O, R> {
    fn current(&self) -> Arc<R> {
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if !state.is_outdated() {
                return Arc::clone(&state.rules);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.is_outdated() {
            state.is_final = state.options.has_changed().is_err();
            let made = (self.make)(&state.options.borrow_and_update());
            match made {
                Ok(rules) => state.rules = Arc::new(rules),
                Err(error) => {
                    tracing::error!(%error, "changed options cannot be used; those from before stay");
                }
            }
        }
        Arc::clone(&state.rules)
    }
}
