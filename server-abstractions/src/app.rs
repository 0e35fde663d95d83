use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_service::Service;

use crate::{Body, BoxError, BoxFuture};

/// The application: a tower service behind one pointer, which a server calls once per request.
///
/// It is made from anything that implements [`IntoService`]: an `axum::Router`, a tonic service, a
/// `tower::ServiceBuilder` stack, a closure. The service is cloned for each request and driven to readiness first.
///
/// A panic of the service is caught here, once for every server: it becomes a response with status 500. The panic
/// hook has reported it by then.
#[doc(alias = "IHttpApplication")]
#[doc(alias = "RequestDelegate")]
#[derive(Clone)]
pub struct App(Arc<dyn ErasedService>);

impl App {
    /// Takes a service or a closure.
    pub fn new<M>(service: impl IntoService<M>) -> Self {
        service.into_service()
    }

    /// Answers one request.
    ///
    /// # Cancel safety
    /// Dropping the future drops the service's future: the request is given up.
    #[inline]
    pub fn handle(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        self.0.handle(request)
    }

    fn erase<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(app) = (&service as &dyn Any).downcast_ref::<Self>() {
            return app.clone();
        }
        Self(Arc::new(Erased(service)))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}

impl Service<Request<Body>> for App {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = AppFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> AppFuture {
        AppFuture(self.handle(request))
    }
}

/// The future of [`App`] as a service.
pub struct AppFuture(BoxFuture<'static, Response<Body>>);

impl Future for AppFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for AppFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppFuture")
    }
}

/// What an [`App`] is made from. The marker `M` tells services from closures; it is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a tower service nor a closure that answers requests",
    note = "a service needs `Service<Request<Body>, Response = Response<_>, Error = Infallible> + Clone + Send + Sync + 'static` and a `Send` future",
    note = "of axum, pass the `Router` itself and not `into_make_service()`; `ConnectInfo` comes with the feature `axum` of `hosting`",
    note = "a closure needs `async fn(Request<Body>) -> Response<_>`, `Clone + Send + Sync + 'static`, and a `Send` future"
)]
pub trait IntoService<M> {
    /// Makes the app.
    fn into_service(self) -> App;
}

/// Marks a tower service in [`IntoService`].
#[derive(Debug)]
pub struct ServiceMarker<B>(PhantomData<B>);

impl<S, B> IntoService<ServiceMarker<B>> for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn into_service(self) -> App {
        App::erase(self)
    }
}

/// Marks a closure in [`IntoService`].
#[derive(Debug)]
pub struct FnMarker<Fut, B>(PhantomData<(Fut, B)>);

impl<F, Fut, B> IntoService<FnMarker<Fut, B>> for F
where
    F: FnOnce(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn into_service(self) -> App {
        App(Arc::new(ErasedFn(self)))
    }
}

trait ErasedService: Send + Sync {
    fn handle(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

struct Erased<S>(S);

impl<S, B> ErasedService for Erased<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn handle(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let mut service = self.0.clone();
        // Nearly every service is ready at once. Then its future is made before it is boxed, so that the request is moved
        // and stored once. Nobody is woken by this look; one that is not ready is asked again by who waits for it.
        let look = || service.poll_ready(&mut Context::from_waker(Waker::noop()));
        match catch_unwind(AssertUnwindSafe(look)) {
            Ok(Poll::Ready(Ok(()))) => {
                boxed(|| Answer { future: Infallibly { future: service.call(request) } })
            }
            Ok(Poll::Pending) => Box::pin(CatchPanic { future: when_ready(service, request) }),
            Err(panic) => Box::pin(std::future::ready(panicked(&*panic))),
        }
    }
}

/// Makes the future where it will lie, so that the request in it is moved there once.
fn boxed<F>(make: impl FnOnce() -> F) -> BoxFuture<'static, Response<Body>>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let caught = catch_unwind(AssertUnwindSafe(|| -> BoxFuture<'static, Response<Body>> {
        let place = Box::<CatchPanic<F>>::new_uninit();
        Box::into_pin(Box::write(place, CatchPanic { future: make() }) as Box<_>)
    }));
    caught.unwrap_or_else(|panic| Box::pin(std::future::ready(panicked(&*panic))))
}

async fn when_ready<S, B>(mut service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Ok(()) = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(response) = service.call(request).await;
    response.map(Body::new)
}

pin_project_lite::pin_project! {
    /// The response of a service that never fails.
    struct Infallibly<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<R, Infallible>>, R> Future for Infallibly<F> {
    type Output = R;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        self.project().future.poll(cx).map(|Ok(response)| response)
    }
}

struct ErasedFn<F>(F);

impl<F, Fut, B> ErasedService for ErasedFn<F>
where
    F: FnOnce(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn handle(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let handler = self.0.clone();
        // The future is made before it is boxed, so that the request is moved once and stored once.
        boxed(|| Answer { future: handler(request) })
    }
}

pin_project_lite::pin_project! {
    /// A response, its body made ours.
    struct Answer<F> {
        #[pin]
        future: F,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Response<B>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        self.project().future.poll(cx).map(|response| response.map(Body::new))
    }
}

pin_project_lite::pin_project! {
    struct CatchPanic<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Response<Body>>> Future for CatchPanic<F> {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let future = self.project().future;
        // Written through a reference, since what a caught closure returns is copied once more.
        let mut polled = Poll::Pending;
        match catch_unwind(AssertUnwindSafe(|| polled = future.poll(cx))) {
            Ok(()) => polled,
            Err(panic) => Poll::Ready(panicked(&*panic)),
        }
    }
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Response<Body> {
    tracing::error!(panic = panic_message(panic), "the application panicked; the answer is 500");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[derive(Clone)]
    struct Ready(u8);

    impl Service<Request<Body>> for Ready {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0 += 1;
            if self.0 < 3 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::ready(Ok(Response::new(Body::from(format!("ready after {}", self.0)))))
        }
    }

    async fn text(app: &App) -> (StatusCode, Bytes) {
        let response = app.handle(Request::new(Body::empty())).await;
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn a_service_is_driven_to_readiness_for_each_request() {
        let app = App::new(Ready(0));
        for _ in 0..2 {
            assert_eq!(text(&app).await, (StatusCode::OK, Bytes::from("ready after 3")));
        }
    }

    #[tokio::test]
    async fn a_panic_is_answered_with_500() {
        async fn fails(_: Request<Body>) -> Response<Body> {
            panic!("on purpose")
        }
        assert_eq!(text(&App::new(fails)).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn an_app_is_not_wrapped_twice() {
        let app = App::new(Ready(0));
        assert!(Arc::ptr_eq(&app.0, &App::new(app.clone()).0));
    }
}
