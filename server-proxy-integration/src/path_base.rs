use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use server_abstractions::take_path_base;
use tower_layer::Layer;
use tower_service::Service;

use crate::OptionsError;

/// Moves a prefix from the path of requests to their path base, for an application that lies below a path of a proxy.
///
/// The prefix is compared with the decoded path, whole segments only and regardless of case; the path base gets it as the
/// request says it, and what layers before have put there stays in front. A request that does not lie below it passes
/// unchanged.
///
/// ```
/// use http::Request;
/// use server_abstractions::HttpRequestFeature;
/// use server_proxy_integration::PathBaseLayer;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = PathBaseLayer::new("/shop")?.layer(service_fn(async |request: Request<()>| {
///     Ok::<_, std::convert::Infallible>((request.path_base(), request.uri().path().to_owned()))
/// }));
/// let answer = app.oneshot(Request::get("/Shop/cart").body(())?).await?;
/// assert_eq!(answer, ("/Shop".to_owned(), "/cart".to_owned()));
/// # Ok(()) }
/// ```
///
/// axum routes before the layers of a `Router` run, so there the layer goes around the whole router.
#[doc(alias = "UsePathBase")]
#[derive(Clone, Debug)]
pub struct PathBaseLayer {
    /// Without a slash at its end; empty does nothing.
    prefix: Arc<str>,
}

impl PathBaseLayer {
    /// A layer for a prefix such as `/shop`, decoded. A slash at its end counts for nothing; `/` and the empty text are a
    /// layer that does nothing.
    ///
    /// # Errors
    /// The prefix does not begin with `/`.
    pub fn new(prefix: impl AsRef<str>) -> Result<Self, OptionsError> {
        let prefix = prefix.as_ref();
        if !prefix.is_empty() && !prefix.starts_with('/') {
            let message =
                format!("the path base {prefix:?} cannot be used: it must begin with /, like /shop");
            return Err(OptionsError::new(message));
        }
        Ok(Self { prefix: prefix.trim_end_matches('/').into() })
    }

    /// Whether a path can lie below the prefix: it begins with it, or has something to decode.
    #[inline]
    pub(crate) fn may_concern(&self, path: &str) -> bool {
        // To decode a path makes it no longer, so a shorter one does not lie below the prefix.
        let Some(begin) = path.as_bytes().get(..self.prefix.len()) else { return false };
        // From the end, since all begin with a slash.
        let begins_so =
            || begin.iter().zip(self.prefix.as_bytes()).rev().all(|(a, b)| a.eq_ignore_ascii_case(b));
        !begin.is_empty() && (has_escape_or_dot(path.as_bytes()) || begins_so())
    }

    pub(crate) fn apply<B>(&self, request: &mut Request<B>) {
        if self.may_concern(request.uri().path()) {
            take_path_base(request, &self.prefix);
        }
    }
}

/// Whether a path has one of the bytes for which it reads differently when it is decoded. Eight bytes at once, since this is
/// asked of every request.
#[inline]
fn has_escape_or_dot(path: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    /// Not zero if a byte of the word is this one (Mycroft's test for a zero byte).
    fn find(word: u64, byte: u8) -> u64 {
        let word = word ^ (ONES * u64::from(byte));
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    }
    let (words, rest) = path.as_chunks::<8>();
    let is_in = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        find(word, b'%') | find(word, b'.') != 0
    };
    words.iter().any(is_in) || rest.iter().any(|byte| matches!(byte, b'%' | b'.'))
}

impl<S> Layer<S> for PathBaseLayer {
    type Service = PathBase<S>;

    fn layer(&self, inner: S) -> PathBase<S> {
        PathBase { layer: self.clone(), inner }
    }
}

/// The service of [`PathBaseLayer`].
#[derive(Clone, Debug)]
pub struct PathBase<S> {
    layer: PathBaseLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for PathBase<S>
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
        let may_lie_below = self.layer.may_concern(request.uri().path());
        if may_lie_below { self.call_below(request) } else { self.inner.call(request) }
    }
}

impl<S> PathBase<S> {
    /// Apart from the others, which are passed on as they are.
    #[inline(never)]
    fn call_below<B>(&mut self, mut request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
    {
        self.layer.apply(&mut request);
        self.inner.call(request)
    }
}
