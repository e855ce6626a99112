//! Keeps the bytes of the message that is just coming in, so that one which breaks the protocol is not lost.
//!
//! The websocket library drops the payload of a text that is not UTF-8 and of a frame that is not allowed. This tap
//! lies under it, follows the frame headers, and holds what belongs to messages that the library has not handed out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dead_letter::FRAME_BYTES_KEPT;

/// The longest header of a frame: two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;
const END_OF_HANDSHAKE: &[u8; 4] = b"\r\n\r\n";

/// A stream whose inbound bytes are followed.
pub(super) struct Tap<S> {
    inner: S,
    inbound: Inbound,
}

/// What came in and was not handed out yet. Shared by the tap and the reader of messages.
#[derive(Clone, Default)]
pub(super) struct Inbound(Arc<Mutex<Follower>>);

/// The payload of one message or control frame: its beginning, and length and SHA-256 of all that came.
#[derive(Clone, Debug, Default)]
pub(super) struct Captured {
    pub(super) beginning: Vec<u8>,
    pub(super) length: u64,
    /// Runs only where the message is longer than `beginning` may be.
    hash: Option<Sha256>,
}

impl<S> Tap<S> {
    pub(super) fn new(inner: S) -> (Self, Inbound) {
        let inbound = Inbound::default();
        (Self { inner, inbound: inbound.clone() }, inbound)
    }
}

impl Inbound {
    /// The library handed out the oldest message or control frame: its bytes are not needed here.
    pub(super) fn handed_out(&self) {
        self.with(|follower| drop(follower.complete.pop_front()));
    }

    /// What the library could not hand out: the oldest complete payload, or the one that is coming in.
    pub(super) fn take_failed(&self) -> Captured {
        self.with(|follower| follower.complete.pop_front().unwrap_or_else(|| std::mem::take(follower.current())))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Follower) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Captured {
    /// SHA-256 of all that came, lower-case hex.
    pub(super) fn sha256(&self) -> String {
        match &self.hash {
            Some(hash) => hex::encode(hash.clone().finalize()),
            None => unrip_core::id::sha256_hex(&self.beginning),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let room = FRAME_BYTES_KEPT - self.beginning.len().min(FRAME_BYTES_KEPT);
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        } else if bytes.len() > room {
            self.hash = Some(Sha256::new().chain_update(&self.beginning).chain_update(bytes));
        }
        self.beginning.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// Follows the bytes of one connection from its handshake on.
#[derive(Default)]
struct Follower {
    state: State,
    /// Complete and not handed out, in the order in which they were completed.
    complete: VecDeque<Captured>,
    /// A data message that is coming in, perhaps in fragments.
    message: Captured,
    /// A control frame that is coming in, perhaps between fragments.
    control: Captured,
    in_control: bool,
}

enum State {
    /// So many bytes of the empty line that ends the handshake were seen.
    Handshake(usize),
    Header(Vec<u8>),
    Payload {
        left: u64,
        last: bool,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Handshake(0)
    }
}

impl Follower {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.state {
                State::Handshake(seen) => {
                    let fits = END_OF_HANDSHAKE.get(*seen) == Some(first);
                    *seen = if fits { *seen + 1 } else { usize::from(*first == b'\r') };
                    if *seen == END_OF_HANDSHAKE.len() {
                        self.state = State::Header(Vec::new());
                    }
                    bytes = rest;
                }
                State::Header(header) => {
                    header.push(*first);
                    bytes = rest;
                    if let Some((opcode, last, left)) = read_header(header) {
                        self.begin(opcode, last, left);
                    }
                }
                State::Payload { left, .. } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (payload, after) = bytes.split_at(here);
                    *left -= here as u64;
                    self.current().push(payload);
                    bytes = after;
                    self.end_if_complete();
                }
            }
        }
    }

    fn begin(&mut self, opcode: u8, last: bool, left: u64) {
        self.in_control = opcode >= 8;
        self.state = State::Payload { left, last };
        self.end_if_complete();
    }

    fn end_if_complete(&mut self) {
        let State::Payload { left: 0, last } = self.state else { return };
        self.state = State::Header(Vec::new());
        if last || self.in_control {
            let complete = std::mem::take(self.current());
            self.complete.push_back(complete);
            self.in_control = false;
        }
    }

    fn current(&mut self) -> &mut Captured {
        if self.in_control { &mut self.control } else { &mut self.message }
    }
}

/// Opcode, whether the frame is its message's last, and the payload's length; none while the header is incomplete.
fn read_header(header: &[u8]) -> Option<(u8, bool, u64)> {
    let (first, second) = (*header.first()?, *header.get(1)?);
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    debug_assert!(2 + extended + mask <= HEADER_BYTES_MAX, "a header is at most {HEADER_BYTES_MAX} bytes");
    if header.len() < 2 + extended + mask {
        return None;
    }
    let length = match extended {
        0 => u64::from(second & 0x7f),
        _ => header.get(2..2 + extended)?.iter().fold(0u64, |length, byte| (length << 8) | u64::from(*byte)),
    };
    Some((first & 0x0f, first & 0x80 != 0, length))
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let (Poll::Ready(Ok(())), Some(fresh)) = (&polled, buf.filled().get(before..)) {
            self.inbound.with(|follower| follower.feed(fresh));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(short as u8),
            medium @ 126..65_536 => bytes.extend([126, (medium >> 8) as u8, medium as u8]),
            long => bytes.extend([&[127u8][..], &(long as u64).to_be_bytes()].concat()),
        }
        [bytes, payload.to_vec()].concat()
    }

    #[test]
    fn follows_messages_however_they_are_cut() {
        let long = vec![b'z'; 70_000];
        let stream = [
            b"HTTP/1.1 101 x\r\na: b\r\n\r\n".to_vec(),
            frame(0x81, b"one"),
            frame(0x01, b"two, "),
            frame(0x89, b"ping"),
            frame(0x80, b"in two parts"),
            frame(0x82, &long),
            frame(0x81, b"\xff\xfe"),
            frame(0x81, b"cut")[..4].to_vec(),
        ]
        .concat();
        for chunk in [1, 3, 1_000, stream.len()] {
            let mut follower = Follower::default();
            stream.chunks(chunk).for_each(|bytes| follower.feed(bytes));
            let complete: Vec<_> = follower.complete.iter().map(|c| (c.beginning.as_slice(), c.length)).collect();
            let expected: [(&[u8], u64); 5] = [
                (b"one", 3),
                (b"ping", 4),
                (b"two, in two parts", 17),
                (&long[..FRAME_BYTES_KEPT], 70_000),
                (b"\xff\xfe", 2),
            ];
            assert_eq!(complete, expected, "in chunks of {chunk}");
            assert_eq!(follower.complete[3].sha256(), unrip_core::id::sha256_hex(&long));
            assert_eq!(follower.complete[0].sha256(), unrip_core::id::sha256_hex(b"one"));
            assert_eq!(follower.current().beginning, b"cu");
        }
    }
}
