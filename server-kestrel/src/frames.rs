//! Follows the frames of HTTP/2 below the engine, for what the engine does not bound: frames that ask for nothing, and
//! header blocks that do not end.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes of the preface that comes before the frames (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// Bytes of the head of a frame (RFC 9113, section 4.1).
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The frames without a request and without content between two looks at what else has happened. PING, SETTINGS,
/// PRIORITY, WINDOW_UPDATE, RST_STREAM and frames of unknown types cost the server more than the peer.
const MAX_IDLE_FRAMES: u32 = 10_000;

/// So many of them are no flood in this time,
const IDLE_TIME: Duration = Duration::from_secs(10);
/// nor if there was a request for so many of them,
const IDLE_FRAMES_OF_REQUEST: u32 = 16;
/// or so many bytes, one way or the other, for each,
const BYTES_OF_IDLE_FRAME: u64 = 256;
/// or a piece of a response for so many of them, of which the peer tells that it has taken them.
const IDLE_FRAMES_OF_PIECE: u64 = 4;

/// Follows the frames that come in on one connection.
pub(crate) struct Frames {
    /// Bytes of the preface that are still to come.
    preface: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes of the content that are still to come.
    content: usize,
    /// The header blocks so far.
    blocks: u32,
    is_block_open: bool,
    idle: u32,
    requests: u32,
    /// Where the count of idle frames began.
    since: Option<(Instant, u64, u64)>,
    /// Bytes of DATA that have not been told.
    data: u64,
    is_data: bool,
}

/// The peer sends frames and asks for nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flood;

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            preface: PREFACE,
            head: [0; HEAD],
            filled: 0,
            content: 0,
            blocks: 0,
            is_block_open: false,
            idle: 0,
            requests: 0,
            since: None,
            data: 0,
            is_data: false,
        }
    }

    /// The number of the header block that has begun and not ended.
    pub(crate) fn open_block(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.blocks).filter(|_| self.is_block_open)
    }

    /// The bytes of DATA frames since the last time.
    pub(crate) fn take_content(&mut self) -> u64 {
        std::mem::take(&mut self.data)
    }

    /// Looks at the bytes that come next; `total` is the count of bytes in both directions so far, and `pieces` that of
    /// the pieces of responses that the peer has taken.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], total: u64, pieces: u64) -> Result<(), Flood> {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            let content = self.content.min(bytes.len());
            self.content -= content;
            if self.is_data {
                self.data += content as u64;
            }
            bytes = &bytes[content..];
            let head = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + head].copy_from_slice(&bytes[..head]);
            self.filled += head;
            bytes = &bytes[head..];
            if self.filled == HEAD {
                self.filled = 0;
                self.begin(total, pieces)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, total: u64, pieces: u64) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.content = u32::from_be_bytes([0, a, b, c]) as usize;
        self.is_data = kind == DATA;
        match kind {
            HEADERS => {
                self.is_block_open = flags & END_HEADERS == 0;
                self.blocks = self.blocks.wrapping_add(1).max(1);
                self.requests = self.requests.saturating_add(1);
                Ok(())
            }
            CONTINUATION => {
                self.is_block_open &= flags & END_HEADERS == 0;
                self.idle(total, pieces)
            }
            DATA if self.content > 0 => Ok(()),
            _ => self.idle(total, pieces),
        }
    }

    fn idle(&mut self, total: u64, pieces: u64) -> Result<(), Flood> {
        self.idle += 1;
        if self.idle < MAX_IDLE_FRAMES && self.since.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        let (began, bytes, before) = self.since.replace((now, total, pieces)).unwrap_or((now, total, pieces));
        let is_flood = self.idle >= MAX_IDLE_FRAMES
            && now - began < IDLE_TIME
            && self.requests < MAX_IDLE_FRAMES / IDLE_FRAMES_OF_REQUEST
            && total - bytes < u64::from(MAX_IDLE_FRAMES) * BYTES_OF_IDLE_FRAME
            && pieces - before < u64::from(MAX_IDLE_FRAMES) / IDLE_FRAMES_OF_PIECE;
        self.idle = 1;
        self.requests = 0;
        if is_flood { Err(Flood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [&head[..], content].concat()
    }

    /// Frames behind the preface.
    fn follow(pieces: impl IntoIterator<Item = Vec<u8>>) -> (Frames, Result<(), Flood>) {
        let mut frames = Frames::new();
        let mut total = 0;
        let mut result = frames.scan(&[b'p'; PREFACE], 0, 0);
        for piece in pieces {
            total += piece.len() as u64;
            result = result.and_then(|()| frames.scan(&piece, total, 0));
        }
        (frames, result)
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_block_is_open_until_its_end_wherever_the_bytes_are_cut() {
        let bytes =
            [frame(HEADERS, 1, b"abc"), frame(CONTINUATION, 0, b""), frame(CONTINUATION, 4, b"de")].concat();
        let end = 12 + 9 + 9;
        for cut in 0..bytes.len() {
            let (frames, _) = follow([bytes[..cut].to_vec()]);
            assert_eq!(frames.open_block().is_some(), (9..end).contains(&cut), "{cut}");
            let (frames, result) = follow([bytes[..cut].to_vec(), bytes[cut..].to_vec()]);
            assert!(frames.open_block().is_none() && result.is_ok());
        }
        let (frames, _) = follow(bytes.iter().map(|byte| vec![*byte]));
        assert!(frames.open_block().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_a_flood_unless_something_else_happens() {
        let idle = |kind: u8, count: usize| vec![frame(kind, 0, b"12345678"); count];
        for kind in [2, 3, 4, 6, 8, 99] {
            assert_eq!(follow(idle(kind, 9_999)).1, Ok(()), "{kind}");
            assert_eq!(follow(idle(kind, 10_001)).1, Err(Flood), "{kind}");
        }
        assert_eq!(follow(vec![frame(DATA, 0, b""); 10_001]).1, Err(Flood));
        let with_requests = (0..20_000).map(|at| frame(if at % 10 == 0 { HEADERS } else { 8 }, 4, b"1234"));
        assert_eq!(follow(with_requests).1, Ok(()));
        let with_data = (0..20_000).map(|at| frame(if at % 2 == 0 { DATA } else { 8 }, 0, &[0; 512]));
        assert_eq!(follow(with_data).1, Ok(()));
        let mut frames = Frames::new();
        let mut result = frames.scan(&[0; PREFACE], 0, 0);
        for _ in 0..20 {
            result = result.and_then(|()| frames.scan(&idle(6, 1_000).concat(), 0, 0));
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(result, Ok(()));
    }
}
