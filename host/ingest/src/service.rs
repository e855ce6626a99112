//! The loop: one event after another goes to the module, and what it wants is done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use unrip_core::Timestamp;
use unrip_engine::ingestor::{Effect, Event};
use unrip_engine::{Fault, FaultKind};
use unrip_service::BusWatch;
use unrip_service::repeats::Repeats;
use unrip_service::{Condition, Context, RunError};

use crate::config::{IngestConfig, IngestSection};
use crate::connections::{Connections, Input, Opened};
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::outbox::Outbox;
use crate::records::{Bury, Maker};
use crate::timers::Timers;

/// How long what was read before the end may take to be processed.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs until the context's token is cancelled: then what was read is written and acknowledged.
///
/// # Errors
/// The module cannot be used (78), the configuration cannot be used (64), no broker in `service.start_timeout_ms`, or
/// what was read could not be written at the end (69).
pub async fn run(config: IngestConfig, context: Context) -> Result<(), RunError> {
    let connected = context.health.condition("connection", "waiting for the broker");
    let metrics = Metrics::new(&context.metrics);
    let watch = BusWatch::start(&config.bus, &context.health, &context.shutdown);
    let module = Module::start(&config, &context).await?;
    // Without a broker nothing is read: an unwritten frame would be lost with this process.
    if !watch.reached_at_start(config.service.start_timeout_ms).await? {
        return Ok(());
    }
    let venue = config.service.venue.clone();
    let maker = Maker { venue, streams: config.ingest.streams.clone(), ids: context.ids.clone() };
    let repeats = Repeats::default();
    let (clock, dead) = (context.clock.clone(), metrics.dead.clone());
    let bury = Bury { maker: maker.clone(), clock, dead, repeats: repeats.clone() };
    let outbox = Outbox::new(&config.bus, &watch, bury, &context)?;
    let (connections, inputs) = Connections::new(&config, &context)?;
    let http_id = context.ids.connection_id(context.clock.now()).into();
    let faults = Faults::new(&config.ingest);
    let ingest = config.ingest;
    let timers = Timers::default();
    let responses = (http_id, 0);
    let (pending, last_now) = (VecDeque::new(), Timestamp::from_micros(0));
    Service {
        ingest,
        context,
        module,
        maker,
        outbox,
        connections,
        timers,
        metrics,
        connected,
        faults,
        responses,
        pending,
        repeats,
        last_now,
    }
    .go(inputs)
    .await
}

pub(crate) struct Service {
    pub(crate) ingest: IngestSection,
    pub(crate) context: Context,
    pub(crate) module: Module,
    pub(crate) maker: Maker,
    pub(crate) outbox: Outbox,
    pub(crate) connections: Connections,
    pub(crate) timers: Timers,
    pub(crate) metrics: Metrics,
    pub(crate) connected: Condition,
    faults: Faults,
    /// HTTP responses count as one connection: its id and the next number.
    pub(crate) responses: (Arc<str>, u64),
    /// Events that the host itself owes the module: connections that its new instance adopted.
    pending: VecDeque<Event>,
    /// Lines that hostile frames or a broken module could repeat without end.
    pub(crate) repeats: Repeats,
    /// The latest time that the module was given.
    last_now: Timestamp,
}

