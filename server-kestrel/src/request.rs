//! From hyper's request to the app's.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::header::EXPECT;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use server_abstractions::{App, Body, FeatureCollection};

use crate::request_body::RequestBody;
use crate::response::Respond;

mod context;
pub(crate) mod rates;
mod state;
pub(crate) mod validation;

pub(crate) use context::{ConnectionContext, Known};
pub(crate) use state::RequestState;

use validation::{KnownHost, Malformed};

/// The service that the HTTP engines call.
pub(crate) struct RequestService {
    app: App,
    context: Arc<ConnectionContext>,
    /// The state of the last request over HTTP/1.1; when nobody else holds it any more, the next one takes its place.
    last: Cell<Option<Arc<RequestState>>>,
    /// The Host of the last request over HTTP/1.1, most often that of the next one as well.
    host: RefCell<KnownHost>,
}

impl RequestService {
    pub(crate) fn new(app: App, context: Arc<ConnectionContext>) -> Self {
        Self { app, context, last: Cell::new(None), host: RefCell::default() }
    }

    fn state(&self, request: &Request<Incoming>) -> Arc<RequestState> {
        if !self.context.is_http1 {
            return Arc::new(RequestState::new(&self.context, request));
        }
        let mut last = self.last.take();
        let state = match last.as_mut().and_then(Arc::get_mut) {
            Some(state) => {
                state.reuse(request);
                last.unwrap_or_else(|| Arc::new(RequestState::new(&self.context, request)))
            }
            None => Arc::new(RequestState::new(&self.context, request)),
        };
        self.last.set(Some(Arc::clone(&state)));
        state
    }
}

impl hyper::service::Service<Request<Incoming>> for RequestService {
    type Response = http::Response<crate::response::ResponseBody>;
    type Error = server_abstractions::BoxError;
    type Future = Respond;

    fn call(&self, mut request: Request<Incoming>) -> Respond {
        if self.context.is_http1 && request.extensions().get::<OnUpgrade>().is_some() {
            self.context.activity.hold_nothing();
            if !validation::asks_for_upgrade(&request) {
                // So that nobody else takes it either.
                request.extensions_mut().remove::<OnUpgrade>();
            }
        }
        let state = self.state(&request);
        if self.context.is_http1 {
            if let Err(refusal) = validation::check(&request, &mut self.host.borrow_mut()) {
                let mut target = String::new();
                return Respond::refuse(state, refusal, Known::of(&request, &mut target));
            }
        } else {
            let context = &self.context;
            let settled = validation::check_http2_size(&request, &context.head)
                .and_then(|()| Ok(validation::settle_http2(&mut request, context.required_scheme.as_ref())?));
            match settled {
                Ok(()) => {}
                Err(malformed) => {
                    let mut target = String::new();
                    let known = Known::of(&request, &mut target);
                    return match malformed {
                        Malformed::Reset(reason) => Respond::reset(state, reason, known),
                        Malformed::Refuse(refusal) => Respond::refuse(state, refusal, known),
                    };
                }
            }
        }
        request.extensions_mut().insert(FeatureCollection::from_source(state.clone()));
        let is_expected = state.can_have_body && self.context.is_http1 && waits_for_continue(&request);
        let request = request.map(|body| {
            if is_expected {
                Body::new(RequestBody::expected(body, Arc::clone(&state)))
            } else if state.can_have_body {
                Body::new(RequestBody::new(body, Arc::clone(&state)))
            } else {
                Body::empty()
            }
        });
        let app = self.app.handle(request);
        Respond::handle(state, app)
    }
}

/// Whether the client may send its body only when it is told to continue (RFC 9110, section 10.1.1).
fn waits_for_continue(request: &Request<Incoming>) -> bool {
    // hyper goes by the last line.
    let expectation = request.headers().get_all(EXPECT).iter().next_back();
    request.version() == Version::HTTP_11
        && expectation.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
