use std::task::{Context, Poll};

use http::Request;
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

use crate::OptionsError;
use crate::reload::Rules;

mod address;
mod apply;
mod chain;
mod effective;
mod element;
mod found;
mod options;
mod read;
mod settled;

pub(crate) use effective::Effective;
pub use options::{ForwardedFields, ForwardedHeadersOptions, ForwardedSource};
pub(crate) use settled::Settled;

/// Gives requests the scheme, host, remote address and path base that proxies say the client used, as far as the proxies
/// are known.
///
/// ```
/// use http::Request;
/// use server_abstractions::{FeatureCollection, HttpConnectionFeature, HttpRequestFeature, RequestFeatures};
/// use server_proxy_integration::{ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # struct Loopback;
/// # impl HttpConnectionFeature for Loopback {
/// #     fn connection_id(&self) -> &str { "" }
/// #     fn local_address(&self) -> Option<std::net::SocketAddr> { None }
/// #     fn remote_address(&self) -> Option<std::net::SocketAddr> { Some(([127, 0, 0, 1], 1234).into()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = ForwardedHeadersOptions {
///     fields: ForwardedFields::FOR | ForwardedFields::PROTO,
///     ..ForwardedHeadersOptions::default()
/// };
/// let app = ForwardedHeadersLayer::new(&options)?.layer(service_fn(async |request: Request<()>| {
///     let client = request.context().remote_address();
///     Ok::<_, std::convert::Infallible>((request.scheme().to_string(), client))
/// }));
///
/// let mut request = Request::get("/")
///     .header("x-forwarded-for", "192.0.2.7:5000")
///     .header("x-forwarded-proto", "https")
///     .body(())?;
/// # request.features_mut().set::<dyn HttpConnectionFeature>(std::sync::Arc::new(Loopback));
/// // The peer of this request is a proxy on 127.0.0.1.
/// assert_eq!(app.oneshot(request).await?, ("https".to_owned(), Some("192.0.2.7:5000".parse()?)));
/// # Ok(()) }
/// ```
///
/// The fields are read from their right end, one entry per proxy. The first entry is believed if the peer is a known
/// proxy, the next one if the address in the first is that of a known proxy, and so on up to the limit. What is believed
/// changes the [`HttpConnectionFeature`](server_abstractions::HttpConnectionFeature), the
/// [`HttpSchemeFeature`](server_abstractions::HttpSchemeFeature), the `Host` field and the authority of the target, and
/// the [`HttpPathBaseFeature`](server_abstractions::HttpPathBaseFeature); what was there before stands in the
/// `X-Original-` fields, and the entries are taken out. The feature `axum` has the layer change an
/// `axum::extract::ConnectInfo<SocketAddr>` as well.
///
/// Each layer goes on from where the one before has stopped: two of them take twice as many entries.
#[doc(alias = "UseForwardedHeaders")]
#[doc(alias = "ForwardedHeadersMiddleware")]
#[derive(Clone, Debug)]
pub struct ForwardedHeadersLayer {
    rules: Rules<Settled>,
}

impl ForwardedHeadersLayer {
    /// A layer with these options.
    ///
    /// # Errors
    /// Two options contradict each other, a name is used twice, or an allowed host can never match.
    pub fn new(options: &ForwardedHeadersOptions) -> Result<Self, OptionsError> {
        Ok(Self { rules: Rules::fixed(Settled::new(options)?) })
    }

    /// A layer that follows the options in a channel. When changed ones cannot be used, an error is reported and those
    /// from before stay.
    ///
    /// # Errors
    /// As [`new`](Self::new), for the options that are in the channel now.
    pub fn reloading(options: watch::Receiver<ForwardedHeadersOptions>) -> Result<Self, OptionsError> {
        Ok(Self { rules: Rules::watched(options, Settled::new)? })
    }

    pub(crate) fn into_rules(self) -> Rules<Settled> {
        self.rules
    }
}

impl<S> Layer<S> for ForwardedHeadersLayer {
    type Service = ForwardedHeaders<S>;

    fn layer(&self, inner: S) -> ForwardedHeaders<S> {
        ForwardedHeaders { rules: self.rules.clone(), inner }
    }
}

/// The service of [`ForwardedHeadersLayer`].
#[derive(Clone, Debug)]
pub struct ForwardedHeaders<S> {
    rules: Rules<Settled>,
    inner: S,
}

impl<S, B> Service<Request<B>> for ForwardedHeaders<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> S::Future {
        let is_forwarded = self.rules.current().finds_something(request.headers());
        if is_forwarded { self.call_forwarded(request) } else { self.inner.call(request) }
    }
}

impl<S> ForwardedHeaders<S> {
    /// Apart from the others, which are passed on as they are.
    #[inline(never)]
    fn call_forwarded<B>(&mut self, mut request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
    {
        self.rules.current().apply(&mut request);
        self.inner.call(request)
    }
}
