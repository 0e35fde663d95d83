use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::Arc;

use http::{Extensions, Request, request};

/// The features of a request, a connection or a server, keyed by feature *trait*.
///
/// A look-up goes outwards: what a request does not have is sought in its connection, then in the server. To
/// [`set`](Self::set) a feature overrides it for what lies further in; the collection is copied on write, so whoever
/// holds an earlier clone keeps its view.
///
/// A look-up allocates nothing. A clone is two reference counts.
///
/// ```
/// use std::sync::Arc;
/// use server_abstractions::{FeatureCollection, HttpRequestIdentifierFeature};
///
/// struct Id(&'static str);
/// impl HttpRequestIdentifierFeature for Id {
///     fn trace_identifier(&self) -> String { self.0.to_owned() }
/// }
///
/// let mut features = FeatureCollection::new();
/// features.set::<dyn HttpRequestIdentifierFeature>(Arc::new(Id("outer")));
/// let outer = features.clone();
/// features.set::<dyn HttpRequestIdentifierFeature>(Arc::new(Id("inner")));
///
/// let id = |f: &FeatureCollection| f.get::<dyn HttpRequestIdentifierFeature>().map(|id| id.trace_identifier());
/// assert_eq!(id(&features).as_deref(), Some("inner"));
/// assert_eq!(id(&outer).as_deref(), Some("outer"));
/// ```
#[doc(alias = "IFeatureCollection")]
#[derive(Clone, Default)]
pub struct FeatureCollection {
    own: Option<Arc<Vec<Entry>>>,
    source: Option<Arc<dyn FeatureSource>>,
}

#[derive(Clone)]
struct Entry {
    id: TypeId,
    name: &'static str,
    /// An `Arc<T>` of the feature trait `T`, behind a pointer of known size.
    feature: Arc<dyn Any + Send + Sync>,
    /// Copies that `Arc<T>` into an `Option<Arc<T>>`.
    copy: fn(&dyn Any, &mut dyn Any) -> bool,
}

fn copy_feature<T: ?Sized + Send + Sync + 'static>(feature: &dyn Any, answer: &mut dyn Any) -> bool {
    match (feature.downcast_ref::<Arc<T>>(), answer.downcast_mut::<Option<Arc<T>>>()) {
        (Some(feature), Some(answer)) => {
            *answer = Some(Arc::clone(feature));
            true
        }
        _ => false,
    }
}

/// What a collection falls back to: an object that offers features it implements itself, such as the state of one
/// request, and passes the question on for all others.
pub trait FeatureSource: Send + Sync + 'static {
    /// Answers the question if it can; see [`FeatureQuery::offer`].
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>);
}

/// A question for one feature, on its way through [`FeatureSource`]s.
pub struct FeatureQuery<'a> {
    wanted: TypeId,
    name: &'static str,
    /// An `Option<Arc<T>>` of the wanted trait.
    answer: &'a mut dyn Any,
    answered: bool,
}

impl FeatureQuery<'_> {
    /// Answers with a feature if this one is asked for and not answered yet.
    pub fn offer<T: ?Sized + Send + Sync + 'static>(
        &mut self,
        feature: impl FnOnce() -> Arc<T>,
    ) -> &mut Self {
        self.offer_if(|| Some(feature()))
    }

    /// As [`offer`](Self::offer), for a feature that may be absent.
    pub fn offer_if<T: ?Sized + Send + Sync + 'static>(
        &mut self,
        feature: impl FnOnce() -> Option<Arc<T>>,
    ) -> &mut Self {
        if !self.answered
            && self.wanted == TypeId::of::<T>()
            && let Some(answer) = self.answer.downcast_mut::<Option<Arc<T>>>()
        {
            *answer = feature();
            self.answered = answer.is_some();
        }
        self
    }

    /// Answers that there is no such feature, whatever lies further out.
    pub fn withhold<T: ?Sized + 'static>(&mut self) -> &mut Self {
        self.answered |= self.wanted == TypeId::of::<T>();
        self
    }

    /// Passes the question on, unless it is answered.
    pub fn otherwise(&mut self, outer: &FeatureCollection) {
        if !self.answered {
            outer.answer(self);
        }
    }
}

