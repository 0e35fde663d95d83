//! From hyper's request to the app's.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Context;

use atomic_waker::AtomicWaker;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use server_abstractions::{
    App, Body, FeatureCollection, FeatureQuery, FeatureSource, HttpConnectionFeature,
    HttpExtendedConnectFeature, HttpMaxRequestBodySizeFeature, HttpMinRequestBodyDataRateFeature,
    HttpMinResponseDataRateFeature, HttpRequestBodyDetectionFeature, HttpRequestIdentifierFeature,
    HttpRequestLifetimeFeature, HttpRequestTrailersFeature, HttpResetFeature, HttpResponseTrailersFeature,
    HttpUpgradeFeature, Io, MinDataRate, TooLate, Upgrade, UpgradeError,
};
use tokio_util::sync::CancellationToken;

use crate::connection::{Accepted, Activity, Peer, Signals};
use crate::refusal::Refusal;
use crate::request_body::RequestBody;
use crate::response::Respond;
use crate::scanner::HeadLimits;

pub(crate) mod validation;

use validation::{KnownHost, Malformed};

/// What the requests of one connection have in common.
pub(crate) struct ConnectionContext {
    /// The features as the connection layers left them.
    pub(crate) features: FeatureCollection,
    pub(crate) accepted: Arc<Accepted>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) is_http1: bool,
    /// What `:scheme` must be, if it must be anything.
    pub(crate) required_scheme: Option<Scheme>,
    pub(crate) add_server_header: bool,
    pub(crate) max_request_body_size: Option<u64>,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_upgraded: Option<u64>,
    /// Those of HTTP/2, whose engine knows only a part of them.
    pub(crate) head: HeadLimits,
    pub(crate) rates: Rates,
}

impl ConnectionContext {
    pub(crate) fn peer(&self) -> Peer {
        Peer::of(&self.features)
    }

    /// A request is answered without the app, or in spite of it, and the connection ends.
    pub(crate) fn refused(&self, refusal: Refusal) {
        if self.is_http1 {
            self.accepted.ends_with(refusal.error_type());
        }
        let peer = self.peer();
        tracing::debug!(
            connection = peer.id(),
            peer = ?peer.address(),
            status = refusal.status().as_u16(),
            reason = refusal.reason(),
            "error.type" = refusal.error_type(),
            "a request was refused"
        );
    }

    /// The server ends the connection.
    pub(crate) fn cut_off(&self, error_type: &'static str) {
        self.accepted.cut_off(&self.features, error_type);
    }
}

/// The data rates in force: those of the server, or what the app says for the request under way (HTTP/1.1).
pub(crate) struct Rates {
    defaults: [Option<MinDataRate>; 2],
    /// Whether the app has said otherwise.
    is_changed: AtomicBool,
    changed: Mutex<[Option<MinDataRate>; 2]>,
}

impl Rates {
    const REQUEST_BODY: usize = 0;
    const RESPONSE: usize = 1;

    pub(crate) fn new(request_body: Option<MinDataRate>, response: Option<MinDataRate>) -> Self {
        let defaults = [request_body, response];
        Self { defaults, is_changed: AtomicBool::new(false), changed: Mutex::new(defaults) }
    }

    fn get(&self, which: usize) -> Option<MinDataRate> {
        if self.is_changed.load(Ordering::Acquire) {
            lock(&self.changed)[which]
        } else {
            self.defaults[which]
        }
    }

    fn set(&self, which: usize, rate: Option<MinDataRate>) {
        lock(&self.changed)[which] = rate;
        self.is_changed.store(true, Ordering::Release);
    }

    /// Another request begins.
    fn reset(&self) {
        if self.is_changed.load(Ordering::Relaxed) {
            *lock(&self.changed) = self.defaults;
            self.is_changed.store(false, Ordering::Release);
        }
    }

    pub(crate) fn request_body(&self) -> Option<MinDataRate> {
        self.get(Self::REQUEST_BODY)
    }

    pub(crate) fn response(&self) -> Option<MinDataRate> {
        self.get(Self::RESPONSE)
    }
}

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
                return Respond::refuse(state, refusal);
            }
        } else {
            let context = &self.context;
            let settled = validation::check_http2_size(&request, &context.head)
                .and_then(|()| Ok(validation::settle_http2(&mut request, context.required_scheme.as_ref())?));
            match settled {
                Ok(()) => {}
                Err(Malformed::Reset(reason)) => return Respond::reset(state, reason),
                Err(Malformed::Refuse(refusal)) => return Respond::refuse(state, refusal),
            }
        }
        request.extensions_mut().insert(FeatureCollection::from_source(state.clone()));
        let request = request.map(|body| {
            if state.can_have_body {
                Body::new(RequestBody::new(body, Arc::clone(&state)))
            } else {
                Body::empty()
            }
        });
        let app = self.app.handle(request);
        Respond::handle(state, app)
    }
}

