//! What a request offers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::ext::Protocol;
use server_abstractions::{
    FeatureQuery, FeatureSource, HttpConnectionFeature, HttpExtendedConnectFeature,
    HttpMaxRequestBodySizeFeature, HttpMinRequestBodyDataRateFeature, HttpMinResponseDataRateFeature,
    HttpRequestBodyDetectionFeature, HttpRequestIdentifierFeature, HttpRequestLifetimeFeature,
    HttpRequestTrailersFeature, HttpResetFeature, HttpResponseTrailersFeature, HttpUpgradeFeature,
    MinDataRate, TooLate, Upgrade, UpgradeError,
};
use tokio_util::sync::CancellationToken;

use super::{RequestState, UNLIMITED, lock};
use crate::request::rates::Direction;

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
            .offer::<dyn HttpMinRequestBodyDataRateFeature>(|| self.clone())
            .offer::<dyn HttpMinResponseDataRateFeature>(|| self.clone())
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
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let connection = self.context.accepted.connection_id();
        let mut text = String::with_capacity(connection.len() + 9);
        text.push_str(connection);
        text.push(':');
        for place in (0..8).rev() {
            text.push(char::from(DIGITS[(self.ordinal >> (4 * place)) as usize & 15]));
        }
        text
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
        self.rate(Direction::RequestBody)
    }

    fn set_min_data_rate(&self, rate: Option<MinDataRate>) {
        self.set_rate(Direction::RequestBody, rate);
    }
}

impl HttpMinResponseDataRateFeature for RequestState {
    fn min_data_rate(&self) -> Option<MinDataRate> {
        self.rate(Direction::Response)
    }

    fn set_min_data_rate(&self, rate: Option<MinDataRate>) {
        self.set_rate(Direction::Response, rate);
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
