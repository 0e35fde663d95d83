use server_abstractions::StartError;

/// Where something was configured, such as a key of a settings file with its place: errors begin with it.
///
/// It makes no difference between what is the same but for it: all are equal.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredAt(Option<String>);

impl ConfiguredAt {
    /// A place that errors begin with.
    pub fn new(place: impl Into<String>) -> Self {
        Self(Some(place.into()))
    }

    pub(super) fn blame(&self, error: StartError) -> StartError {
        match &self.0 {
            Some(place) => error.while_attempting(place),
            None => error,
        }
    }
}

impl PartialEq for ConfiguredAt {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ConfiguredAt {}
