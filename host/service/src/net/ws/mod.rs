//! A websocket that is kept open: TLS, headers, ping, silence timeout, and reconnects without limit.
//!
//! Each connect makes a new connection with its own id, frame numbers and [`Sender`]; nothing is carried over.

mod connect;
mod reader;
mod tap;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message as WireMessage;
use tokio_util::sync::CancellationToken;
use unrip_core::Timestamp;

pub use super::Message;
use super::credentials::Credentials;
use super::{Header, configured_headers};
use crate::backoff::{Backoff, Ended};
use crate::clock::Clock;
use crate::config::Endpoint;
use crate::ids::Ids;
pub use writer::{FLUSH_TIMEOUT_MS, Gate, QUEUED_BYTES_MAX, SendOutcome, Sender};

/// Events that may wait for the role; the next one holds the socket's reading, so that nothing is dropped.
const EVENTS_WAITING_MAX: usize = 64;

/// The longest wait before a reconnect of a socket that trades, where the endpoint does not say: while it is closed,
/// commands expire.
const TRADING_RECONNECT_MAX: Duration = Duration::from_secs(5);

/// How a connection is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the host pings.
    pub ping_interval: Duration,
    /// Without any frame, ping or pong for this long the connection counts as dead.
    pub silence_timeout: Duration,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// How long to wait before the first connect.
    pub open_after: Duration,
    /// The shortest wait before a reconnect; how it grows is the rule of [`crate::backoff`].
    pub reconnect_min: Duration,
    /// The longest wait before a reconnect.
    pub reconnect_max: Duration,
    /// When handing over one message took longer, what waits in the socket would be stamped as if it were fresh: the
    /// connection is closed, because reconnecting is the honest state. Without a bound it is never closed for that.
    pub hand_over_max: Option<Duration>,
    /// A longer message closes the connection, which is opened again.
    pub message_bytes_max: usize,
    /// Of a longer message only the beginning is handed out, with length and hash of the whole.
    pub frame_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(20),
            // Two pings and a half without an answer.
            silence_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(30),
            open_after: Duration::ZERO,
            hand_over_max: None,
            reconnect_min: Duration::from_secs(1),
            reconnect_max: Duration::from_secs(60),
            message_bytes_max: 16 * 1_024 * 1_024,
            frame_bytes_max: 512 * 1_024,
        }
    }
}

impl Options {
    /// What the endpoint says, defaults elsewhere.
    pub fn of(endpoint: &Endpoint) -> Self {
        let default = Self::default();
        // An interval of zero would spin.
        let millis = |value: Option<u64>, or| value.map_or(or, |value| Duration::from_millis(value.max(1)));
        let reconnect_min = millis(endpoint.reconnect_ms_min, default.reconnect_min);
        Self {
            ping_interval: millis(endpoint.ping_interval_ms, default.ping_interval),
            silence_timeout: millis(endpoint.silence_timeout_ms, default.silence_timeout),
            connect_timeout: millis(endpoint.connect_timeout_ms, default.connect_timeout),
            reconnect_min,
            reconnect_max: millis(endpoint.reconnect_ms_max, default.reconnect_max).max(reconnect_min),
            message_bytes_max: endpoint.message_bytes_max.unwrap_or(default.message_bytes_max),
            ..default
        }
    }

    /// As [`Options::of`], for a socket that trades: it is never long away unless the endpoint says so.
    pub fn trading(endpoint: &Endpoint) -> Self {
        let options = Self::of(endpoint);
        let short = options.reconnect_max.min(TRADING_RECONNECT_MAX).max(options.reconnect_min);
        Self { reconnect_max: endpoint.reconnect_ms_max.map_or(short, |_| options.reconnect_max), ..options }
    }
}

/// Where to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint's URL.
    pub url: String,
    /// Appended to it: empty, or from `/` or `?` on.
    pub path: String,
    /// Headers of the configuration.
    pub configured: Vec<Header>,
    /// Headers of the module.
    pub headers: Vec<Header>,
}

