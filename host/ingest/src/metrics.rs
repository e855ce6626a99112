//! What ingest counts.

use unrip_service::metrics::{Counter, CounterBy, Gauge, Registry};

/// The counters of this role.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Received frames by how they ended: `event`, `chatter`, `unrecognised`, `cut`, `module_fault`.
    pub(crate) frames: CounterBy,
    /// Bytes of received frames.
    pub(crate) bytes: Counter,
    /// Chatter by kind.
    pub(crate) chatter: CounterBy,
    /// Raw events by stream.
    pub(crate) events: CounterBy,
    /// Dead letters by reason.
    pub(crate) dead: CounterBy,
    /// Connections that opened.
    pub(crate) connects: Counter,
    /// Attempts to connect that failed.
    pub(crate) refused: Counter,
    /// Connections that closed, by cause.
    pub(crate) closed: CounterBy,
    /// Connections that are open.
    pub(crate) open: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            frames: registry.counter_by("unrip_frames_total", "Received frames, by how they ended.", "ending"),
            bytes: registry.counter("unrip_frame_bytes_total", "Bytes of received frames."),
            chatter: registry.counter_by(
                "unrip_chatter_frames_total",
                "Frames that the module knows, by kind.",
                "kind",
            ),
            events: registry.counter_by("unrip_raw_events_total", "Raw events, by stream.", "stream"),
            dead: registry.counter_by("unrip_dead_letters_total", "Dead letters, by reason.", "reason"),
            connects: registry.counter("unrip_connections_opened_total", "Websockets that opened."),
            refused: registry.counter("unrip_connections_refused_total", "Attempts to open a websocket that failed."),
            closed: registry.counter_by("unrip_connections_closed_total", "Websockets that closed.", "cause"),
            open: registry.gauge("unrip_open_connections", "Websockets that are open."),
        }
    }
}