/// The state of one request: all of its features in one allocation.
pub(crate) struct RequestState {
    pub(crate) context: Arc<ConnectionContext>,
    ordinal: u32,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    can_have_body: bool,
    /// The limit of the body in bytes; [`UNLIMITED`] is none.
    max_body_size: AtomicU64,
    is_body_read: AtomicBool,
    is_body_ended: AtomicBool,
    /// The status for a body that broke a limit or its framing; 0 is none.
    body_failure: AtomicU16,
    /// What the request was aborted with, plus one; 0 is not at all.
    abort_code: AtomicU64,
    /// Whether the request is over, so that there is nothing left to abort.
    is_over: AtomicBool,
    /// The task of an HTTP/2 stream, to be woken by an abort.
    stream: AtomicWaker,
    aborted: OnceLock<CancellationToken>,
    rare: OnceLock<Box<Rare>>,
}

/// What few requests have.
#[derive(Default)]
struct Rare {
    upgrade: Mutex<Option<OnUpgrade>>,
    /// Fires when the response did not accept the upgrade.
    refused: CancellationToken,
    is_upgradable: bool,
    protocol: Option<Protocol>,
    request_trailers: Mutex<Option<HeaderMap>>,
    response_trailers: Mutex<ResponseTrailers>,
}

#[derive(Default)]
struct ResponseTrailers {
    fields: HeaderMap,
    is_sent: bool,
}

const UNLIMITED: u64 = u64::MAX;

impl RequestState {
    fn new(context: &Arc<ConnectionContext>, request: &Request<Incoming>) -> Self {
        let mut state = Self {
            context: Arc::clone(context),
            ordinal: 0,
            is_head: false,
            is_connect: false,
            can_have_body: false,
            max_body_size: AtomicU64::new(0),
            is_body_read: AtomicBool::new(false),
            is_body_ended: AtomicBool::new(false),
            body_failure: AtomicU16::new(0),
            abort_code: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            stream: AtomicWaker::new(),
            aborted: OnceLock::new(),
            rare: OnceLock::new(),
        };
        state.reuse(request);
        state
    }

