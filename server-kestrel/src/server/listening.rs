//! One endpoint that is listened on, and what is left of one that no longer is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use server_abstractions::{Address, BoxConnectionService, Lifetime, LifetimeGuard, StartError};
use tokio::sync::watch;
use tower_layer::Layer;

use super::{RELOAD_GRACE, ServeContext};
use crate::accept::{Serving, accept_loop};
use crate::bind::{Bound, bind};
use crate::capacity::limit_addresses;
use crate::connection::{EndpointInfo, Replaced};
use crate::inherited::Inherited;
use crate::liveness::Heart;
use crate::protocol::{HttpServerOptions, http_server};
use crate::threads::Workers;
use crate::{Endpoint, KestrelOptions, Limits, ProxyProtocolLayer, TlsLayer};

/// An endpoint that is bound but does not accept yet.
pub(super) struct Prepared {
    endpoint: Endpoint,
    bound: Bound,
    serving: Serving,
    served_as: ServedAs,
    connections: LifetimeGuard,
}

/// The options beside the endpoint that its connections are served with.
#[derive(Clone, PartialEq)]
struct ServedAs {
    limits: Limits,
    add_server_header: bool,
    allow_alternate_schemes: bool,
}

/// An endpoint that is listened on.
pub(super) struct Listening {
    endpoint: Endpoint,
    address: Address,
    /// Whether the socket was handed in, so that it cannot be made anew.
    is_handed: bool,
    served_as: ServedAs,
    serving: watch::Sender<Serving>,
    /// The lifetime of the accept loops.
    loops: Lifetime,
    heart: Heart,
    /// Keeps the lifetime of the connections open as long as there may be new ones.
    connections: LifetimeGuard,
}

/// Accept loops and connections that are on their way out.
pub(super) struct Retired {
    lifetimes: Vec<Lifetime>,
}

/// Reads the certificate, builds the pipeline and binds: everything that can fail.
pub(super) fn prepare(
    endpoint: &Endpoint,
    options: &KestrelOptions,
    context: &ServeContext,
    inherited: &mut Inherited,
) -> Result<Prepared, StartError> {
    let service = pipeline(endpoint, options, context);
    prepare_with(service, endpoint, options, context, inherited)
}

/// The same while others are served by this thread.
pub(super) async fn prepare_off_thread(
    endpoint: &Endpoint,
    options: &KestrelOptions,
    context: &ServeContext,
    inherited: &mut Inherited,
) -> Result<Prepared, StartError> {
    let service = pipeline_off_thread(endpoint, options, context).await;
    prepare_with(service, endpoint, options, context, inherited)
}

fn prepare_with(
    service: Result<BoxConnectionService, StartError>,
    endpoint: &Endpoint,
    options: &KestrelOptions,
    context: &ServeContext,
    inherited: &mut Inherited,
) -> Result<Prepared, StartError> {
    let service = service
        .map_err(|error| error.while_attempting(format_args!("cannot listen on {}", endpoint.in_full())))?;
    let bound = bind(endpoint, inherited)?;
    let (serving, connections) = serving(service, endpoint, &bound.address, options, context);
    let served_as = ServedAs::of(options);
    Ok(Prepared { endpoint: endpoint.clone(), bound, serving, served_as, connections })
}

/// How connections are served from now on, and what keeps their lifetime open.
fn serving(
    service: BoxConnectionService,
    endpoint: &Endpoint,
    address: &Address,
    options: &KestrelOptions,
    context: &ServeContext,
) -> (Serving, LifetimeGuard) {
    let (lifetime, connections) = Lifetime::new();
    let info = Arc::new(EndpointInfo {
        name: endpoint.name.clone(),
        address: address.clone(),
        server_features: context.features.clone(),
        replaced: Replaced::default(),
        observers: context.observers.clone(),
        drain: Arc::clone(&context.drain),
    });
    let capacity = Arc::clone(context.drain.capacity());
    let max_connections = options.limits.max_concurrent_connections;
    (Serving { service, info, lifetime, capacity, max_connections }, connections)
}

