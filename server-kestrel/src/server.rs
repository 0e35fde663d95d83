//! The server: starts the endpoints, follows its options, and brings everything to an end.

use std::sync::Arc;
use std::time::Duration;

use server_abstractions::{
    App, BoxFuture, ConnectionObserver, FeatureCollection, IntoService, Lifetime, LifetimeGuard, Running,
    Server, ServerAddresses, ServerAddressesFeature, ServerDrainFeature, ServerLivenessFeature, StartError,
};
use tokio::sync::{mpsc, watch};

use crate::drain::Drain;
use crate::inherited::Inherited;
use crate::liveness::{self, Liveness, Question};
use crate::observers::Observers;
use crate::threads::Workers;
use crate::{Endpoint, KestrelOptions, plan, tls};

mod listening;

use listening::{Listening, Retired};

/// How long connections of an endpoint that was changed or removed may wait for the request that is their last one, and
/// after that how long they may take for it.
const RELOAD_GRACE: Duration = Duration::from_secs(5);

/// How long the end waits for tasks that were aborted.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The web server. See the [crate](crate) for an example.
#[doc(alias = "KestrelServer")]
#[derive(Debug)]
pub struct Kestrel {
    options: watch::Receiver<KestrelOptions>,
    features: FeatureCollection,
    addresses: Arc<ServerAddresses>,
    questions: mpsc::Receiver<Question>,
    drain: Arc<Drain>,
    observers: Observers,
}

impl Kestrel {
    /// A server with fixed options.
    pub fn new(options: KestrelOptions) -> Self {
        Self::reloading(watch::channel(options).1)
    }

    /// A server that follows its options while it runs.
    ///
    /// An endpoint that is new is listened on, one that is gone is closed, one that is served in another way keeps
    /// its socket. Old connections end gently: for five seconds each ends with its next answer, which says so
    /// (`connection: close`, or GOAWAY at once over HTTP/2), so that clients open new ones and no request is lost. Then
    /// those that are idle are closed and `stopping` fires; after another five seconds what is left is aborted. One whose
    /// [`socket_options`](Endpoint::socket_options) are others is closed and listened on anew: for a moment clients are refused.
    /// Those of a socket that was handed in cannot change, and the endpoint goes on as it was. What cannot be listened on
    /// is reported by an event; everything else goes on. `threads` and `inherit_listeners` are read once, at the start,
    /// and so are the host's addresses.
    pub fn reloading(options: watch::Receiver<KestrelOptions>) -> Self {
        let addresses = Arc::new(ServerAddresses::new());
        let mut features = FeatureCollection::new();
        features.set::<dyn ServerAddressesFeature>(addresses.clone());
        let (liveness, questions) = Liveness::new();
        features.set::<dyn ServerLivenessFeature>(Arc::new(liveness));
        let drain = Arc::<Drain>::default();
        features.set::<dyn ServerDrainFeature>(drain.clone());
        Self { options, features, addresses, questions, drain, observers: Observers::default() }
    }

    /// Has somebody told what happens on the connections. There may be several; none costs a request anything.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use server_abstractions::{ConnectionEvent, ConnectionObserver};
    /// use server_kestrel::{Kestrel, KestrelOptions};
    ///
    /// struct Ends;
    ///
    /// impl ConnectionObserver for Ends {
    ///     fn observe(&self, event: &ConnectionEvent<'_>) {
    ///         if let ConnectionEvent::Ended { duration, .. } = event {
    ///             println!("a connection ended after {duration:?}");
    ///         }
    ///     }
    /// }
    ///
    /// let server = Kestrel::new(KestrelOptions::default()).observer(Arc::new(Ends));
    /// # drop(server);
    /// ```
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn ConnectionObserver>) -> Self {
        self.observers.add(observer);
        self
    }
}

impl Kestrel {
    /// Starts the server; when the future resolves it accepts requests.
    ///
    /// # Errors
    /// When an endpoint cannot be listened on or a certificate cannot be used; nothing is left half started.
    ///
    /// # Cancel safety
    /// Dropping the future stops what was started so far.
    pub async fn start<M>(self, app: impl IntoService<M>) -> Result<Running, StartError> {
        Server::start(Box::new(self), App::new(app)).await
    }
}