    /// Begins a request in a state that belongs to nobody else.
    fn reuse(&mut self, request: &Request<Incoming>) {
        let is_connect = *request.method() == Method::CONNECT;
        let can_have_body = !is_connect && !hyper::body::Body::is_end_stream(request.body());
        self.ordinal = self.context.activity.request_begins();
        self.context.rates.reset();
        if self.context.max_requests.is_some_and(|max| u64::from(self.ordinal) >= max) {
            self.context.accepted.signals.send(Signals::CLOSE);
        }
        self.is_head = *request.method() == Method::HEAD;
        self.is_connect = is_connect;
        self.can_have_body = can_have_body;
        *self.max_body_size.get_mut() = self.context.max_request_body_size.unwrap_or(UNLIMITED);
        *self.is_body_read.get_mut() = false;
        *self.is_body_ended.get_mut() = !can_have_body;
        *self.body_failure.get_mut() = 0;
        *self.abort_code.get_mut() = 0;
        *self.is_over.get_mut() = false;
        self.aborted.take();
        self.rare.take();
        if let Some(upgrade) = request.extensions().get::<OnUpgrade>() {
            // The cell was emptied a line ago.
            let _ = self.rare.set(Box::new(Rare {
                upgrade: Mutex::new(Some(upgrade.clone())),
                is_upgradable: !can_have_body,
                protocol: request.extensions().get::<Protocol>().cloned(),
                ..Rare::default()
            }));
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// Reading the body begins: its limit is fixed.
    pub(crate) fn begin_body(&self) -> u64 {
        self.is_body_read.store(true, Ordering::Relaxed);
        self.max_body_size.load(Ordering::Relaxed)
    }

    pub(crate) fn end_body(&self, trailers: Option<&HeaderMap>) {
        if let Some(trailers) = trailers {
            *lock(&self.rare().request_trailers) = Some(trailers.clone());
        }
        self.is_body_ended.store(true, Ordering::Release);
    }

    /// The body is refused; whoever reads it learns that.
    pub(crate) fn fail_body(&self, refusal: Refusal) {
        self.context.refused(refusal);
        self.body_failure.store(refusal.status().as_u16(), Ordering::Relaxed);
    }

    /// The body cannot be read any further, by nobody's decision.
    pub(crate) fn lose_body(&self) {
        self.body_failure.store(StatusCode::BAD_REQUEST.as_u16(), Ordering::Relaxed);
    }

    /// Whether the app has not read the body to its end.
    pub(crate) fn is_body_unread(&self) -> bool {
        !self.is_body_ended.load(Ordering::Relaxed)
    }

    /// The status that a broken body asks for.
    pub(crate) fn body_failure(&self) -> Option<StatusCode> {
        match self.body_failure.load(Ordering::Relaxed) {
            0 => None,
            status => StatusCode::from_u16(status).ok(),
        }
    }

    /// The response's trailers, once; nobody can add to them afterwards.
    pub(crate) fn take_response_trailers(&self) -> Option<HeaderMap> {
        let mut trailers = lock(&self.rare.get()?.response_trailers);
        trailers.is_sent = true;
        (!trailers.fields.is_empty()).then(|| std::mem::take(&mut trailers.fields))
    }

    /// Whether trailers are waiting to be sent.
    pub(crate) fn has_response_trailers(&self) -> bool {
        self.rare.get().is_some_and(|rare| !lock(&rare.response_trailers).fields.is_empty())
    }

    /// What the request was aborted with; on HTTP/2 the task is woken when it is.
    pub(crate) fn poll_abort(&self, cx: &Context<'_>) -> Option<h2::Reason> {
        if !self.context.is_http1 {
            self.stream.register(cx.waker());
        }
        match self.abort_code.load(Ordering::Acquire) {
            0 => None,
            code => Some(h2::Reason::from(u32::try_from(code - 1).unwrap_or(u32::MAX))),
        }
    }

    /// The request was given up before its response was complete.
    pub(crate) fn fire_aborted(&self) {
        // Whoever asks for the token later gets one that has fired.
        self.aborted.get_or_init(CancellationToken::new).cancel();
    }

    /// The response has been decided on and does not accept the upgrade that the client asked for.
    pub(crate) fn refuse_upgrade(&self) {
        if let Some(rare) = self.rare.get() {
            rare.refused.cancel();
            self.context.accepted.settle_upgrade(false);
        }
    }

    /// Whether there may be one more upgraded connection; then it is counted.
    pub(crate) fn reserve_upgrade(&self) -> bool {
        let limit = self.context.max_upgraded;
        let is_free = self.context.accepted.reserve_upgrade(limit);
        if !is_free {
            tracing::warn!(
                connection = self.context.accepted.connection_id(),
                peer = ?self.context.accepted.remote_address(),
                limit,
                reason = "max_concurrent_upgraded_connections",
                "an upgrade was refused: there are as many upgraded connections as there may be"
            );
        }
        is_free
    }

    /// The request has been answered or given up; what an app still keeps of it no longer ends the connection.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.context.activity.set_body_unread(!self.is_body_ended.load(Ordering::Relaxed));
    }

    /// Whether the client asked for an upgrade or a tunnel that the response can accept.
    pub(crate) fn can_be_upgraded(&self) -> bool {
        self.rare.get().is_some_and(|rare| rare.is_upgradable)
    }

    pub(crate) fn abort_with(&self, reason: h2::Reason) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        self.abort_code.store(u64::from(u32::from(reason)) + 1, Ordering::Release);
        self.stream.wake();
        if self.context.is_http1 {
            self.context.accepted.signals.send(Signals::KILL);
        }
    }