/// PROXY protocol -> the limit of addresses -> the log of the wire -> TLS -> that of the plaintext -> the endpoint's own layers
/// -> HTTP.
fn pipeline(
    endpoint: &Endpoint,
    options: &KestrelOptions,
    context: &ServeContext,
) -> Result<BoxConnectionService, StartError> {
    let http = http_server(HttpServerOptions {
        app: context.app.clone(),
        protocols: endpoint.protocols,
        limits: options.limits.clone(),
        add_server_header: options.add_server_header,
        allow_alternate_schemes: options.allow_alternate_schemes,
    });
    let inner = endpoint.layers.iter().rev().fold(http, |inner, layer| layer.apply(inner));
    let inner = logged(endpoint, false, inner);
    let inner = match &endpoint.https {
        None => inner,
        Some(https) => BoxConnectionService::new(TlsLayer::new(https, endpoint.protocols)?.layer(inner)),
    };
    let inner = logged(endpoint, true, inner);
    let inner = match options.limits.max_connections_per_address {
        None => inner,
        Some(limit) => limit_addresses(Arc::clone(context.drain.capacity()), limit, inner),
    };
    Ok(match &endpoint.proxy_protocol {
        None => inner,
        Some(proxies) => BoxConnectionService::new(ProxyProtocolLayer::new(proxies.clone())?.layer(inner)),
    })
}

/// Shows the bytes here, if this is where the endpoint wants it.
fn logged(endpoint: &Endpoint, is_below_tls: bool, inner: BoxConnectionService) -> BoxConnectionService {
    match &endpoint.connection_log {
        Some(log) if log.below_tls == is_below_tls => {
            tracing::warn!(
                endpoint = %endpoint.in_full(),
                "the bytes of connections are events of level trace, with passwords and cookies as they are"
            );
            BoxConnectionService::new(log.limits.layer(inner))
        }
        _ => inner,
    }
}

/// How long files may take to be read while the server runs.
const READING: Duration = Duration::from_secs(10);

/// The pipeline, whose certificates are read on a thread that may block.
async fn pipeline_off_thread(
    endpoint: &Endpoint,
    options: &KestrelOptions,
    context: &ServeContext,
) -> Result<BoxConnectionService, StartError> {
    let (endpoint, options, context) = (endpoint.clone(), options.clone(), context.clone());
    let building = tokio::task::spawn_blocking(move || pipeline(&endpoint, &options, &context));
    match tokio::time::timeout(READING, building).await {
        Ok(Ok(service)) => service,
        Ok(Err(panic)) => Err(StartError::new("what it serves with cannot be built").with_source(panic)),
        Err(_) => Err(StartError::new(format!("its files could not be read within {READING:?}"))),
    }
}

impl ServedAs {
    fn of(options: &KestrelOptions) -> Self {
        Self {
            limits: options.limits.clone(),
            add_server_header: options.add_server_header,
            allow_alternate_schemes: options.allow_alternate_schemes,
        }
    }
}

impl Prepared {
    /// Starts the accept loops: one per worker and socket.
    pub(super) fn listen(self, workers: &Workers) -> Result<Listening, StartError> {
        let Self { endpoint, mut bound, serving, served_as, connections } = self;
        let (serving, watched) = watch::channel(serving);
        let (loops, guard) = Lifetime::new();
        let (address, is_handed) = (bound.address.clone(), bound.is_handed);
        let queue = queue(&endpoint);
        let mut heart = Heart::new();
        if let Err(error) = start_loops(&mut bound, queue, workers, &watched, (&loops, &mut heart)) {
            loops.abort();
            return Err(StartError::new(format!("cannot accept on {address}")).with_source(error));
        }
        keep_until_closed(bound, &loops);
        drop(guard);
        Ok(Listening { endpoint, address, is_handed, served_as, serving, loops, heart, connections })
    }
}

/// The connections that are taken from a queue at the end: twice the backlog, so that those who go on to connect cannot
/// keep the loop from its end.
fn queue(endpoint: &Endpoint) -> usize {
    const MOST: usize = 1 << 17;
    usize::try_from(endpoint.socket_options.backlog)
        .map_or(MOST, |backlog| backlog.saturating_mul(2).min(MOST))
}

fn start_loops(
    bound: &mut Bound,
    queue: usize,
    workers: &Workers,
    serving: &watch::Receiver<Serving>,
    (loops, heart): (&Lifetime, &mut Heart),
) -> io::Result<()> {
    for socket in &mut bound.sockets {
        let count = if socket.is_shareable() { workers.handles().len() } else { 1 };
        for worker in &workers.handles()[..count] {
            let _entered = worker.enter();
            if let Some(listener) = socket.listener(&bound.address)? {
                let (serving, loops, pulse) = (serving.clone(), loops.clone(), heart.pulse());
                let guard = loops.guard();
                worker.spawn(accept_loop(listener, queue, serving, loops, pulse, guard));
            }
        }
    }
    Ok(())
}

