//! A configuration that follows its files.

mod files;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use self::files::Watched;
use super::{Configuration, ConfigurationBuilder, ConfigurationError, ConfigurationSection};

/// A configuration that is read again when its files change, and tells whoever follows it.
///
/// Cheap to clone; all clones are the same configuration. Every part of it can be followed: all of it
/// ([`changes`](Self::changes)), a section ([`section`](Self::section)), or a section as typed options
/// ([`options`](Self::options)). What cannot be read leaves the last state in force and is told by one event of level error.
///
/// ```
/// use hosting::{Configuration, ConfigurationMonitor};
///
/// #[derive(serde::Deserialize)]
/// struct Greeter { greeting: String }
///
/// let layers = Configuration::builder().json_text("appsettings.json", r#"{ "Greeter": { "Greeting": "hello" } }"#);
/// let monitor = ConfigurationMonitor::new(layers)?;
/// let greeter = monitor.options::<Greeter>("Greeter")?;
/// // Wherever it is used, the newest value:
/// assert_eq!(greeter.borrow().greeting, "hello");
/// # Ok::<(), hosting::ConfigurationError>(())
/// ```
///
/// A [`WebApplication`](crate::WebApplication) has one that watches its files by itself.
#[doc(alias = "IConfigurationRoot")]
#[doc(alias = "IOptionsMonitor")]
#[doc(alias = "IChangeToken")]
#[doc(alias = "GetReloadToken")]
#[derive(Clone)]
pub struct ConfigurationMonitor {
    shared: Arc<Shared>,
}

struct Shared {
    layers: ConfigurationBuilder,
    watched: Watched,
    current: watch::Sender<Configuration>,
    /// Compares a new state with the last one, which stays in force if it is refused.
    guard: OnceLock<Guard>,
    /// Locked while the configuration is read, so that followers see one state after the other.
    followers: Mutex<Vec<Follower>>,
}

type Guard = fn(last: &Configuration, new: &Configuration) -> Result<(), ConfigurationError>;

/// Is told each state.
type Follower = Box<dyn FnMut(&Configuration) -> Followed + Send>;

/// What a follower makes of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// It goes on with it.
    Taken,
    /// It cannot use it, has told so, and goes on with the one before.
    Refused,
    /// Nobody needs it any more.
    Over,
}

/// Whether it wants to hear of the next state.
impl From<bool> for Followed {
    fn from(goes_on: bool) -> Self {
        if goes_on { Self::Taken } else { Self::Over }
    }
}

impl ConfigurationMonitor {
    /// Reads the layers for the first time.
    ///
    /// # Errors
    /// As [`ConfigurationBuilder::build`].
    pub fn new(layers: ConfigurationBuilder) -> Result<Self, ConfigurationError> {
        // Looked at before they are read, so that a change in between is seen as one.
        let watched = Watched::new(layers.files());
        let current = watch::Sender::new(layers.build()?);
        Ok(Self {
            shared: Arc::new(Shared {
                layers,
                watched,
                current,
                guard: OnceLock::new(),
                followers: Mutex::default(),
            }),
        })
    }

    /// The configuration as it is now.
    #[must_use]
    pub fn current(&self) -> Configuration {
        self.shared.current.borrow().clone()
    }

