use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// The future of a layer that answers some requests itself and passes the others on. It is hardly larger than the one
    /// of the service behind.
    #[derive(Debug)]
    pub struct AnswerFuture<F, R> {
        #[pin]
        step: Step<F, R>,
    }
}

pin_project! {
    #[project = StepProjection]
    #[derive(Debug)]
    enum Step<F, R> {
        Passed { #[pin] future: F },
        Answered { answer: fn() -> Response<R> },
    }
}

impl<F, R> AnswerFuture<F, R> {
    #[inline]
    pub(crate) fn passed(future: F) -> Self {
        Self { step: Step::Passed { future } }
    }

    pub(crate) fn answered(answer: fn() -> Response<R>) -> Self {
        Self { step: Step::Answered { answer } }
    }
}

impl<F, R, E> Future for AnswerFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().step.project() {
            StepProjection::Passed { future } => Poll::Ready(ready!(future.poll(cx))),
            StepProjection::Answered { answer } => Poll::Ready(Ok(answer())),
        }
    }
}
