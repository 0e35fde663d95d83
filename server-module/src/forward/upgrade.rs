//! Connections that leave HTTP: WebSockets and whatever else a client asks for by `Upgrade`.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hosting::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hosting::http::response;
use hosting::server_abstractions::{HttpExtendedConnectFeature, HttpUpgradeFeature, Upgrade};
use hosting::{Body, HeaderMap, HeaderValue, Method, Request, RequestFeatures, Response, StatusCode};
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use crate::backend::{InFlight, Upstream};
use crate::pages;

/// An upgrade that a client asks for.
pub(super) struct Wanted {
    by: By,
    protocol: HeaderValue,
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
    /// What a request asks for, if it is one.
    pub(super) fn of(request: &Request<Body>) -> Option<Self> {
        let features = request.features();
        if let Some(protocol) = request.headers().get(UPGRADE) {
            let feature = features.get::<dyn HttpUpgradeFeature>()?;
            let is_asked = feature.is_upgradable_request();
            return is_asked.then(|| Self { by: By::Http1(feature), protocol: protocol.clone() });
        }
        if *request.method() != Method::CONNECT {
            return None;
        }
        let feature = features.get::<dyn HttpExtendedConnectFeature>()?;
        let protocol = HeaderValue::from_str(feature.protocol()?).ok()?;
        let random = [getrandom::u64().ok()?, getrandom::u64().ok()?];
        let bytes: Vec<_> = random.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let key = HeaderValue::from_str(&BASE64_STANDARD.encode(bytes)).ok()?;
        Some(Self { by: By::Http2 { feature, key }, protocol })
    }

    pub(super) fn write_method(&self, request: &mut Request<Body>) {
        if let By::Http2 { .. } = self.by {
            *request.method_mut() = Method::GET;
            *request.body_mut() = Body::empty();
        }
    }

    pub(super) fn write_fields(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
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

/// Until one of the sides has ended; the server ends the client's side when it must stop.
async fn relay(upgrade: Upgrade, upstream: Box<Upstream>, _in_flight: InFlight) {
    let Ok(mut client) = upgrade.await else { return };
    let (mut process, begin) = upstream.into_stream();
    if !begin.is_empty() && client.write_all(&begin).await.is_err() {
        return;
    }
    let _ = copy_bidirectional(&mut client, &mut process).await;
}
