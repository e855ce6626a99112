//! The writing half of one connection.
//!
//! What is sent once only is sent here: the writer waits until everything before has left, asks the gate, hands the
//! bytes over and flushes them. Nothing is queued beyond a connection's life, nothing is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Sink, SinkExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WireMessage};
use tokio_util::sync::CancellationToken;

use super::Message;

/// How long bytes may take to leave for the socket, in milliseconds. What takes longer breaks the connection.
pub const FLUSH_TIMEOUT_MS: u64 = 5_000;
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages that may wait for the socket; the next sender waits.
const WAITING_MAX: usize = 64;

/// Bytes that [`Sender::queue`] lets wait on one connection; a longer message may wait alone.
pub const QUEUED_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Decides at the last moment, when the socket is ready, whether something is sent, and what. It must not block.
pub type Gate = Box<dyn FnOnce() -> Option<Message> + Send>;

/// What became of a gated send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The gate was asked and said no: no byte left.
    Refused,
    /// The bytes were handed to the socket and flushed.
    Sent,
    /// The connection was gone or not ready: the gate was never asked, no byte left.
    NotHanded(String),
    /// The gate said yes and the bytes may have left, wholly or in part. The connection is closed.
    Broken(String),
}

/// Sends on one connection. It belongs to that connection alone: after a reconnect there is a new one, and this one
/// answers `NotHanded`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    connection_id: Arc<str>,
    commands: mpsc::Sender<Command>,
    alive: CancellationToken,
    /// Bytes that wait in the queue.
    queued: Arc<AtomicUsize>,
    overrun: Arc<AtomicBool>,
    useful: Arc<AtomicBool>,
}

pub(super) struct Command {
    gate: Gate,
    handed: fn(),
    asked: Arc<AtomicBool>,
    /// None where no one waits for the outcome.
    reply: Option<oneshot::Sender<SendOutcome>>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

impl Sender {
    pub(super) fn new(connection_id: &str, alive: CancellationToken) -> (Self, mpsc::Receiver<Command>) {
        let (commands, waiting) = mpsc::channel(WAITING_MAX);
        let (queued, overrun, useful) = Default::default();
        (Self { connection_id: connection_id.into(), commands, alive, queued, overrun, useful }, waiting)
    }

    /// The connection that this sender belongs to.
    pub fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// Whether the connection is still open, as far as is known.
    pub fn is_open(&self) -> bool {
        !self.alive.is_cancelled()
    }

    /// Closes the connection; the host opens it again.
    pub fn close(&self) {
        self.alive.cancel();
    }

    /// Says that this connection brought something of use, an event or an answer: the next reconnect does not wait long.
    pub fn mark_useful(&self) {
        self.useful.store(true, Ordering::Relaxed);
    }

    pub(super) fn usefulness(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.useful)
    }

    pub(super) fn is_overrun(&self) -> bool {
        self.overrun.load(Ordering::Relaxed)
    }

