//! Whether the accept loops live: each of them answers when it is asked.

use std::convert::Infallible;

use server_abstractions::{BoxFuture, ServerLivenessFeature};
use tokio::sync::{mpsc, oneshot, watch};

/// The questions that may wait; whoever asks beyond that waits with them.
const QUESTIONS: usize = 8;

/// Wants to know whether the server lives.
pub(crate) type Question = oneshot::Sender<bool>;

/// Asks the task that owns the endpoints.
pub(crate) struct Liveness {
    questions: mpsc::Sender<Question>,
}

impl Liveness {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        (Self { questions }, asked)
    }
}

impl ServerLivenessFeature for Liveness {
    fn is_alive(&self) -> BoxFuture<'static, bool> {
        let questions = self.questions.clone();
        Box::pin(async move {
            let (question, answer) = oneshot::channel();
            // Nobody is there to answer once the server has ended.
            questions.send(question).await.is_ok() && answer.await.unwrap_or(false)
        })
    }
}

/// The way to the accept loops of one endpoint.
pub(crate) struct Heart {
    ask: watch::Sender<Option<mpsc::Sender<()>>>,
    loops: usize,
}

impl Heart {
    pub(crate) fn new() -> Self {
        Self { ask: watch::Sender::new(None), loops: 0 }
    }

    /// For one more accept loop.
    pub(crate) fn pulse(&mut self) -> Pulse {
        self.loops += 1;
        Pulse(self.ask.subscribe())
    }
}

/// What an accept loop answers with.
pub(crate) struct Pulse(watch::Receiver<Option<mpsc::Sender<()>>>);

impl Pulse {
    /// Answers each question, for as long as it is polled.
    ///
    /// # Cancel safety
    /// A question that was not answered is answered by the next call.
    pub(crate) async fn beat(&mut self) -> Infallible {
        while self.0.changed().await.is_ok() {
            let answer = self.0.borrow_and_update().clone();
            if let Some(answer) = answer {
                // It has room for all loops; it fails if nobody waits any more.
                let _ = answer.try_send(());
            }
        }
        std::future::pending().await
    }
}

/// Answers the question once every accept loop has, or when one of them has ended.
pub(crate) fn ask<'a>(hearts: impl Iterator<Item = &'a Heart> + Clone, mut question: Question) {
    if hearts.clone().any(|heart| heart.ask.receiver_count() < heart.loops) {
        // One that fails has nobody who waits.
        let _ = question.send(false);
        return;
    }
    let loops: usize = hearts.clone().map(|heart| heart.loops).sum();
    let (answer, mut answers) = mpsc::channel(loops.max(1));
    for heart in hearts {
        heart.ask.send_replace(Some(answer.clone()));
    }
    drop(answer);
    tokio::spawn(async move {
        let all = async {
            let mut left = loops;
            while left > 0 && answers.recv().await.is_some() {
                left -= 1;
            }
            left == 0
        };
        let is_alive = tokio::select! {
            () = question.closed() => return,
            is_alive = all => is_alive,
        };
        let _ = question.send(is_alive);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_loop_is_asked() {
        let mut heart = Heart::new();
        let (mut first, mut second) = (heart.pulse(), heart.pulse());
        let question = || {
            let (question, answer) = oneshot::channel();
            ask(std::iter::once(&heart), question);
            answer
        };
        let beating = tokio::spawn(async move { first.beat().await });
        let mut answer = question();
        tokio::task::yield_now().await;
        assert!(answer.try_recv().is_err(), "one of two is no answer");
        let other = tokio::spawn(async move { second.beat().await });
        assert!(answer.await.unwrap());
        assert!(question().await.unwrap());
        other.abort();
        assert!(other.await.unwrap_err().is_cancelled());
        assert!(!question().await.unwrap(), "one has ended");
        beating.abort();
    }
}