    /// Follows the whole configuration; told when any value changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Configuration> {
        self.shared.current.subscribe()
    }

    /// Follows the section at `path`, which need not exist; told when a value in it changes.
    #[must_use]
    pub fn section(&self, path: &str) -> watch::Receiver<ConfigurationSection> {
        let (path, mut followers) = (path.to_owned(), self.followers());
        let (sender, receiver) = watch::channel(self.current().section(&path));
        followers.push(Box::new(move |configuration| {
            let section = configuration.section(&path);
            sender.send_if_modified(|last| {
                let has_changed = !last.has_same_values(&section);
                *last = section;
                has_changed
            });
            Followed::from(!sender.is_closed())
        }));
        receiver
    }

    /// Follows the section at `path` as a type, read as by [`Configuration::bind`]; told when a value in it changes.
    /// A change that does not fit the type leaves the last options in force.
    ///
    /// # Errors
    /// The section does not fit the type now.
    pub fn options<T>(&self, path: &str) -> Result<watch::Receiver<T>, ConfigurationError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let (path, mut followers) = (path.to_owned(), self.followers());
        let configuration = self.current();
        let (sender, receiver) = watch::channel(configuration.bind::<T>(&path)?);
        let mut last = configuration.section(&path);
        followers.push(Box::new(move |configuration| {
            let section = configuration.section(&path);
            let mut followed = Followed::from(!sender.is_closed());
            if !section.has_same_values(&last) {
                match configuration.bind::<T>(&path) {
                    Ok(options) => drop(sender.send_replace(options)),
                    Err(error) => {
                        tracing::error!(section = path, %error, "a section of the configuration has changed and cannot be used; its last state stays in force");
                        followed = Followed::Refused;
                    }
                }
            }
            last = section;
            followed
        }));
        Ok(receiver)
    }

    /// Tells a function each state of the configuration from the next one on, as long as it wants that.
    #[cfg(feature = "kestrel")]
    pub(crate) fn follow<F: Into<Followed>>(
        &self,
        mut follower: impl FnMut(&Configuration) -> F + Send + 'static,
    ) {
        self.followers().push(Box::new(move |configuration| follower(configuration).into()));
    }

    /// Has a function look at each new state before anybody hears of it. The first one is the one.
    #[cfg(feature = "kestrel")]
    pub(crate) fn guard_by(&self, guard: Guard) {
        let _there_is_one = self.shared.guard.set(guard);
    }

    /// Reads all layers again, now, and tells those who follow. It blocks the thread while it reads.
    ///
    /// # Errors
    /// As [`ConfigurationBuilder::build`], and when a file is gone that has been there, optional or not: it may be about to
    /// be written anew. Then everything stays as it is.
    #[doc(alias = "Reload")]
    pub fn reload(&self) -> Result<(), ConfigurationError> {
        self.read().map(drop)
    }

    /// The same; [`Followed::Refused`] if one of the followers cannot use what was read.
    fn read(&self) -> Result<Followed, ConfigurationError> {
        let mut followers = self.followers();
        if let Some(path) = self.shared.watched.lost() {
            let message = format!("{} is gone; to go on without it, start the program again", path.display());
            return Err(ConfigurationError::new(message));
        }
        let configuration = self.shared.layers.build()?;
        if let Some(guard) = self.shared.guard.get() {
            guard(&self.current(), &configuration)?;
        }
        self.shared.current.send_if_modified(|last| {
            let has_changed = !last.section("").has_same_values(&configuration.section(""));
            *last = configuration.clone();
            has_changed
        });
        let mut result = Followed::Taken;
        followers.retain_mut(|follower| {
            let followed = follower(&configuration);
            if followed == Followed::Refused {
                result = Followed::Refused;
            }
            followed != Followed::Over
        });
        Ok(result)
    }

    /// Watches the files and reads them again when they change, also by a rename or behind a symbolic link, until the
    /// future is dropped. They are looked at every two seconds, and read once they have settled.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it; a change that it has not read yet is read by the next call.
    pub async fn watch_files(&self) {
        loop {
            self.shared.watched.changed().await;
            self.read_again("has changed").await;
        }
    }

    /// [`reload`](Self::reload) on a thread that may block; how it went, and why it was done, is an event. What a follower
    /// refuses is the follower's own.
    pub(crate) async fn read_again(&self, why: &'static str) {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.read()).await {
            Ok(Ok(Followed::Refused)) => {}
            Ok(Ok(_)) => tracing::info!("the configuration {why} and was read again"),
            Ok(Err(error)) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the configuration {why} and cannot be read; its last state stays in force"
            ),
            Err(panic) => tracing::error!(%panic, "whoever follows the configuration has panicked"),
        }
    }

    fn followers(&self) -> std::sync::MutexGuard<'_, Vec<Follower>> {
        self.shared.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An empty configuration without files.
impl Default for ConfigurationMonitor {
    fn default() -> Self {
        let layers = ConfigurationBuilder::default();
        let (watched, current) = (Watched::new(layers.files()), watch::Sender::default());
        Self {
            shared: Arc::new(Shared {
                layers,
                watched,
                current,
                guard: OnceLock::new(),
                followers: Mutex::default(),
            }),
        }
    }
}

impl fmt::Debug for ConfigurationMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigurationMonitor").field("layers", &self.shared.layers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