impl Service {
    async fn go(mut self, mut inputs: mpsc::Receiver<Input>) -> Result<(), RunError> {
        let shutdown = self.context.shutdown.clone();
        self.connected.missing("connecting");
        self.context.health.started();
        self.start().await?;
        loop {
            self.settle().await?;
            self.show_readiness();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                timer = self.timers.next() => {
                    self.plain(Event::Timer(timer), None).await?;
                    self.settle().await?;
                    // In turn: timers that are due again and again must not keep what came by the sockets waiting.
                    if let Ok(input) = inputs.try_recv() {
                        self.input(input).await?;
                    }
                }
                Some(input) = inputs.recv() => self.input(input).await?,
            }
        }
        self.connected.missing("stopping");
        self.connections.stop();
        self.timers.clear();
        self.pending.clear();
        let drain = async {
            while let Some(input) = inputs.recv().await {
                self.input(input).await?;
            }
            Ok::<(), RunError>(())
        };
        let drained = tokio::time::timeout(DRAIN, drain).await;
        self.outbox.finish(Duration::from_millis(self.ingest.flush_timeout_ms)).await?;
        drained.unwrap_or_else(|_| {
            Err(RunError::Unavailable(format!("frames read last were not processed within {DRAIN:?}; they are lost")))
        })
    }

    /// Starts with a fresh instance. A connection that it wants and that is open already is its own from now on.
    async fn start(&mut self) -> Result<(), RunError> {
        let now = self.module_now(self.now());
        let (_, effects) = self.module.handle(Event::Started, now).await?;
        let effects = effects.map_err(|fault| RunError::Module(format!("it fails on `started`: {fault}")))?;
        for effect in effects {
            self.apply(effect);
        }
        self.connections.close_orphans();
        Ok(())
    }

    /// Gives the module what the host owes it.
    async fn settle(&mut self) -> Result<(), RunError> {
        while let Some(event) = self.pending.pop_front() {
            let culprit = match &event {
                Event::Opened(name) => Some(name.clone()),
                _ => None,
            };
            self.plain(event, culprit.as_deref()).await?;
        }
        Ok(())
    }

    /// Does what is not about something received.
    pub(crate) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Connect(connect) => {
                let name = connect.connection.clone();
                match self.connections.open(connect) {
                    Ok(Opened::Later) => {}
                    Ok(Opened::Adopted) => self.pending.push_back(Event::Opened(name)),
                    Err(reason) => self.breach(&reason),
                }
            }
            Effect::Send((name, message)) => self.connections.send(&name, message),
            Effect::Http((id, request)) => self.connections.request(id, request),
            Effect::Close(name) => self.connections.reopen(&name),
            Effect::Timer((name, ms)) => {
                if let Err(reason) = self.timers.set(name, ms) {
                    self.breach(&reason);
                }
            }
            Effect::Emit(_) | Effect::Chatter(_) | Effect::Unrecognised(_) => {
                self.breach("it sorts a frame where there is none");
            }
        }
    }

    /// The module asked for something that it may not have. It is not done; nothing else changes.
    fn breach(&self, reason: &str) {
        self.module.breached();
        if let Some(unlogged) = self.repeats.note("breach", std::time::Instant::now()) {
            tracing::error!(reason, unlogged, "the module broke its contract; its request is ignored");
        }
    }

    /// The instance is gone, and so is what it knew. The new one adopts the open connections, unless faults follow each
    /// other: then `culprit`, the connection that brought the fault (all of them if unknown), is closed for a while.
    pub(crate) async fn fault(&mut self, fault: Fault, culprit: Option<&str>) -> Result<(), RunError> {
        if fault.kind == FaultKind::Rebuild {
            return Err(RunError::Module(fault.to_string()));
        }
        let ids = self.context.ids.clone();
        let wait = self.faults.next(Instant::now(), 1.0);
        let closed_ms = wait.map(|wait| wait.as_millis() as u64);
        tracing::error!(%fault, culprit, closed_ms, "the module failed; a new instance takes over its connections");
        self.connections.orphan(culprit, wait, || ids.fraction());
        self.timers.clear();
        self.pending.clear();
        self.start().await
    }

    fn show_readiness(&self) {
        let (open, wanted) = self.connections.open_of();
        self.metrics.open.set(open as i64);
        if open == wanted {
            self.connected.met();
        } else {
            self.connected.waiting(&format!("{open} of {wanted} connections are open"));
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// The time that the module is given: a frame's arrival may lie before a timer that fired meanwhile, and the machine's
    /// clock may be set back, but the module's time never runs backwards. Records keep the arrival.
    pub(crate) fn module_now(&mut self, now: Timestamp) -> Timestamp {
        self.last_now = self.last_now.max(now);
        self.last_now
    }
}