impl Target {
    /// A path below an endpoint, with the endpoint's headers and the module's own.
    pub fn new(endpoint: &Endpoint, path: &str, headers: &[Header]) -> Self {
        let (url, path, headers) = (endpoint.url.clone(), path.to_owned(), headers.to_vec());
        Self { url, path, configured: configured_headers(endpoint), headers }
    }
}

/// What happened on a connection, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection is open; this sends on it.
    Opened(Sender),
    /// A message came.
    Frame(Frame),
    /// A message came that cannot be handed out whole.
    CutFrame(CutFrame),
    /// The connection is gone; the host reconnects by itself.
    Closed {
        /// Which one.
        connection_id: String,
        /// Why, as a metric's label.
        cause: CloseCause,
        /// Why, for people.
        reason: String,
    },
    /// An attempt to open it failed; the host tries again by itself.
    Unopened {
        /// Why, and the cure where there is one.
        reason: String,
    },
}

/// Who or what ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The venue.
    Peer,
    /// The role, by [`Sender::close`] or because it stops.
    Host,
    /// Nothing came for too long.
    Silent,
    /// The socket or the protocol broke.
    Broken,
    /// The peer did not read: too much waited to be sent.
    QueueFull,
    /// The role did not take a message in time: what waits behind it is old.
    HeldBack,
}

impl CloseCause {
    /// As a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Host => "host",
            Self::Silent => "silent",
            Self::Broken => "broken",
            Self::QueueFull => "queue_full",
            Self::HeldBack => "held_back",
        }
    }
}

/// A received message.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The connection it came by.
    pub connection_id: Arc<str>,
    /// Its number in the connection, from 0.
    pub seq: u64,
    /// When it reached the host.
    pub at: Timestamp,
    /// What came.
    pub message: Message,
}

/// A received message of which only the beginning is known, or that broke the protocol.
#[derive(Clone, Debug)]
pub struct CutFrame {
    /// The connection it came by.
    pub connection_id: Arc<str>,
    /// Its number in the connection, from 0.
    pub seq: u64,
    /// When it reached the host.
    pub at: Timestamp,
    /// Why it is not a [`Frame`].
    pub flaw: Flaw,
    /// The flaw for people.
    pub reason: String,
    /// The first 64 KiB of what came.
    pub beginning: Vec<u8>,
    /// Length of what came.
    pub length: u64,
    /// SHA-256 of what came, lower-case hex.
    pub sha256: String,
}

/// Why a message is not handed out as a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Longer than `frame_bytes_max`; the connection stays open.
    TooLong,
    /// Longer than the websocket's own limit: only what came before the connection was closed is known.
    OverLimit,
    /// A text that is not UTF-8; the connection was closed.
    NotUtf8,
    /// Against the websocket protocol; the connection was closed.
    Protocol,
    /// The connection ended in the middle of it.
    CutOff,
}

impl Flaw {
    /// As a reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "frame_too_long",
            Self::OverLimit => "message_over_limit",
            Self::NotUtf8 => "not_utf8",
            Self::Protocol => "protocol_error",
            Self::CutOff => "cut_off",
        }
    }
}

/// A websocket that is kept open until it is dropped or the token is cancelled.
#[derive(Debug)]
pub struct Connection {
    events: mpsc::Receiver<Event>,
    stop: tokio_util::sync::DropGuard,
}

impl Connection {
    /// Opens and keeps a websocket; returns at once.
    pub fn keep(
        target: Target,
        credentials: Credentials,
        options: Options,
        clock: Arc<dyn Clock>,
        ids: Ids,
        shutdown: &CancellationToken,
    ) -> Self {
        let (events, queue) = mpsc::channel(EVENTS_WAITING_MAX);
        let stop = shutdown.child_token();
        let listener = Listener { events, tag: Box::new(|event| event) };
        let backoff = Backoff::new(options.reconnect_min, options.reconnect_max);
        let keeper = Keeper { target, credentials, options, backoff, clock, ids, stop: stop.clone(), listener };
        tokio::spawn(keeper.run());
        Self { events: queue, stop: stop.drop_guard() }
    }

