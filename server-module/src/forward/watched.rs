//! A relayed connection, and how long its second side may take to end after the first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How long nothing may come from the side that is left.
const SILENCE: Duration = Duration::from_secs(5);

/// The connection to the process. It reads nothing more when the process has ended its side, and is shut down when the client
/// has ended its own, so both ends are seen here.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    ending: Arc<Ending>,
}

/// The end of one side.
#[derive(Debug, Default)]
pub(super) struct Ending {
    has_begun: CancellationToken,
    /// Whether bytes have gone either way since the last look.
    has_moved: AtomicBool,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<Ending>) {
        let ending = Arc::<Ending>::default();
        (Self { stream, ending: Arc::clone(&ending) }, ending)
    }
}

impl Ending {
    /// Waits until one side has ended, and nothing has come from the other for so long.
    pub(super) async fn silence(&self) {
        self.has_begun.cancelled().await;
        loop {
            self.has_moved.store(false, Ordering::Relaxed);
            tokio::time::sleep(SILENCE).await;
            if !self.has_moved.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn moved(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.ending.moved();
        } else {
            self.ending.has_begun.cancel();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.ending.moved();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ending.has_begun.cancel();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_side_that_goes_on_is_not_cut_off() {
        let (mut client, mut near) = duplex(64);
        let (mut process, far) = duplex(64);
        let (mut far, ending) = Watched::new(far);
        let relay = tokio::spawn(async move {
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = ending.silence() => {}
            }
        });
        // No end, no limit.
        tokio::time::sleep(SILENCE * 10).await;
        client.shutdown().await.unwrap();
        for _ in 0..5 {
            tokio::time::sleep(SILENCE / 2).await;
            process.write_all(b"more").await.unwrap();
            let mut more = [0; 4];
            client.read_exact(&mut more).await.unwrap();
        }
        let silent = Instant::now();
        relay.await.unwrap();
        assert!(silent.elapsed() <= SILENCE * 2, "{:?}", silent.elapsed());
        assert_eq!(process.read(&mut [0; 4]).await.unwrap(), 0);
    }
}