    /// Lets a message wait for its turn, without waiting here. A peer that does not read closes its own connection:
    /// when too much waits already, it is closed.
    ///
    /// # Errors
    /// The connection is closed, or is closed now because too much waits.
    pub fn queue(&self, message: Message) -> Result<(), String> {
        let bytes = match &message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        };
        if !self.is_open() {
            return Err("the connection is closed".to_owned());
        }
        let before = self.queued.fetch_add(bytes, Ordering::Relaxed);
        let queued = Arc::clone(&self.queued);
        let gate = Box::new(move || {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            Some(message)
        });
        let fits = before == 0 || before.saturating_add(bytes) <= QUEUED_BYTES_MAX;
        let command = Command { gate, handed: || (), asked: Arc::default(), reply: None };
        match fits.then(|| self.commands.try_send(command)) {
            Some(Ok(())) => Ok(()),
            Some(Err(mpsc::error::TrySendError::Closed(_))) => Err("the connection is closed".to_owned()),
            Some(Err(mpsc::error::TrySendError::Full(_))) | None => {
                self.overrun.store(true, Ordering::Relaxed);
                self.alive.cancel();
                Err(format!("more than {WAITING_MAX} messages or {QUEUED_BYTES_MAX} bytes wait to be sent; closing it"))
            }
        }
    }

    /// Sends what the gate gives, at most once, when everything before it has left.
    ///
    /// # Cancel safety
    /// Dropped before the gate was asked, the gate is not asked any more. Dropped later, the send continues and its
    /// outcome is lost: keep in the gate's own state that it was asked.
    pub async fn send_gated(&self, gate: Gate) -> SendOutcome {
        self.send_watched(gate, || ()).await
    }

    /// As [`Sender::send_gated`]; `handed` is called between the hand-over to the socket and the flush.
    pub async fn send_watched(&self, gate: Gate, handed: fn()) -> SendOutcome {
        let gone = || SendOutcome::NotHanded("the connection is closed".to_owned());
        let asked = Arc::new(AtomicBool::new(false));
        let (reply, outcome) = oneshot::channel();
        let command = Command { gate, handed, asked: Arc::clone(&asked), reply: Some(reply) };
        tokio::select! {
            biased;
            () = self.alive.cancelled() => return gone(),
            sent = self.commands.send(command) => if sent.is_err() { return gone() },
        }
        match outcome.await {
            Ok(outcome) => outcome,
            // The writer ended with the command in hand or in its queue; the gate itself knows which.
            Err(_) if asked.load(Ordering::SeqCst) => SendOutcome::Broken("the writer ended".to_owned()),
            Err(_) => gone(),
        }
    }

    /// Sends a message; the error says why it did not leave, or not surely.
    ///
    /// # Errors
    /// The connection is gone or broke.
    pub async fn send(&self, message: Message) -> Result<(), String> {
        match self.send_gated(Box::new(move || Some(message))).await {
            SendOutcome::Sent => Ok(()),
            SendOutcome::Refused => Err("refused".to_owned()),
            SendOutcome::NotHanded(reason) | SendOutcome::Broken(reason) => Err(reason),
        }
    }
}

/// Writes until the connection ends, by whichever side.
pub(super) async fn write<S>(
    mut sink: S,
    mut waiting: mpsc::Receiver<Command>,
    alive: CancellationToken,
    ping_interval: Duration,
) where
    S: Sink<WireMessage, Error = WsError> + Unpin,
{
    // However this ends, the reader must not continue alone.
    let _end = alive.clone().drop_guard();
    let mut ping = interval_at(Instant::now() + ping_interval, ping_interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            biased;
            () = alive.cancelled() => break,
            command = waiting.recv() => match command {
                Some(command) => deliver(&mut sink, command, &alive).await,
                None => break,
            },
            _ = ping.tick() => within(&alive, sink.send(WireMessage::Ping(Default::default()))).await,
        };
        if let Err(reason) = written {
            tracing::warn!(reason, "websocket broke while writing");
            // No farewell: flushing now could still send what was reported as broken.
            return;
        }
    }
    let _ = timeout(CLOSE_TIMEOUT, sink.close()).await;
}

/// One gated send. An error means that the connection cannot be used any more.
async fn deliver<S>(sink: &mut S, command: Command, alive: &CancellationToken) -> Result<(), String>
where
    S: Sink<WireMessage, Error = WsError> + Unpin,
{
    let Command { gate, handed, asked, reply } = command;
    // A dropped reply means that the caller does not wait any more: its outcome has no reader.
    let tell = |reply: Option<oneshot::Sender<SendOutcome>>, outcome| drop(reply.map(|reply| reply.send(outcome)));
    if let Err(reason) = within(alive, sink.flush()).await {
        tell(reply, SendOutcome::NotHanded(reason.clone()));
        return Err(reason);
    }
    if alive.is_cancelled() || reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
        tell(reply, SendOutcome::NotHanded("the connection is closed".to_owned()));
        return Ok(());
    }
    asked.store(true, Ordering::SeqCst);
    let Some(message) = gate() else {
        tell(reply, SendOutcome::Refused);
        return Ok(());
    };
    let hand_over = async {
        sink.feed(super::wire(message)).await?;
        handed();
        sink.flush().await
    };
    let sent = within(alive, hand_over).await;
    tell(reply, sent.clone().map_or_else(SendOutcome::Broken, |()| SendOutcome::Sent));
    sent
}

/// Bounded by [`FLUSH_TIMEOUT_MS`] and by the connection's life.
async fn within(alive: &CancellationToken, writing: impl Future<Output = Result<(), WsError>>) -> Result<(), String> {
    tokio::select! {
        // What is already flushed is flushed, even if the peer closes in the same moment.
        biased;
        written = timeout(Duration::from_millis(FLUSH_TIMEOUT_MS), writing) => match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("bytes did not leave within {FLUSH_TIMEOUT_MS} ms")),
        },
        () = alive.cancelled() => Err("the connection closed while writing".to_owned()),
    }
}
