//! A websocket that is kept open: TLS, headers, ping, silence timeout, and reconnects without limit.
//!
//! Each connect makes a new connection with its own id, frame numbers and [`Sender`]; nothing is carried over.

mod connect;
mod reader;
mod tap;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message as WireMessage;
use tokio_util::sync::CancellationToken;
use unrip_core::Timestamp;

pub use super::Message;
use super::credentials::Credentials;
use super::{Header, all_headers};
use crate::clock::Clock;
use crate::config::Endpoint;
use crate::ids::Ids;
pub use writer::{FLUSH_TIMEOUT_MS, Gate, SendOutcome, Sender};

/// Events that may wait for the role; the next one holds the socket's reading, so that nothing is dropped.
const EVENTS_WAITING_MAX: usize = 64;

/// How a connection is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the host pings.
    pub ping_interval: Duration,
    /// Without any frame, ping or pong for so long the connection counts as dead.
    pub silence_timeout: Duration,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// The first wait before a reconnect; it doubles.
    pub reconnect_min: Duration,
    /// The longest wait before a reconnect.
    pub reconnect_max: Duration,
    /// A longer message closes the connection, which is opened anew.
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
        let reconnect_min = millis(endpoint.reconnect_min_ms, default.reconnect_min);
        Self {
            ping_interval: millis(endpoint.ping_interval_ms, default.ping_interval),
            silence_timeout: millis(endpoint.silence_timeout_ms, default.silence_timeout),
            connect_timeout: millis(endpoint.connect_timeout_ms, default.connect_timeout),
            reconnect_min,
            reconnect_max: millis(endpoint.reconnect_max_ms, default.reconnect_max).max(reconnect_min),
            message_bytes_max: endpoint.message_bytes_max.unwrap_or(default.message_bytes_max),
            frame_bytes_max: default.frame_bytes_max,
        }
    }
}

/// Where to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint's URL.
    pub url: String,
    /// Appended to it: empty, or from `/` or `?` on.
    pub path: String,
    /// Headers of the handshake.
    pub headers: Vec<Header>,
}

impl Target {
    /// A path below an endpoint, with the endpoint's headers and the module's own.
    pub fn new(endpoint: &Endpoint, path: &str, headers: &[Header]) -> Self {
        Self { url: endpoint.url.clone(), path: path.to_owned(), headers: all_headers(endpoint, headers) }
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
        /// Why.
        reason: String,
    },
    /// An attempt to open it failed; the host tries again by itself.
    Unopened {
        /// Why, and the cure where there is one.
        reason: String,
    },
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
    /// Longer than `frame_bytes_max`; the connection goes on.
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
        let (tell, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let stop = shutdown.child_token();
        let keeper = Keeper { target, credentials, options, clock, ids, stop: stop.clone(), tell };
        tokio::spawn(keeper.run());
        Self { events, stop: stop.drop_guard() }
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

struct Keeper {
    target: Target,
    credentials: Credentials,
    options: Options,
    clock: Arc<dyn Clock>,
    ids: Ids,
    stop: CancellationToken,
    tell: mpsc::Sender<Event>,
}

/// The role does not listen any more.
struct Unheard;

impl Keeper {
    async fn run(self) {
        let mut attempts = 0;
        while !self.stop.is_cancelled() {
            let good = match self.once().await {
                Ok(good) => good,
                Err(Unheard) => return,
            };
            attempts = if good { 0 } else { attempts + 1 };
            let wait = backoff(&self.options, attempts, self.ids.fraction());
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection from open to closed. Whether it was of use: then the next attempt waits only a little.
    async fn once(&self) -> Result<bool, Unheard> {
        let opened = tokio::select! {
            () = self.stop.cancelled() => return Ok(false),
            opened = connect::open(&self.target, &self.credentials, &self.options) => opened,
        };
        let (socket, inbound) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                tracing::warn!(reason, "websocket cannot be opened");
                return self.tell(Event::Unopened { reason }).await.map(|()| false);
            }
        };
        let since = Instant::now();
        let connection_id = self.ids.connection_id(self.clock.now());
        tracing::info!(connection_id, "websocket is open");
        let (frames, reason) = self.serve(&connection_id, socket, inbound).await?;
        tracing::info!(connection_id, frames, reason, "websocket is closed");
        self.tell(Event::Closed { connection_id, reason }).await?;
        // A peer that closes at once, or without a word, is not asked every second.
        Ok(frames > 0 && since.elapsed() >= self.options.reconnect_min)
    }

    async fn tell(&self, event: Event) -> Result<(), Unheard> {
        self.tell.send(event).await.map_err(|_| Unheard)
    }
}

/// How long to wait before attempt `attempts` after the last good one: doubling, from half to all of it at random.
fn backoff(options: &Options, attempts: u32, fraction: f64) -> Duration {
    let doubled = options.reconnect_min.saturating_mul(2u32.saturating_pow(attempts.saturating_sub(1)));
    doubled.min(options.reconnect_max).mul_f64(0.5 + fraction / 2.0)
}

fn wire(message: Message) -> WireMessage {
    match message {
        Message::Text(text) => WireMessage::text(text),
        Message::Binary(bytes) => WireMessage::binary(bytes),
    }
}

#[cfg(test)]
mod tests;