    fn take_upgrade(&self) -> Result<Upgrade, UpgradeError> {
        let rare = self.rare.get().ok_or(UpgradeError::NotUpgradable)?;
        if self.context.is_http1 && !self.reserve_upgrade() {
            return Err(UpgradeError::TooMany);
        }
        let upgrade = lock(&rare.upgrade).take().ok_or(UpgradeError::AlreadyTaken)?;
        let refused = rare.refused.clone();
        Ok(Box::pin(async move {
            // hyper gives what is left of an HTTP/1.1 connection to the last one who asked, accepted or not.
            let upgraded = match refused.run_until_cancelled(upgrade).await {
                Some(upgraded) if !refused.is_cancelled() => upgraded.map_err(std::io::Error::other)?,
                _ => return Err(std::io::Error::other("the response did not accept the upgrade")),
            };
            Ok(Box::new(TokioIo::new(upgraded)) as Box<dyn Io>)
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FeatureSource for RequestState {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        let is_http1 = self.context.is_http1;
        let may_be_upgraded = self.rare.get().is_some_and(|rare| rare.is_upgradable);
        let is_extended_connect = self.is_extended_connect();
        query
            .offer::<dyn HttpRequestLifetimeFeature>(|| self.clone())
            .offer::<dyn HttpRequestIdentifierFeature>(|| self.clone())
            .offer::<dyn HttpMaxRequestBodySizeFeature>(|| self.clone())
            .offer::<dyn HttpRequestBodyDetectionFeature>(|| self.clone())
            .offer::<dyn HttpRequestTrailersFeature>(|| self.clone())
            .offer_if::<dyn HttpMinRequestBodyDataRateFeature>(|| is_http1.then(|| self.clone() as _))
            .offer_if::<dyn HttpMinResponseDataRateFeature>(|| is_http1.then(|| self.clone() as _))
            .offer_if::<dyn HttpUpgradeFeature>(|| (is_http1 && may_be_upgraded).then(|| self.clone() as _))
            .offer_if::<dyn HttpExtendedConnectFeature>(|| is_extended_connect.then(|| self.clone() as _))
            .offer_if::<dyn HttpResponseTrailersFeature>(|| (!is_http1).then(|| self.clone() as _))
            .offer_if::<dyn HttpResetFeature>(|| (!is_http1).then(|| self.clone() as _))
            .otherwise(&self.context.features);
    }
}

impl HttpRequestLifetimeFeature for RequestState {
    fn aborted(&self) -> CancellationToken {
        self.aborted.get_or_init(CancellationToken::new).clone()
    }

    fn abort(&self) {
        self.abort_with(h2::Reason::INTERNAL_ERROR);
    }
}

impl HttpResetFeature for RequestState {
    fn reset(&self, error_code: u32) {
        self.abort_with(h2::Reason::from(error_code));
    }
}

impl HttpRequestIdentifierFeature for RequestState {
    fn trace_identifier(&self) -> String {
        format!("{}:{:08X}", self.context.accepted.connection_id(), self.ordinal)
    }
}

impl HttpMaxRequestBodySizeFeature for RequestState {
    fn is_read_only(&self) -> bool {
        self.is_body_read.load(Ordering::Relaxed)
            || self.rare.get().is_some_and(|rare| lock(&rare.upgrade).is_none() && rare.is_upgradable)
    }

    fn max_request_body_size(&self) -> Option<u64> {
        Some(self.max_body_size.load(Ordering::Relaxed)).filter(|limit| *limit != UNLIMITED)
    }

    fn set_max_request_body_size(&self, limit: Option<u64>) -> Result<(), TooLate> {
        if self.is_read_only() {
            return Err(TooLate);
        }
        self.max_body_size.store(limit.unwrap_or(UNLIMITED), Ordering::Relaxed);
        Ok(())
    }
}

impl HttpMinRequestBodyDataRateFeature for RequestState {
    fn min_data_rate(&self) -> Option<MinDataRate> {
        self.context.rates.request_body()
    }

    fn set_min_data_rate(&self, rate: Option<MinDataRate>) {
        self.context.rates.set(Rates::REQUEST_BODY, rate);
    }
}

impl HttpMinResponseDataRateFeature for RequestState {
    fn min_data_rate(&self) -> Option<MinDataRate> {
        self.context.rates.response()
    }

    fn set_min_data_rate(&self, rate: Option<MinDataRate>) {
        self.context.rates.set(Rates::RESPONSE, rate);
    }
}

impl HttpRequestBodyDetectionFeature for RequestState {
    fn can_have_body(&self) -> bool {
        self.can_have_body
    }
}

impl HttpRequestTrailersFeature for RequestState {
    fn available(&self) -> bool {
        self.is_body_ended.load(Ordering::Acquire)
    }

    fn trailers(&self) -> Option<HeaderMap> {
        if !self.available() {
            return None;
        }
        Some(self.rare.get().and_then(|rare| lock(&rare.request_trailers).clone()).unwrap_or_default())
    }
}

impl HttpResponseTrailersFeature for RequestState {
    fn append(&self, name: HeaderName, value: HeaderValue) -> Result<(), TooLate> {
        let mut trailers = lock(&self.rare().response_trailers);
        if trailers.is_sent {
            return Err(TooLate);
        }
        trailers.fields.append(name, value);
        Ok(())
    }
}

impl HttpUpgradeFeature for RequestState {
    fn is_upgradable_request(&self) -> bool {
        self.context.is_http1 && self.rare.get().is_some_and(|rare| rare.is_upgradable)
    }

    fn upgrade(&self) -> Result<Upgrade, UpgradeError> {
        if self.is_upgradable_request() { self.take_upgrade() } else { Err(UpgradeError::NotUpgradable) }
    }
}

impl HttpExtendedConnectFeature for RequestState {
    fn is_extended_connect(&self) -> bool {
        !self.context.is_http1 && self.rare.get().is_some_and(|rare| rare.protocol.is_some())
    }

    fn protocol(&self) -> Option<&str> {
        self.rare.get()?.protocol.as_ref().map(Protocol::as_str)
    }

    fn accept(&self) -> Result<Upgrade, UpgradeError> {
        if self.is_extended_connect() { self.take_upgrade() } else { Err(UpgradeError::NotUpgradable) }
    }
}
