use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

use crate::OptionsError;
use crate::answer::AnswerFuture;
use crate::host::HostPatterns;
use crate::reload::Rules;

/// Which hosts a request may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFilteringOptions {
    /// Names, addresses (of IPv6 in brackets), `*.` and the end of names, all without a port and regardless of case;
    /// names in Unicode are encoded. `*.shop.example` stands for all names below `shop.example` and not for that itself. `*`,
    /// `[::]` and `0.0.0.0` allow every host. Default is none, with which no layer can be built.
    pub allowed_hosts: Vec<String>,
    /// Whether a request may name no host, or an empty one; such a request passes, whatever hosts are allowed. Default is
    /// true.
    pub allow_empty_hosts: bool,
    /// Whether the answer has a small page that says why. Default is true.
    pub include_failure_message: bool,
}

impl Default for HostFilteringOptions {
    fn default() -> Self {
        Self { allowed_hosts: Vec::new(), allow_empty_hosts: true, include_failure_message: true }
    }
}

impl HostFilteringOptions {
    /// The defaults, for hosts separated by `;` as in the configuration key `AllowedHosts`; empty items are left out,
    /// so that `""` and `";"` leave none.
    pub fn from_list(hosts: &str) -> Self {
        let hosts = hosts.split(';').map(str::trim).filter(|host| !host.is_empty());
        Self { allowed_hosts: hosts.map(str::to_owned).collect(), ..Self::default() }
    }

    /// Whether every request passes, so that a layer is of no use.
    pub fn allow_everything(&self) -> bool {
        let is_any = HostPatterns::new("", &self.allowed_hosts).is_ok_and(|hosts| hosts.allow_any());
        is_any && self.allow_empty_hosts
    }
}

/// Answers requests for other hosts than the allowed ones with 400, so that nobody can make an application write links to
/// a host of his choice.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use server_proxy_integration::{HostFilteringLayer, HostFilteringOptions};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = HostFilteringLayer::new(&HostFilteringOptions::from_list("example.com;*.example.com"))?;
/// let app = layer.layer(service_fn(async |_: Request<()>| {
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
/// }));
/// for (host, status) in [("www.example.com:8080", 200), ("evil.example", 400)] {
///     let request = Request::get("/").header("host", host).body(())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(()) }
/// ```
///
/// What counts is the `Host` field, and the authority of the target if there is one; both as they arrived, so the layer
/// stands before a [`ForwardedHeadersLayer`](crate::ForwardedHeadersLayer), which has `allowed_hosts` of its own.
#[doc(alias = "UseHostFiltering")]
#[derive(Clone, Debug)]
pub struct HostFilteringLayer {
    rules: Rules<Filter>,
}

impl HostFilteringLayer {
    /// A layer with these options.
    ///
    /// # Errors
    /// No host is allowed, or one of them can never match.
    pub fn new(options: &HostFilteringOptions) -> Result<Self, OptionsError> {
        Ok(Self { rules: Rules::fixed(Filter::new(options)?) })
    }

    /// A layer that follows the options in a channel. When changed ones cannot be used, an error is reported and those
    /// from before stay.
    ///
    /// # Errors
    /// As [`new`](Self::new), for the options that are in the channel now.
    pub fn reloading(options: watch::Receiver<HostFilteringOptions>) -> Result<Self, OptionsError> {
        Ok(Self { rules: Rules::watched(options, Filter::new)? })
    }

    pub(crate) fn into_rules(self) -> Rules<Filter> {
        self.rules
    }
}

impl<S> Layer<S> for HostFilteringLayer {
    type Service = HostFiltering<S>;

    fn layer(&self, inner: S) -> HostFiltering<S> {
        HostFiltering { rules: self.rules.clone(), inner }
    }
}

/// The service of [`HostFilteringLayer`].
#[derive(Clone, Debug)]
pub struct HostFiltering<S> {
    rules: Rules<Filter>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for HostFiltering<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AnswerFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let refusal = self.rules.current().refusal(request.uri(), request.headers().iter());
        match refusal {
            None => AnswerFuture::passed(self.inner.call(request)),
            Some(answer) => AnswerFuture::answered(answer),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Filter {
    hosts: HostPatterns,
    allow_empty: bool,
    include_message: bool,
}

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Bad Request</title></head>\n<body>\
<h2>Bad Request - Invalid Hostname</h2><hr><p>HTTP Error 400. The request hostname is invalid.</p></body></html>\n";

impl Filter {
    fn new(options: &HostFilteringOptions) -> Result<Self, OptionsError> {
        if options.allowed_hosts.is_empty() {
            return Err(OptionsError::new(
                "HostFilteringOptions.allowed_hosts is empty, so that every request would be refused; name the hosts, or * for all",
            ));
        }
        Ok(Self {
            hosts: HostPatterns::new("HostFilteringOptions.allowed_hosts", &options.allowed_hosts)?,
            allow_empty: options.allow_empty_hosts,
            include_message: options.include_failure_message,
        })
    }

    /// The answer to a request that is refused, of which these are the target and the fields.
    #[inline]
    pub(crate) fn refusal<'h, R: From<Bytes>>(
        &self,
        target: &Uri,
        fields: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    ) -> Option<fn() -> Response<R>> {
        if self.allows(target, fields) {
            return None;
        }
        Some(if self.include_message { refuse_with_page } else { refuse })
    }

    #[inline]
    fn allows<'h>(
        &self,
        target: &Uri,
        fields: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    ) -> bool {
        if self.hosts.allow_any() && self.allow_empty {
            return true;
        }
        let mut has_host = false;
        if let Some(authority) = target.authority() {
            has_host = true;
            // Without the user, who is no part of a host.
            let text = authority.as_str();
            let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
            if !self.allows_host(host.as_bytes()) {
                return false;
            }
        }
        // A walk over the few fields is cheaper than a look-up, and finds a second one as well.
        for (_, host) in fields.filter(|(name, _)| *name == HOST) {
            let host = host.as_bytes().trim_ascii();
            if host.is_empty() {
                continue;
            }
            has_host = true;
            if !self.allows_host(host) {
                return false;
            }
        }
        if !has_host && !self.allow_empty {
            tracing::info!(
                "a request was refused: it names no host, and allow_empty_hosts of HostFilteringOptions is false"
            );
            return false;
        }
        true
    }

    #[inline]
    fn allows_host(&self, host: &[u8]) -> bool {
        let is_allowed = self.hosts.allow(host);
        if !is_allowed {
            tell_of_other_host(host);
        }
        is_allowed
    }
}

#[cold]
fn tell_of_other_host(host: &[u8]) {
    tracing::info!(
        host = ?String::from_utf8_lossy(host),
        "a request was refused: the host is not among the allowed ones; if it is yours, add it to AllowedHosts (allowed_hosts of HostFilteringOptions)"
    );
}

fn refuse<R: From<Bytes>>() -> Response<R> {
    let mut response = Response::new(R::from(Bytes::new()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn refuse_with_page<R: From<Bytes>>() -> Response<R> {
    let mut response = refuse::<R>().map(|_| R::from(Bytes::from_static(PAGE.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(PAGE.len()));
    response
}