impl fmt::Debug for FeatureQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeatureQuery").field("wanted", &self.name).field("answered", &self.answered).finish()
    }
}

impl FeatureCollection {
    /// A collection with nothing in it.
    pub const fn new() -> Self {
        Self { own: None, source: None }
    }

    /// A collection that falls back to `source`.
    pub fn from_source(source: Arc<dyn FeatureSource>) -> Self {
        Self { own: None, source: Some(source) }
    }

    /// A collection that falls back to another one, as a connection's does to the server's.
    pub fn inheriting(outer: &Self) -> Self {
        match (&outer.own, &outer.source) {
            (None, source) => Self { own: None, source: source.clone() },
            (Some(_), _) => Self::from_source(Arc::new(Inherited(outer.clone()))),
        }
    }

    /// Looks for a feature here, then further out: `features.get::<dyn HttpConnectionFeature>()`.
    #[doc(alias = "Get")]
    pub fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut answer = None::<Arc<T>>;
        let mut query = FeatureQuery {
            wanted: TypeId::of::<T>(),
            name: type_name::<T>(),
            answer: &mut answer,
            answered: false,
        };
        self.answer(&mut query);
        answer
    }

    /// As [`get`](Self::get), past what was set in this very collection: of a request, what its server and connection
    /// say, whatever layers have set since.
    pub fn get_outer<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Self { own: None, source: self.source.clone() }.get()
    }

    /// Sets a feature, in place of the one that was set here before or that lies further out.
    #[doc(alias = "Set")]
    pub fn set<T: ?Sized + Send + Sync + 'static>(&mut self, feature: Arc<T>) {
        let entry = Entry {
            id: TypeId::of::<T>(),
            name: type_name::<T>(),
            feature: Arc::new(feature),
            copy: copy_feature::<T>,
        };
        let own = Arc::make_mut(self.own.get_or_insert_default());
        match own.iter_mut().find(|present| present.id == entry.id) {
            Some(present) => *present = entry,
            None => own.push(entry),
        }
    }

    /// Takes back what was set here; what lies further out is seen again. Returns whether there was anything.
    pub fn remove<T: ?Sized + 'static>(&mut self) -> bool {
        let id = TypeId::of::<T>();
        match &mut self.own {
            Some(own) if own.iter().any(|entry| entry.id == id) => {
                Arc::make_mut(own).retain(|entry| entry.id != id);
                true
            }
            _ => false,
        }
    }

    fn answer(&self, query: &mut FeatureQuery<'_>) {
        let own = self.own.iter().flat_map(|own| own.iter()).find(|entry| entry.id == query.wanted);
        if let Some(entry) = own {
            query.answered = (entry.copy)(&*entry.feature, query.answer);
        }
        if !query.answered
            && let Some(source) = &self.source
        {
            Arc::clone(source).find(query);
        }
    }
}

/// Names the features that were set here; those of the source are not known by name.
impl fmt::Debug for FeatureCollection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.own.iter().flat_map(|own| own.iter()).map(|entry| entry.name);
        f.debug_list().entries(own).finish()
    }
}

struct Inherited(FeatureCollection);

impl FeatureSource for Inherited {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        query.otherwise(&self.0);
    }
}

static NONE: FeatureCollection = FeatureCollection::new();

/// The features of a request, read from and kept in its [`Extensions`].
pub trait RequestFeatures {
    /// The features; empty if no server of this contract has seen the request.
    fn features(&self) -> &FeatureCollection;

    /// The features, to set some for whoever comes further in.
    fn features_mut(&mut self) -> &mut FeatureCollection;
}

impl RequestFeatures for Extensions {
    fn features(&self) -> &FeatureCollection {
        self.get().unwrap_or(&NONE)
    }

    fn features_mut(&mut self) -> &mut FeatureCollection {
        self.get_or_insert_default()
    }
}

