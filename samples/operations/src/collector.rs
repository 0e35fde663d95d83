//! The collector of OpenTelemetry that metrics and traces are sent to (OTLP over HTTP), if a variable says where it is.

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;

use crate::metrics::Metrics;
use crate::traces::Traces;

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How long one request to it may take: less than the five seconds that the SDK waits at the end.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Where it is, and whether that is so.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    address: Arc<str>,
    is_away: Arc<AtomicBool>,
}

impl Collector {
    /// `None` if no variable names one.
    pub(crate) fn from_environment() -> Result<Option<Self>, hosting::Error> {
        let Some(address) = env::var_os(VARIABLE).filter(|address| !address.is_empty()) else {
            return Ok(None);
        };
        let address = address.to_string_lossy();
        let uri = address.parse::<Uri>().ok();
        if !uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some()) {
            return Err(hosting::Error::other(format!(
                "{VARIABLE} is {address:?}: expected an address such as http://localhost:4318; for https, send to a collector on this machine that passes it on"
            )));
        }
        Ok(Some(Self { address: address.into(), is_away: Arc::default() }))
    }

    /// What sends to it.
    pub(crate) fn client(&self) -> impl HttpClient + use<> {
        let client = HyperClient::with_default_connector(TIMEOUT, None);
        Client { client, runtime: tokio::runtime::Handle::current(), collector: self.clone() }
    }

    /// Tells once that it is away, until it has been there again.
    fn is_away(&self, error: &dyn Display) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            let address = &*self.address;
            tracing::warn!(address, %error, "the collector that OTEL_EXPORTER_OTLP_ENDPOINT names takes nothing; what is measured meanwhile may be lost");
        }
    }

    fn is_there(&self) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!(address = &*self.address, "the collector takes what is sent again");
        }
    }
}

/// Whose metrics and traces they are: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, else the program.
pub(crate) fn resource() -> Resource {
    let resource = Resource::builder();
    let is_named =
        ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"].iter().any(|name| env::var_os(name).is_some());
    if is_named { resource.build() } else { resource.with_service_name("operations").build() }
}

/// Sends what is left, for five seconds at the most. A collector that is away is no fault of the application.
pub(crate) async fn shut_down(collector: Option<Collector>, metrics: Metrics, traces: Option<Traces>) {
    let blocking = |shut_down: Box<dyn FnOnce() -> OTelSdkResult + Send>| {
        let collector = collector.clone();
        tokio::task::spawn_blocking(move || {
            if let (Err(error), Some(collector)) = (shut_down(), collector) {
                collector.is_away(&error);
            }
        })
    };
    let metrics = blocking(Box::new(move || metrics.shut_down()));
    let traces = blocking(Box::new(move || traces.map_or(Ok(()), |traces| traces.shut_down())));
    let _ = tokio::join!(metrics, traces);
}

/// The exporters run on threads of their own, and their connections on the program's runtime.
#[derive(Debug)]
struct Client {
    client: HyperClient,
    runtime: tokio::runtime::Handle,
    collector: Collector,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answer = self.runtime.spawn(async move { client.send_bytes(request).await }).await?;
        match &answer {
            Ok(answer) if answer.status().is_success() => self.collector.is_there(),
            Ok(answer) => self.collector.is_away(&format_args!("it answered {}", answer.status())),
            Err(error) => self.collector.is_away(&causes(&**error)),
        }
        answer
    }
}

/// An error with all that has led to it.
fn causes(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
