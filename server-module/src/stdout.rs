//! The standard output of the module, which a reader may stop reading. A thread of its own writes to it, so that nobody else
//! is ever held up: neither a request that makes an event, nor the stop.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The bytes that may wait to be written.
const ROOM: usize = 1 << 20;
/// The bytes that events may have beyond that, so that the output of workers leaves room for them.
const RESERVE: usize = 256 << 10;
/// How long the output of a worker waits for room. A worker whose output waits may be waiting itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end waits for somebody to read.
const LAST_WORDS: Duration = Duration::from_secs(2);

static OUTPUT: LazyLock<Output> = LazyLock::new(Output::start);

/// Where events go: in whole lines, and to nowhere if there is no room, which an event tells later.
#[derive(Debug)]
pub(crate) struct Events;

struct Output {
    queue: Mutex<Queue>,
    /// Something waits to be written.
    filled: Condvar,
    /// Something was written.
    emptied: Condvar,
    /// Whether the thread is there.
    is_written: bool,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Vec<u8>>,
    /// Those of the pieces, and of the one that is being written.
    bytes: usize,
    /// What was written by now.
    written: u64,
    /// What was lost since that was last told.
    lost: u64,
    /// Whether somebody has waited for room in vain, and nothing was written since.
    is_stuck: bool,
}

/// Prints what a worker has printed. It waits for room, but not for ever: then it is lost, which an event tells later.
pub(crate) fn print(bytes: &[u8]) {
    OUTPUT.print(bytes);
}

/// Waits until everything is written, or nobody reads any more.
pub(crate) fn flush() {
    OUTPUT.flush();
}

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OUTPUT.push(&mut OUTPUT.queue(), bytes, ROOM + RESERVE);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn start() -> Self {
        let writer = thread::Builder::new().name("standard-output".to_owned());
        Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            is_written: writer.spawn(|| OUTPUT.write_all()).is_ok(),
        }
    }

    fn print(&self, bytes: &[u8]) {
        let mut queue = self.queue();
        if queue.bytes >= ROOM && !queue.is_stuck {
            let waiting = self.emptied.wait_timeout_while(queue, PATIENCE, |queue| queue.bytes >= ROOM);
            queue = waiting.unwrap_or_else(PoisonError::into_inner).0;
            queue.is_stuck = queue.bytes >= ROOM;
        }
        self.push(&mut queue, bytes, ROOM);
    }

    /// Has bytes written, unless so many or more wait already.
    fn push(&self, queue: &mut Queue, bytes: &[u8], room: usize) {
        if queue.bytes >= room || !self.is_written {
            queue.lost = queue.lost.saturating_add(bytes.len() as u64);
            return;
        }
        queue.bytes += bytes.len();
        queue.pieces.push_back(bytes.to_vec());
        self.filled.notify_one();
    }

    /// Writes whatever comes, as long as the process lives.
    fn write_all(&self) {
        loop {
            let piece = {
                let queue = self.queue();
                let waiting = self.filled.wait_while(queue, |queue| queue.pieces.is_empty());
                waiting.unwrap_or_else(PoisonError::into_inner).pieces.pop_front().unwrap_or_default()
            };
            let mut output = io::stdout().lock();
            // Nobody is left to be told when the output is gone.
            let _ = output.write_all(&piece).and_then(|()| output.flush());
            drop(output);
            let lost = {
                let mut queue = self.queue();
                queue.bytes -= piece.len();
                queue.written += 1;
                queue.is_stuck = false;
                std::mem::take(&mut queue.lost)
            };
            self.emptied.notify_all();
            if lost > 0 {
                tracing::warn!(
                    bytes = lost,
                    "the standard output of the module was not read, and what came meanwhile is lost; whatever reads it must keep up"
                );
            }
        }
    }

    fn flush(&self) {
        let mut queue = self.queue();
        while queue.bytes > 0 {
            let before = queue.written;
            let waiting = self.emptied.wait_timeout_while(queue, LAST_WORDS, |queue| queue.written == before);
            queue = waiting.unwrap_or_else(PoisonError::into_inner).0;
            if queue.written == before {
                return;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