impl Server for Kestrel {
    fn features(&self) -> &FeatureCollection {
        &self.features
    }

    fn start(self: Box<Self>, app: App) -> BoxFuture<'static, Result<Running, StartError>> {
        Box::pin(async move {
            let Self { mut options, features, addresses, questions, drain, observers } = *self;
            let initial = options.borrow_and_update().clone();
            initial.limits.check()?;
            let prefer_urls = addresses.prefer_hosting_urls();
            let urls = addresses.begin_start();
            let mut inherited =
                if initial.inherit_listeners { Inherited::from_environment() } else { Inherited::default() };
            let activated = if initial.endpoints.is_empty() && urls.is_empty() {
                std::mem::take(&mut inherited).into_endpoints(initial.default_socket_options)
            } else {
                Vec::new()
            };
            let endpoints = plan::endpoints(&initial, urls.clone(), prefer_urls, &activated)?;
            let workers = Workers::start(initial.threads)?;
            let context = ServeContext { app, features: features.clone(), drain, observers };
            let listening = start_all(&endpoints, &initial, &context, &workers, &mut inherited)?;
            addresses.set_bound(listening.iter().map(|endpoint| endpoint.address().clone()).collect());

            let (lifetime, guard) = Lifetime::new();
            let supervisor = Supervisor {
                listening,
                retired: Vec::new(),
                workers,
                context,
                addresses,
                urls,
                prefer_urls,
                activated,
            };
            tokio::spawn(supervisor.run(options, questions, lifetime.clone(), guard));
            let completed = lifetime.completed();
            Ok(Running::new(features, lifetime, async move {
                completed.await;
                Ok(())
            }))
        })
    }
}

/// What every endpoint serves with.
#[derive(Clone)]
pub(crate) struct ServeContext {
    pub(crate) app: App,
    pub(crate) features: FeatureCollection,
    pub(crate) drain: Arc<Drain>,
    pub(crate) observers: Observers,
}

/// All endpoints, or none: those started before one that fails are dropped with the error.
fn start_all(
    endpoints: &[Endpoint],
    options: &KestrelOptions,
    context: &ServeContext,
    workers: &Workers,
    inherited: &mut Inherited,
) -> Result<Vec<Listening>, StartError> {
    let mut prepared = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        prepared.push(listening::prepare(endpoint, options, context, inherited)?);
    }
    inherited.expect_none_left()?;
    let mut listening = Vec::with_capacity(prepared.len());
    for endpoint in prepared {
        match endpoint.listen(workers) {
            Ok(endpoint) => listening.push(endpoint),
            Err(error) => {
                listening.into_iter().map(Listening::retire).for_each(|started| started.abort());
                return Err(error);
            }
        }
    }
    Ok(listening)
}

/// Owns the endpoints of a running server.
struct Supervisor {
    listening: Vec<Listening>,
    /// Connections of endpoints that have been changed or removed.
    retired: Vec<Retired>,
    workers: Workers,
    context: ServeContext,
    addresses: Arc<ServerAddresses>,
    urls: Vec<server_abstractions::Address>,
    prefer_urls: bool,
    /// The endpoints of inherited sockets, in force as long as nothing is configured.
    activated: Vec<Endpoint>,
}

impl Supervisor {
    async fn run(
        mut self,
        mut options: watch::Receiver<KestrelOptions>,
        mut questions: mpsc::Receiver<Question>,
        lifetime: Lifetime,
        guard: LifetimeGuard,
    ) {
        let mut draining = std::pin::pin!(lifetime.draining());
        let mut retiring = std::pin::pin!(lifetime.retiring());
        let mut announced = std::pin::pin!(lifetime.announced());
        let (mut can_change, mut can_ask, mut is_announced) = (true, true, false);
        loop {
            tokio::select! {
                biased;
                () = &mut draining => break,
                () = &mut retiring => {
                    self.retired.extend(self.listening.drain(..).map(Listening::retire_gently));
                    tokio::select! {
                        () = &mut draining => {}
                        () = all_over(&self.retired) => {}
                    }
                    break;
                }
                () = &mut announced, if !is_announced => is_announced = true,
                changed = options.changed(), if can_change => match changed {
                    Ok(()) => {
                        let options = options.borrow_and_update().clone();
                        self.reload(&options).await;
                    }
                    Err(_) => can_change = false,
                },
                // After the options, so that whoever asks knows that they are in force.
                question = questions.recv(), if can_ask => match question {
                    Some(question) => liveness::ask(self.listening.iter().map(Listening::heart), question),
                    None => can_ask = false,
                },
            }
            if is_announced {
                // Those that a reload has made anew too.
                self.listening.iter().for_each(Listening::announce);
            }
        }
        // Nobody answers from here on, and what the options still hold must not listen on.
        drop((options, questions));
        self.stop(&lifetime).await;
        drop(guard);
    }

