//! The reading half of one connection: numbers frames, stamps them, and never drops one.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WireMessage};
use tokio_util::sync::CancellationToken;
use unrip_core::id::sha256_hex;

use super::connect::Socket;
use super::tap::Inbound;
use super::writer::{self, Sender};
use super::{CutFrame, Event, Flaw, Frame, Keeper, Message, Unheard};
use crate::dead_letter::FRAME_BYTES_KEPT;

impl Keeper {
    /// Reads until the connection ends, by whichever side. How many messages came, and why it ended.
    pub(super) async fn serve(&self, id: &str, socket: Socket, inbound: Inbound) -> Result<(u64, String), Unheard> {
        let (sink, mut stream) = socket.split();
        let alive = CancellationToken::new();
        // However this ends (also by a role that does not listen any more), the writer ends too.
        let _end = alive.clone().drop_guard();
        let (sender, waiting) = Sender::new(id, alive.clone());
        let writing = tokio::spawn(writer::write(sink, waiting, alive.clone(), self.options.ping_interval));
        // Kept until the end: the writer would stop without any sender.
        let _sender = sender.clone();
        self.tell(Event::Opened(sender)).await?;
        let connection_id: Arc<str> = id.into();
        let mut seq = 0;
        let reason = loop {
            let silence = self.options.silence_timeout;
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => break "stopped".to_owned(),
                () = alive.cancelled() => break "closed by the host".to_owned(),
                read = timeout(silence, stream.next()) => read,
            };
            let at = self.clock.now();
            let message = match read {
                Err(_) => break format!("silent for {} ms", silence.as_millis()),
                Ok(None) => break "closed by the peer".to_owned(),
                Ok(Some(Err(error))) => {
                    if let Some(cut) = cut_by(&error, &inbound, &connection_id, seq, at) {
                        seq += 1;
                        self.tell(Event::CutFrame(cut)).await?;
                    }
                    break one_line(&error);
                }
                Ok(Some(Ok(message))) => message,
            };
            inbound.handed_out();
            let message = match message {
                WireMessage::Text(text) => Message::Text(text.as_str().to_owned()),
                WireMessage::Binary(bytes) => Message::Binary(bytes.into()),
                WireMessage::Close(frame) => {
                    break match frame {
                        Some(frame) => format!("closed by the peer: {} {}", frame.code, frame.reason),
                        None => "closed by the peer".to_owned(),
                    };
                }
                WireMessage::Ping(_) | WireMessage::Pong(_) | WireMessage::Frame(_) => continue,
            };
            let event = match too_long(&message, self.options.frame_bytes_max) {
                Some((beginning, length, sha256)) => Event::CutFrame(CutFrame {
                    connection_id: Arc::clone(&connection_id),
                    seq,
                    at,
                    flaw: Flaw::TooLong,
                    reason: format!("{length} bytes are more than {}", self.options.frame_bytes_max),
                    beginning,
                    length,
                    sha256,
                }),
                None => Event::Frame(Frame { connection_id: Arc::clone(&connection_id), seq, at, message }),
            };
            seq += 1;
            // Waits while the role is busy: the socket's own buffers then hold the venue back.
            self.tell(event).await?;
        };
        alive.cancel();
        // The writer says good-bye in bounded time. The socket closes when both halves are gone.
        let _ = writing.await;
        Ok((seq, reason))
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

/// The message that the library could not hand out, if one had begun.
fn cut_by(
    error: &WsError,
    inbound: &Inbound,
    connection_id: &Arc<str>,
    seq: u64,
    at: unrip_core::Timestamp,
) -> Option<CutFrame> {
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
