//! The application that the module's own server has: it finds out whom a request is for.

use std::collections::BTreeMap;
use std::sync::Arc;

use hosting::header::HOST;
use hosting::server_abstractions::EndpointFeature;
use hosting::{Body, Request, RequestFeatures, Response};

use crate::application::Application;
use crate::{ModuleOptions, RouteError, Routes, pages};

/// The applications out of process, by endpoint, host and path.
#[derive(Clone)]
pub(crate) struct Front(Arc<Shared>);

struct Shared {
    /// By the number of the options; those in process are not there.
    applications: Vec<Option<Arc<Application>>>,
    by_endpoint: BTreeMap<String, Routes>,
    /// Those of every endpoint, if all have the same.
    everywhere: Option<Routes>,
}

impl Front {
    /// # Errors
    /// Two applications have a host and a path in common.
    pub(crate) fn new(
        options: &ModuleOptions,
        applications: Vec<Option<Arc<Application>>>,
    ) -> Result<Self, RouteError> {
        let names = options.kestrel.endpoints.iter().filter_map(|endpoint| endpoint.name.as_ref());
        let routes = names.map(|name| Ok((name.clone(), options.routes(Some(name))?)));
        let by_endpoint = routes.collect::<Result<BTreeMap<_, _>, RouteError>>()?;
        let first = match by_endpoint.values().next() {
            Some(first) => first.clone(),
            None => options.routes(None)?,
        };
        let everywhere = by_endpoint.values().all(|routes| *routes == first).then_some(first);
        Ok(Self(Arc::new(Shared { applications, by_endpoint, everywhere })))
    }

    /// Answers a request. It is kept once, so that the future of each request is small.
    pub(crate) fn answer(self, mut request: Request<Body>) -> impl Future<Output = Response<Body>> {
        let application = self.0.find(&request);
        async move {
            match application {
                Some(application) => application.answer(&mut request).await,
                None => pages::not_found(),
            }
        }
    }
}

impl Shared {
    fn find(&self, request: &Request<Body>) -> Option<Arc<Application>> {
        let routes = match &self.everywhere {
            Some(routes) => routes,
            None => {
                let endpoint = request.features().get::<dyn EndpointFeature>()?;
                self.by_endpoint.get(endpoint.name()?)?
            }
        };
        if let Some(only) = routes.only() {
            return self.applications.get(only)?.clone();
        }
        let uri = request.uri();
        let host = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
        };
        let found = routes.find(host, uri.path())?;
        self.applications.get(found.application)?.clone()
    }
}
