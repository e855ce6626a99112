//! The reading half of one connection: numbers frames, stamps them, and never drops one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WireMessage};
use tokio_util::sync::CancellationToken;
use unrip_core::Timestamp;
use unrip_core::id::sha256_hex;

use super::connect::Socket;
use super::tap::Inbound;
use super::writer::{self, Sender};
use super::{CloseCause, CutFrame, Event, Flaw, Frame, Keeper, Message, Unheard};
use crate::dead_letter::FRAME_BYTES_KEPT;

/// What became of one connection.
pub(super) struct Served {
    /// Messages that came.
    pub(super) frames: u64,
    /// Why it ended.
    pub(super) cause: CloseCause,
    /// Why it ended, for people.
    pub(super) reason: String,
    /// Whether the role found something of use in what came. It may say so after the connection has ended.
    pub(super) useful: Arc<AtomicBool>,
}

/// Why reading ended.
type End = (CloseCause, String);

impl<M: Send + 'static> Keeper<M> {
    /// Reads until the connection ends, by whichever side.
    pub(super) async fn serve(&self, id: &str, socket: Socket, inbound: Inbound) -> Result<Served, Unheard> {
        let (sink, stream) = socket.split();
        let alive = CancellationToken::new();
        // However this ends (also by a role that does not listen any more), the writer ends too.
        let _end = alive.clone().drop_guard();
        let (sender, waiting) = Sender::new(id, alive.clone());
        let writing = tokio::spawn(writer::write(sink, waiting, alive.clone(), self.options.ping_interval));
        // Kept until the end: the writer would stop without any sender.
        let kept = sender.clone();
        self.tell(Event::Opened(sender)).await?;
        let mut frames = 0;
        let (cause, reason) = self.read(&id.into(), stream, &inbound, &alive, &mut frames).await?;
        alive.cancel();
        // The writer says good-bye in bounded time. The socket closes when both halves are gone.
        let _ = writing.await;
        let (cause, reason) = match cause {
            CloseCause::Host if kept.is_overrun() => {
                (CloseCause::QueueFull, "the peer does not read: too much waits to be sent".to_owned())
            }
            _ => (cause, reason),
        };
        Ok(Served { frames, cause, reason, useful: kept.usefulness() })
    }

    async fn read(
        &self,
        connection_id: &Arc<str>,
        mut stream: SplitStream<Socket>,
        inbound: &Inbound,
        alive: &CancellationToken,
        seq: &mut u64,
    ) -> Result<End, Unheard> {
        let silence = self.options.silence_timeout;
        loop {
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok((CloseCause::Host, "stopped".to_owned())),
                () = alive.cancelled() => return Ok((CloseCause::Host, "closed by the host".to_owned())),
                read = timeout(silence, stream.next()) => read,
            };
            let at = self.clock.now();
            let message = match read {
                Err(_) => return Ok((CloseCause::Silent, format!("silent for {} ms", silence.as_millis()))),
                Ok(None) => return Ok((CloseCause::Peer, "closed by the peer".to_owned())),
                Ok(Some(Err(error))) => {
                    if let Some(cut) = cut_by(&error, inbound, connection_id, *seq, at) {
                        *seq += 1;
                        self.tell(Event::CutFrame(cut)).await?;
                    }
                    return Ok((CloseCause::Broken, one_line(&error)));
                }
                Ok(Some(Ok(message))) => message,
            };
            inbound.handed_out();
            let message = match message {
                WireMessage::Text(text) => Message::Text(text.as_str().to_owned()),
                WireMessage::Binary(bytes) => Message::Binary(bytes.into()),
                WireMessage::Close(frame) => {
                    let said = frame.map(|frame| format!(": {} {}", frame.code, frame.reason)).unwrap_or_default();
                    return Ok((CloseCause::Peer, format!("closed by the peer{said}")));
                }
                WireMessage::Ping(_) | WireMessage::Pong(_) | WireMessage::Frame(_) => continue,
            };
            let event = self.event(connection_id, *seq, at, message);
            *seq += 1;
            // Waits while the role is busy: the socket's own buffers then hold the venue back.
            let handing_over = Instant::now();
            self.tell(event).await?;
            let took = handing_over.elapsed();
            if let Some(max) = self.options.hand_over_max.filter(|max| took > *max) {
                let (took, max) = (took.as_millis(), max.as_millis());
                let reason =
                    format!("the service took a message after {took} ms (at most {max}): what follows it is old");
                return Ok((CloseCause::HeldBack, reason));
            }
        }
    }

    fn event(&self, connection_id: &Arc<str>, seq: u64, at: Timestamp, message: Message) -> Event {
        let connection_id = Arc::clone(connection_id);
        match too_long(&message, self.options.frame_bytes_max) {
            Some((beginning, length, sha256)) => Event::CutFrame(CutFrame {
                connection_id,
                seq,
                at,
                flaw: Flaw::TooLong,
                reason: format!("{length} bytes are more than {}", self.options.frame_bytes_max),
                beginning,
                length,
                sha256,
            }),
            None => Event::Frame(Frame { connection_id, seq, at, message }),
        }
    }
}

fn too_long(message: &Message, limit: usize) -> Option<(Vec<u8>, u64, String)> {
    let bytes = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
    };
    if bytes.len() <= limit {
        return None;
    }
    let beginning = bytes.get(..FRAME_BYTES_KEPT).unwrap_or(bytes).to_vec();
    Some((beginning, bytes.len() as u64, sha256_hex(bytes)))
}

/// The message that the library could not hand out, if one had started.
fn cut_by(error: &WsError, inbound: &Inbound, connection_id: &Arc<str>, seq: u64, at: Timestamp) -> Option<CutFrame> {
    use tokio_tungstenite::tungstenite::error::ProtocolError;

    let flaw = match error {
        WsError::Utf8(_) => Flaw::NotUtf8,
        WsError::Capacity(_) => Flaw::OverLimit,
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Flaw::CutOff,
        WsError::Protocol(_) => Flaw::Protocol,
        _ => Flaw::CutOff,
    };
    let captured = inbound.take_failed();
    // A connection that ends between messages cuts nothing off.
    if captured.length == 0 && flaw == Flaw::CutOff {
        return None;
    }
    Some(CutFrame {
        connection_id: Arc::clone(connection_id),
        seq,
        at,
        flaw,
        reason: one_line(error),
        sha256: captured.sha256(),
        length: captured.length,
        beginning: captured.beginning,
    })
}

fn one_line(error: &WsError) -> String {
    error.to_string().lines().collect::<Vec<_>>().join(" ")
}
