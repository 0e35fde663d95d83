use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use server_abstractions::BoxFuture;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;
use tower_service::Service;

use super::accept::wants_json;
use super::report::Report;
use super::rounds::Rounds;
use super::{HealthChecks, HealthOptions, HealthStatus};
use crate::Error;

/// A layer that answers the probes of orchestrators and load balancers: whether the application lives, and whether it is ready.
///
/// ```
/// use hosting::{App, ApplicationBuilder, Body, CancellationToken, HealthChecks, HealthLayer, HealthOptions, Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), hosting::Error> {
/// let checks = HealthChecks::new().check("database", async || Err("connection refused".into()));
/// // Fires when the application is about to stop; under a host this is `lifetime.announced()`.
/// let stopping = CancellationToken::new();
/// let health = HealthLayer::new(HealthOptions::default(), &checks, stopping)?;
/// let app = ApplicationBuilder::new().layer(health).build(async |_: Request<Body>| Response::new(Body::empty()));
///
/// let ready = app.handle(Request::get("/healthz/ready").body(Body::empty()).unwrap()).await;
/// assert_eq!(ready.status(), 503); // the log says why
/// let live = app.handle(Request::get("/healthz/live").body(Body::empty()).unwrap()).await;
/// assert_eq!(live.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// [`WebApplication`](crate::WebApplication) has one by itself if `Health:Enabled` is true or
/// [`health_checks`](crate::WebApplicationBuilder::health_checks) are given, behind host filtering and in front of the rest of the
/// pipeline. Under other servers of tower services, such as `axum::serve`, it is a layer like others.
///
/// The answer is 200 for [`Healthy`](HealthStatus::Healthy) and [`Degraded`](HealthStatus::Degraded), 503 for
/// [`Unhealthy`](HealthStatus::Unhealthy), as text or, if `Accept` prefers that, as JSON; GET, HEAD and OPTIONS are answered
/// alike, and nobody may keep it (`cache-control: no-store`). From the moment when the stop is announced the application is
/// not ready, whatever the checks say. Probes that come while checks run wait for those and begin no others.
#[doc(alias = "MapHealthChecks")]
#[doc(alias = "UseHealthChecks")]
#[derive(Clone, Debug)]
pub struct HealthLayer {
    probes: Arc<Probes>,
}

impl HealthLayer {
    /// A layer with these checks; the token says that the application is about to stop.
    ///
    /// # Errors
    /// A path is none, both are the same, a timeout is zero, or a check is for no probe, cannot fail, or has the name of another
    /// one.
    pub fn new(
        options: HealthOptions,
        checks: &HealthChecks,
        stopping: CancellationToken,
    ) -> Result<Self, Error> {
        options.check()?;
        checks.verify()?;
        let rounds = |checks| Rounds::new(checks, options.timeout);
        let live = rounds(checks.of(|check| check.live));
        let ready = rounds(checks.of(|check| check.ready));
        Ok(Self { probes: Arc::new(Probes { options, live, ready, stopping }) })
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = Health<S>;

    fn layer(&self, inner: S) -> Health<S> {
        Health { probes: Arc::clone(&self.probes), inner }
    }
}

/// The service of [`HealthLayer`].
#[derive(Clone, Debug)]
pub struct Health<S> {
    probes: Arc<Probes>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Health<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HealthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> HealthFuture<S::Future> {
        let step = match self.probes.probe(request.uri().path()) {
            None => Step::Passed { future: self.inner.call(request) },
            Some(probe) => {
                let answer = Arc::clone(&self.probes).answer(probe, request.method(), request.headers());
                Step::Answered { answer }
            }
        };
        HealthFuture { step }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Live,
    Ready,
}

#[derive(Debug)]
struct Probes {
    options: HealthOptions,
    live: Rounds,
    ready: Rounds,
    stopping: CancellationToken,
}

impl Probes {
    fn probe(&self, path: &str) -> Option<Probe> {
        if path == self.options.ready_path {
            Some(Probe::Ready)
        } else if path == self.options.live_path {
            Some(Probe::Live)
        } else {
            None
        }
    }

    fn answer(
        self: Arc<Self>,
        probe: Probe,
        method: &Method,
        headers: &HeaderMap,
    ) -> BoxFuture<'static, Response<Bytes>> {
        // HAProxy asks by OPTIONS unless it is told otherwise.
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
            return Box::pin(std::future::ready(not_allowed()));
        }
        let as_json = wants_json(headers);
        Box::pin(async move {
            let report = self.report(probe).await;
            response(&report, as_json, self.options.details)
        })
    }

    async fn report(&self, probe: Probe) -> Report {
        const STOPPING: &str = "the application is about to stop";
        if probe == Probe::Live {
            return self.live.report().await;
        }
        // Also if it is announced while the checks run.
        let report = self.stopping.run_until_cancelled(self.ready.report()).await;
        match report {
            Some(report) if !self.stopping.is_cancelled() => report,
            _ => Report::unhealthy(STOPPING),
        }
    }
}

fn response(report: &Report, as_json: bool, details: bool) -> Response<Bytes> {
    let (body, content_type) = if as_json {
        (report.json(details), "application/json")
    } else {
        (report.text(details), "text/plain; charset=utf-8")
    };
    let mut response = Response::new(Bytes::from(body));
    if report.status() == HealthStatus::Unhealthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn not_allowed() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}

pin_project! {
    /// The future of [`Health`].
    pub struct HealthFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Passed { #[pin] future: F },
        Answered { answer: BoxFuture<'static, Response<Bytes>> },
    }
}

impl<F, R, E> Future for HealthFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().step.project() {
            StepProjection::Passed { future } => future.poll(cx),
            StepProjection::Answered { answer } => {
                Poll::Ready(Ok(ready!(answer.as_mut().poll(cx)).map(R::from)))
            }
        }
    }
}

impl<F> fmt::Debug for HealthFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthFuture").finish_non_exhaustive()
    }
}