impl<B> RequestFeatures for Request<B> {
    fn features(&self) -> &FeatureCollection {
        self.extensions().features()
    }

    fn features_mut(&mut self) -> &mut FeatureCollection {
        self.extensions_mut().features_mut()
    }
}

impl RequestFeatures for request::Parts {
    fn features(&self) -> &FeatureCollection {
        self.extensions.features()
    }

    fn features_mut(&mut self) -> &mut FeatureCollection {
        self.extensions.features_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    trait Color: Send + Sync {
        fn color(&self) -> &'static str;
    }
    trait Size: Send + Sync {
        fn size(&self) -> u32;
    }

    struct Red;
    impl Color for Red {
        fn color(&self) -> &'static str {
            "red"
        }
    }
    struct Blue;
    impl Color for Blue {
        fn color(&self) -> &'static str {
            "blue"
        }
    }
    impl Size for Blue {
        fn size(&self) -> u32 {
            7
        }
    }

    /// One object with a feature of its own and an outer collection, as the state of a request is.
    struct State(FeatureCollection);
    impl Size for State {
        fn size(&self) -> u32 {
            1
        }
    }
    impl FeatureSource for State {
        fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
            query.offer::<dyn Size>(|| self.clone()).otherwise(&self.0);
        }
    }

    #[test]
    fn a_look_up_goes_outwards_until_something_answers() {
        let mut server = FeatureCollection::new();
        server.set::<dyn Color>(Arc::new(Red));
        server.set::<dyn Size>(Arc::new(Blue));
        let connection = FeatureCollection::inheriting(&server);
        let mut request = FeatureCollection::from_source(Arc::new(State(connection)));
        assert_eq!(request.get::<dyn Color>().unwrap().color(), "red");
        assert_eq!(request.get::<dyn Size>().unwrap().size(), 1);
        assert!(request.get::<dyn Fn() + Send + Sync>().is_none());

        request.set::<dyn Color>(Arc::new(Blue));
        assert_eq!(request.get::<dyn Color>().unwrap().color(), "blue");
        assert_eq!(server.get::<dyn Color>().unwrap().color(), "red");
        assert_eq!(request.get_outer::<dyn Color>().unwrap().color(), "red");
        assert!(request.remove::<dyn Color>());
        assert!(!request.remove::<dyn Color>());
        assert_eq!(request.get::<dyn Color>().unwrap().color(), "red");
    }

    /// Shows what lies further out, but no color.
    struct Colorless(FeatureCollection);
    impl FeatureSource for Colorless {
        fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
            query.withhold::<dyn Color>().otherwise(&self.0);
        }
    }

    #[test]
    fn a_source_may_withhold_what_lies_further_out() {
        let mut outer = FeatureCollection::new();
        outer.set::<dyn Color>(Arc::new(Red));
        outer.set::<dyn Size>(Arc::new(Blue));
        let mut inner = FeatureCollection::from_source(Arc::new(Colorless(outer)));
        assert!(inner.get::<dyn Color>().is_none());
        assert_eq!(inner.get::<dyn Size>().unwrap().size(), 7);
        inner.set::<dyn Color>(Arc::new(Blue));
        assert_eq!(inner.get::<dyn Color>().unwrap().color(), "blue");
    }

    #[test]
    fn setting_one_keeps_the_view_of_whoever_holds_a_clone() {
        let mut inner = FeatureCollection::new();
        inner.set::<dyn Color>(Arc::new(Red));
        let outer = inner.clone();
        inner.set::<dyn Color>(Arc::new(Blue));
        assert_eq!(outer.get::<dyn Color>().unwrap().color(), "red");
        assert_eq!(inner.get::<dyn Color>().unwrap().color(), "blue");
        assert_eq!(format!("{inner:?}").matches("Color").count(), 1);
    }

    #[test]
    fn a_request_without_a_server_has_no_features() {
        let mut request = Request::new(());
        assert!(request.features().get::<dyn Color>().is_none());
        request.features_mut().set::<dyn Color>(Arc::new(Red));
        assert!(request.features().get::<dyn Color>().is_some());
    }
}
