//! Connections that leave HTTP: WebSockets, and nothing else that a client may ask for by `Upgrade`. Another protocol, such as
//! HTTP/2 in cleartext, would have the application talk to the client past everything that the module says and takes away.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hosting::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hosting::http::response;
use hosting::server_abstractions::{HttpExtendedConnectFeature, HttpUpgradeFeature, Upgrade};
use hosting::{Body, HeaderMap, HeaderValue, Method, Request, RequestFeatures, Response, StatusCode};
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::watched::Watched;
use crate::backend::{InFlight, Upstream};
use crate::pages;

/// A WebSocket that a client asks for.
pub(super) struct Wanted {
    by: By,
}

enum By {
    Http1(Arc<dyn HttpUpgradeFeature>),
    /// RFC 8441: to the process it is an upgrade of HTTP/1.1, so a key is needed.
    Http2 {
        feature: Arc<dyn HttpExtendedConnectFeature>,
        key: HeaderValue,
    },
}

impl Wanted {
    /// What a request asks for, if it is a WebSocket.
    pub(super) fn of(request: &Request<Body>) -> Option<Self> {
        match *request.method() {
            Method::GET => Self::of_http1(request),
            Method::CONNECT => Self::of_http2(request),
            _ => None,
        }
    }

    fn of_http1(request: &Request<Body>) -> Option<Self> {
        let protocols = request.headers().get(UPGRADE)?;
        let feature = request.features().get::<dyn HttpUpgradeFeature>()?;
        let is_asked = feature.is_upgradable_request() && is_websocket(protocols.as_bytes());
        is_asked.then_some(Self { by: By::Http1(feature) })
    }

    fn of_http2(request: &Request<Body>) -> Option<Self> {
        let feature = request.features().get::<dyn HttpExtendedConnectFeature>()?;
        if !is_websocket(feature.protocol()?.as_bytes()) {
            return None;
        }
        let random = [getrandom::u64().ok()?, getrandom::u64().ok()?];
        let bytes: Vec<_> = random.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let key = HeaderValue::from_str(&BASE64_STANDARD.encode(bytes)).ok()?;
        Some(Self { by: By::Http2 { feature, key } })
    }

    pub(super) fn write_method(&self, request: &mut Request<Body>) {
        if let By::Http2 { .. } = self.by {
            *request.method_mut() = Method::GET;
            *request.body_mut() = Body::empty();
        }
    }

    pub(super) fn write_fields(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let By::Http2 { key, .. } = &self.by {
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
        }
        debug_assert!(headers.contains_key(HOST));
    }

    /// Whether a status that is no upgrade would look like one to the client: success is what HTTP/2 has in the place of 101.
    pub(super) fn is_refused_by(&self, status: StatusCode) -> bool {
        matches!(self.by, By::Http2 { .. }) && status.is_success()
    }

    /// Answers as the process has, and relays bytes from then on.
    pub(super) fn relay(
        self,
        mut parts: response::Parts,
        upstream: Box<Upstream>,
        in_flight: InFlight,
    ) -> Response<Body> {
        let taken = match &self.by {
            By::Http1(feature) => feature.upgrade(),
            By::Http2 { feature, .. } => feature.accept(),
        };
        let upgrade = match taken {
            Ok(upgrade) => upgrade,
            Err(error) => {
                tracing::warn!(%error, "the process has changed the protocol, and the client's connection cannot be");
                return pages::bad_gateway();
            }
        };
        tokio::spawn(relay(upgrade, upstream, in_flight));
        if let By::Http2 { .. } = self.by {
            parts.status = StatusCode::OK;
            for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
                parts.headers.remove(name);
            }
        }
        Response::from_parts(parts, Body::empty())
    }
}

fn is_websocket(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Until both sides have ended, or one of them and nothing more comes from the other; the server ends the client's side when
/// it must stop.
async fn relay(upgrade: Upgrade, upstream: Box<Upstream>, _in_flight: InFlight) {
    let Ok(mut client) = upgrade.await else { return };
    let (process, begin) = upstream.into_stream();
    if !begin.is_empty() && client.write_all(&begin).await.is_err() {
        return;
    }
    let (mut process, ending) = Watched::new(process);
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut process) => {}
        () = ending.silence() => {}
    }
}