    /// The next event; none after the connection was stopped.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Stops for good: says good-bye, and hands out what was read before, then nothing more.
    pub fn stop(self) -> mpsc::Receiver<Event> {
        drop(self.stop);
        self.events
    }
}

/// Where events go, for a role that keeps several connections and listens to all of them in one place.
pub struct Listener<M> {
    /// The role's queue. A full one holds the socket's reading back, so that nothing is dropped.
    pub events: mpsc::Sender<M>,
    /// Says which connection an event is of.
    pub tag: Box<dyn Fn(Event) -> M + Send + Sync>,
}

impl<M> std::fmt::Debug for Listener<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// Opens and keeps a websocket until `stop` is cancelled; returns at once. Its events go to `listener`.
pub fn keep<M: Send + 'static>(
    target: Target,
    credentials: Credentials,
    options: Options,
    clock: Arc<dyn Clock>,
    ids: Ids,
    stop: CancellationToken,
    listener: Listener<M>,
) {
    let backoff = Backoff::new(options.reconnect_min, options.reconnect_max);
    tokio::spawn(Keeper { target, credentials, options, backoff, clock, ids, stop, listener }.run());
}

struct Keeper<M> {
    target: Target,
    credentials: Credentials,
    options: Options,
    clock: Arc<dyn Clock>,
    ids: Ids,
    stop: CancellationToken,
    backoff: Backoff,
    listener: Listener<M>,
}

/// The role does not listen any more.
struct Unheard;

/// What a connection was good for.
#[derive(Default)]
struct Life {
    life: Duration,
    useful: Arc<AtomicBool>,
}

impl<M: Send + 'static> Keeper<M> {
    async fn run(mut self) {
        let mut wait = self.options.open_after;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let Ok(ended) = self.once().await else { return };
            // What was read last may still be with the role: whether it was of use shows after the shortest wait.
            let least = self.options.reconnect_min / 2;
            if self.stop.run_until_cancelled(tokio::time::sleep(least)).await.is_none() {
                return;
            }
            let ended = Ended::after(ended.life, ended.useful.load(Ordering::Relaxed));
            wait = self.backoff.next(ended, self.ids.fraction()).saturating_sub(least);
        }
    }

    /// One connection from open to closed, and how it ended.
    async fn once(&self) -> Result<Life, Unheard> {
        let opened = tokio::select! {
            () = self.stop.cancelled() => return Ok(Life::default()),
            opened = connect::open(&self.target, &self.credentials, &self.options) => opened,
        };
        let (socket, inbound) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                tracing::warn!(reason, "cannot open the websocket; retrying");
                return self.tell(Event::Unopened { reason }).await.map(|()| Life::default());
            }
        };
        let since = Instant::now();
        let connection_id = self.ids.connection_id(self.clock.now());
        tracing::info!(connection_id, "websocket is open");
        let served = self.serve(&connection_id, socket, inbound).await?;
        let (frames, reason, cause) = (served.frames, served.reason, served.cause);
        tracing::info!(connection_id, frames, reason, cause = cause.as_str(), "websocket is closed");
        self.tell(Event::Closed { connection_id, cause, reason }).await?;
        Ok(Life { life: since.elapsed(), useful: served.useful })
    }

    async fn tell(&self, event: Event) -> Result<(), Unheard> {
        self.listener.events.send((self.listener.tag)(event)).await.map_err(|_| Unheard)
    }
}

fn wire(message: Message) -> WireMessage {
    match message {
        Message::Text(text) => WireMessage::text(text),
        Message::Binary(bytes) => WireMessage::binary(bytes),
    }
}

#[cfg(test)]
mod tests;