/// The first descriptor of each socket, with the duty to remove a socket file, lives as long as the loops listen.
fn keep_until_closed(bound: Bound, loops: &Lifetime) {
    let draining = loops.draining();
    let guard = loops.guard();
    tokio::spawn(async move {
        draining.await;
        drop(bound);
        drop(guard);
    });
}

impl Listening {
    /// Whether the endpoint can have this socket: one that was handed in is all there is, whatever its options.
    pub(super) fn is_on(&self, endpoint: &Endpoint) -> bool {
        self.endpoint.same_socket(endpoint) || self.is_handed && self.endpoint.same_source(endpoint)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn heart(&self) -> &Heart {
        &self.heart
    }

    /// Connections, also those that are yet to come, end with their next answer.
    pub(super) fn announce(&self) {
        self.serving.borrow().info.replaced.tell();
    }

    /// Serves new connections in another way; returns the old connections, unless nothing has changed.
    pub(super) async fn change(
        &mut self,
        endpoint: &Endpoint,
        options: &KestrelOptions,
        context: &ServeContext,
    ) -> Result<Option<Retired>, StartError> {
        let served_as = ServedAs::of(options);
        if self.endpoint == *endpoint && self.served_as == served_as {
            return Ok(None);
        }
        if self.endpoint.socket_options != endpoint.socket_options {
            let message = "the options of a socket that was handed in cannot change while it is listened on; start the server again";
            return Err(StartError::configuration(message));
        }
        let service = pipeline_off_thread(endpoint, options, context).await?;
        self.address = Address::new(endpoint.https.is_some(), self.address.target().clone());
        let (serving, connections) = serving(service, endpoint, &self.address, options, context);
        let old = self.serving.send_replace(serving);
        drop(std::mem::replace(&mut self.connections, connections));
        self.endpoint = endpoint.clone();
        self.served_as = served_as;
        end_gently(&old);
        Ok(Some(Retired { lifetimes: vec![old.lifetime] }))
    }

    /// Stops listening. The connections drain; what the loops still take from the queue belongs to them.
    pub(super) fn retire(self) -> Retired {
        let retired = self.unbind();
        retired.drain();
        retired
    }

    /// Stops listening. The connections end with their next answer; how long that may take is for others to say.
    pub(super) fn retire_gently(self) -> Retired {
        self.announce();
        self.unbind()
    }

    /// As [`retire`](Self::retire), with the grace of a reload.
    pub(super) fn close(self) -> Retired {
        end_gently(&self.serving.borrow());
        self.unbind()
    }

    fn unbind(self) -> Retired {
        let retired = Retired { lifetimes: vec![self.loops.clone(), self.serving.borrow().lifetime.clone()] };
        self.loops.drain();
        tokio::spawn(async move {
            self.loops.completed().await;
            drop(self.connections);
        });
        retired
    }
}

/// The connections end with their next answer. Those that are left after the grace drain as at a stop, and those that
/// are left after another one are aborted.
fn end_gently(old: &Serving) {
    old.info.replaced.tell();
    let lifetime = old.lifetime.clone();
    tokio::spawn(async move {
        for end in [Lifetime::drain, Lifetime::abort] {
            if tokio::time::timeout(RELOAD_GRACE, lifetime.completed()).await.is_ok() {
                return;
            }
            end(&lifetime);
        }
    });
}

impl Retired {
    pub(super) fn drain(&self) {
        self.lifetimes.iter().for_each(Lifetime::drain);
    }

    pub(super) fn abort(&self) {
        self.lifetimes.iter().for_each(Lifetime::abort);
    }

    /// Resolves when the sockets are closed.
    pub(super) async fn unbound(&self) {
        if let Some(loops) = self.lifetimes.first() {
            loops.completed().await;
        }
    }

    /// Resolves when nothing is left.
    pub(super) async fn over(&self) {
        for lifetime in &self.lifetimes {
            lifetime.completed().await;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.lifetimes.iter().all(Lifetime::is_completed)
    }
}
