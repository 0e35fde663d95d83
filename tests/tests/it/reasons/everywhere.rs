//! Every reason, made to happen, and looked for wherever reasons are told: in the metrics, in the access log, and in the events.

mod connections;
mod http2;
mod requests;

use std::collections::BTreeSet;
use std::pin::Pin;

use hosting::{AccessLogFormat, AccessLogOptions};
use server_abstractions::{App, ConnectionObserver, Running};
use server_kestrel::{EndReason, MemoryConnector};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::*;
use crate::access_log::Logged;
use crate::support::{Certificate, options, socket_address, start_observed};

/// Something that happens to a server, and where its reason is found.
struct Case {
    name: String,
    reason: EndReason,
    metric: Metric,
    /// Whether the access log has a line with it.
    has_line: bool,
    /// What the event names, if there is one.
    event: Option<EndReason>,
    /// Whether time stands still unless all wait.
    is_paused: bool,
    happen: Box<dyn FnOnce() -> Happening>,
}

type Happening = Pin<Box<dyn Future<Output = Scene>>>;

/// Which instrument tells a reason.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// `kestrel.connection.duration`.
    Connection,
    /// `kestrel.tls_handshake.duration`.
    Handshake,
    /// `kestrel.rejected_connections`, which counts without the reason.
    Rejected,
    /// None: the connection goes on, or ends as it should.
    Nothing,
}

impl Case {
    /// One that is told everywhere.
    fn new<F>(reason: EndReason, name: impl Into<String>, happen: impl FnOnce() -> F + 'static) -> Self
    where
        F: Future<Output = Scene> + 'static,
    {
        Self {
            name: name.into(),
            reason,
            metric: Metric::Connection,
            has_line: true,
            event: Some(reason),
            is_paused: true,
            happen: Box::new(move || Box::pin(happen())),
        }
    }

    fn measured_by(self, metric: Metric) -> Self {
        Self { metric, ..self }
    }

    /// There was no request, and no place or handshake that was refused.
    fn without_line(self) -> Self {
        Self { has_line: false, ..self }
    }

    fn event(self, event: Option<EndReason>) -> Self {
        Self { event, ..self }
    }

    /// With sockets of the system, which do not wait for a clock that stands still.
    fn in_real_time(self) -> Self {
        Self { is_paused: false, ..self }
    }

    fn run(self) {
        let Self { name, reason, metric, has_line, event, is_paused, happen } = self;
        let name = format!("{reason}: {name}");
        let runtime = Builder::new_current_thread().enable_all().start_paused(is_paused).build().unwrap();
        runtime.block_on(async {
            let scene = within(DAY, happen()).await;
            scene.metric_tells(&name, metric, reason).await;
            if has_line {
                scene.line_tells(&name, reason);
            } else {
                assert_eq!(scene.lines_with_reasons(), [""; 0], "{name}");
            }
            let events = scene.events.take();
            let told: Vec<_> = events.iter().filter_map(|event| event.get("error.type")).collect();
            assert_eq!(told, Vec::from_iter(event.map(EndReason::as_str)), "{name}: {events:#?}");
        });
    }
}

/// A server, and all that it tells.
struct Scene {
    /// Until it is stopped.
    running: Option<Running>,
    connector: MemoryConnector,
    metrics: Collected,
    log: Logged,
    events: Events,
    _events: tracing::subscriber::DefaultGuard,
}

impl Scene {
    async fn start<M>(app: impl IntoService<M>) -> Self {
        Self::start_with(|_| (), |endpoint| endpoint, app).await
    }

    /// The endpoint is in memory unless it is changed to another one.
    async fn start_with<M>(
        change: impl FnOnce(&mut KestrelOptions),
        change_endpoint: impl FnOnce(Endpoint) -> Endpoint,
        app: impl IntoService<M>,
    ) -> Self {
        let events = Events::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(events.clone()));
        let metrics = Collected::start();
        let observer = KestrelMetrics::new(&metrics.meter(), &KestrelMetricsOptions::default());
        let log =
            Logged::new(&AccessLogOptions { format: AccessLogFormat::Json, ..AccessLogOptions::default() });
        let (listener, connector) = server_kestrel::memory();
        let mut options = options([change_endpoint(Endpoint::listener(listener))]);
        change(&mut options);
        let app: App = log.around(app);
        let observers = [Arc::new(observer) as Arc<dyn ConnectionObserver>, Arc::new(log.log.clone())];
        let running = start_observed(options, observers, app).await;
        Self { running: Some(running), connector, metrics, log, events, _events: guard }
    }

    async fn client(&self) -> Client {
        Client::new(self.connector.connect().await.unwrap())
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(socket_address(&self.running.as_ref().unwrap().addresses()[0])).await.unwrap()
    }

    /// Stops the server without waiting.
    async fn stop(&mut self) {
        self.running.take().unwrap().stop(std::future::ready(())).await;
    }

    /// Sends these bytes on a connection, and waits until the server has ended it.
    async fn ends_after(self, bytes: impl AsRef<[u8]>) -> Self {
        let mut client = self.client().await;
        let _ = client.try_send(bytes).await;
        client.rest_whenever().await;
        self
    }

    /// One measurement has the reason, and there is no other.
    async fn metric_tells(&self, name: &str, metric: Metric, reason: EndReason) {
        let instrument = match metric {
            Metric::Connection => "kestrel.connection.duration",
            Metric::Handshake => "kestrel.tls_handshake.duration",
            Metric::Rejected => "kestrel.rejected_connections",
            Metric::Nothing => return,
        };
        let told = || {
            let series = self.metrics.of(instrument);
            let is_told = |series: &Series| match metric {
                Metric::Rejected => series.value > 0,
                _ => series.attributes.contains_key("error.type"),
            };
            Vec::from_iter(series.into_iter().filter(is_told))
        };
        within(DAY, async {
            while told().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        match &told()[..] {
            [one] if metric == Metric::Rejected => assert_eq!(one.value, 1, "{name}"),
            [one] => {
                assert_eq!((one.count, &*one.attributes["error.type"]), (1, reason.as_str()), "{name}");
            }
            more => panic!("{name}: {more:#?}"),
        }
    }

    /// The lines of the access log that tell a reason.
    fn lines_with_reasons(&self) -> Vec<String> {
        let lines = self.log.written_now();
        let lines = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter_map(|line| line["error_type"].as_str().map(str::to_owned)).collect()
    }

    /// The log has a thread of its own, and no clock that stands still must run on while that is waited for.
    fn line_tells(&self, name: &str, reason: EndReason) {
        let log = self.log.log.clone();
        let flush = move || Builder::new_current_thread().build().unwrap().block_on(log.flush());
        std::thread::spawn(flush).join().unwrap();
        assert_eq!(self.lines_with_reasons(), [reason.as_str()], "{name}");
    }
}

#[test]
fn everywhere() {
    let cases = [requests::cases(), connections::cases(), http2::cases()].into_iter().flatten();
    let mut shown = BTreeSet::new();
    for case in cases {
        shown.insert(case.reason);
        case.run();
    }
    let missing: Vec<_> = EndReason::ALL.iter().filter(|reason| !shown.contains(reason)).collect();
    assert!(missing.is_empty(), "reasons without a case here: {missing:?}");
}