    fn plan(&self, options: &KestrelOptions) -> Result<Vec<Endpoint>, StartError> {
        options.limits.check()?;
        plan::endpoints(options, self.urls.clone(), self.prefer_urls, &self.activated)
    }

    /// Goes over to new options, the same ones too; what fails leaves the rest as it is.
    async fn reload(&mut self, options: &KestrelOptions) {
        self.go_over_to(options).await;
        tls::look_again().await;
    }

    async fn go_over_to(&mut self, options: &KestrelOptions) {
        let mut none = Inherited::default();
        let endpoints = match self.plan(options) {
            Ok(endpoints) => endpoints,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the new options are refused; the old ones stay in force"
                );
                return;
            }
        };
        self.retired.retain(|retired| !retired.is_over());
        let mut old = std::mem::take(&mut self.listening);
        let mut missing = Vec::new();
        for endpoint in &endpoints {
            match old.iter().position(|listening| listening.is_on(endpoint)) {
                Some(index) => {
                    let mut listening = old.remove(index);
                    match listening.change(endpoint, options, &self.context).await {
                        Ok(retired) => self.retired.extend(retired),
                        Err(error) => {
                            tracing::error!(error = &error as &dyn std::error::Error, %endpoint, "the endpoint cannot be changed and goes on as it was; mend it, and have the configuration read again (SIGHUP under the host)");
                        }
                    }
                    self.listening.push(listening);
                }
                None => missing.push(endpoint),
            }
        }
        // Those that are gone are unbound before new ones are bound, which may want their address.
        for endpoint in &old {
            tracing::info!(address = %endpoint.address(), "no longer listening");
        }
        let closed: Vec<_> = old.into_iter().map(Listening::close).collect();
        for retired in &closed {
            if tokio::time::timeout(ABORT_GRACE, retired.unbound()).await.is_err() {
                tracing::warn!("an endpoint that is no longer configured is not unbound yet");
            }
        }
        self.retired.extend(closed);
        for endpoint in missing {
            let listening = listening::prepare_off_thread(endpoint, options, &self.context, &mut none)
                .await
                .and_then(|prepared| prepared.listen(&self.workers));
            match listening {
                Ok(listening) => {
                    tracing::info!(address = %listening.address(), "now listening");
                    self.listening.push(listening);
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, %endpoint, "the new endpoint cannot be listened on, and nothing listens there until the configuration is read again (SIGHUP under the host)");
                }
            }
        }
        self.addresses.set_bound(self.listening.iter().map(|endpoint| endpoint.address().clone()).collect());
    }

    /// Drains everything; once the lifetime aborts, what is left has a second to go.
    async fn stop(mut self, lifetime: &Lifetime) {
        self.retired.iter().for_each(Retired::drain);
        self.retired.extend(self.listening.into_iter().map(Listening::retire));
        let retired = &self.retired;
        let mut all_over = std::pin::pin!(all_over(retired));
        tokio::select! {
            () = &mut all_over => return,
            () = lifetime.aborting() => {}
        }
        retired.iter().for_each(Retired::abort);
        if tokio::time::timeout(ABORT_GRACE, all_over).await.is_err() {
            tracing::warn!(
                "some connections did not end within a second of being aborted; a handler may block its thread"
            );
        }
    }
}

async fn all_over(retired: &[Retired]) {
    for retired in retired {
        retired.over().await;
    }
}
