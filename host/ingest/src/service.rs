//! The loop: one event after another goes to the module, and what it wants is done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use unrip_core::Timestamp;
use unrip_engine::ingestor::{Effect, Event, Frame as FrameEvent};
use unrip_engine::{Fault, FaultKind};
use unrip_service::BusWatch;
use unrip_service::dead_letter::Reason;
use unrip_service::net::ws::{self, CutFrame, Frame};
use unrip_service::net::{HttpResponse, Message};
use unrip_service::{Condition, Context, RunError};

use crate::config::{IngestConfig, IngestSection};
use crate::connections::{Connections, Input};
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::module::Module;
use crate::outbox::Outbox;
use crate::records::{Bury, Maker, Received};
use crate::timers::Timers;

/// How long what was read before the end may take to be worked through.
const DRAIN: Duration = Duration::from_secs(5);
/// Reason code of a frame on which the module failed.
const MODULE_FAULT: &str = "module_fault";
/// Reason code of a frame that the module does not know.
const UNRECOGNISED: &str = "unrecognised";

/// Runs until the context's token is cancelled: then what was read is written and acknowledged.
///
/// # Errors
/// The module cannot be used (78), the configuration cannot be used (64), no broker in `service.start_timeout_ms`, or
/// what was read could not be written at the end (69).
pub async fn run(config: IngestConfig, context: Context) -> Result<(), RunError> {
    let loaded = context.health.condition("module", "loading");
    let connected = context.health.condition("connection", "waiting for the broker");
    let metrics = Metrics::new(&context.metrics);
    let watch = BusWatch::start(&config.bus, &context.health, &context.shutdown);
    let module = Module::start(config.module.clone()).await?;
    check_venue(&config, &module)?;
    loaded.met();
    // Without a broker nothing is read: an unwritten frame would be lost with this process.
    if !watch.reached_at_start(config.service.start_timeout_ms).await? {
        return Ok(());
    }
    let venue = config.service.venue.clone();
    let maker = Maker { venue, streams: config.ingest.streams.clone(), ids: context.ids.clone() };
    let bury = Bury { maker: maker.clone(), clock: context.clock.clone(), dead: metrics.dead.clone() };
    let outbox = Outbox::new(&config.bus, &watch, bury, &context)?;
    let (connections, inputs) = Connections::new(&config, &context)?;
    let http_id = context.ids.connection_id(context.clock.now()).into();
    let faults = Faults::new(&config.ingest);
    let ingest = config.ingest;
    let timers = Timers::default();
    let responses = (http_id, 0);
    Service { ingest, context, module, maker, outbox, connections, timers, metrics, connected, faults, responses }
        .go(inputs)
        .await
}

fn check_venue(config: &IngestConfig, module: &Module) -> Result<(), RunError> {
    let (ours, description) = (&config.service.venue, module.description());
    if description.venue != *ours && description.venue != "*" {
        let text = format!("{} is of venue `{}`, service.venue is `{ours}`", description.name, description.venue);
        return Err(RunError::Module(text));
    }
    for stream in config.ingest.streams.iter().filter(|stream| !description.streams.contains(stream)) {
        tracing::warn!(stream, module = description.name, "the module does not know this stream of ingest.streams");
    }
    Ok(())
}

struct Service {
    ingest: IngestSection,
    context: Context,
    module: Module,
    maker: Maker,
    outbox: Outbox,
    connections: Connections,
    timers: Timers,
    metrics: Metrics,
    connected: Condition,
    faults: Faults,
    /// HTTP responses count as one connection: its id and the next number.
    responses: (Arc<str>, u64),
}

impl Service {
    async fn go(mut self, mut inputs: mpsc::Receiver<Input>) -> Result<(), RunError> {
        let shutdown = self.context.shutdown.clone();
        self.connected.missing("connecting");
        self.start(Duration::ZERO).await?;
        loop {
            self.show_readiness();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                timer = self.timers.next() => self.plain(Event::Timer(timer)).await?,
                Some(input) = inputs.recv() => self.input(input).await?,
            }
        }
        self.connected.missing("stopping");
        self.connections.stop();
        self.timers.clear();
        let drain = async {
            while let Some(input) = inputs.recv().await {
                self.input(input).await?;
            }
            Ok::<(), RunError>(())
        };
        let drained = tokio::time::timeout(DRAIN, drain).await;
        self.outbox.finish(Duration::from_millis(self.ingest.flush_timeout_ms)).await?;
        drained.unwrap_or_else(|_| {
            Err(RunError::Unavailable(format!(
                "frames read last were not worked through within {DRAIN:?}; they are lost"
            )))
        })
    }

    /// Begins with a fresh instance; its connections open after `wait`.
    async fn start(&mut self, wait: Duration) -> Result<(), RunError> {
        let (_, effects) = self.module.handle(Event::Started, self.now()).await?;
        let effects = effects.map_err(|fault| RunError::Module(format!("it fails on `started`: {fault}")))?;
        for effect in effects {
            match effect {
                Effect::Connect(connect) => self.connections.open(&connect, wait)?,
                other => self.apply(other).await?,
            }
        }
        Ok(())
    }

    async fn input(&mut self, input: Input) -> Result<(), RunError> {
        match input {
            Input::Response { generation, id, response } => {
                if self.connections.responded(generation) {
                    self.response(id, response).await?;
                }
            }
            Input::Ws { name, event: ws::Event::Frame(frame), .. } => self.frame(name, frame).await?,
            Input::Ws { name, event: ws::Event::CutFrame(cut), .. } => self.cut(&name, cut).await?,
            // What else an earlier connection has to say is of no interest: the module thinks that it is closed.
            Input::Ws { name, generation, event } if self.connections.is_current(&name, generation) => match event {
                ws::Event::Opened(sender) => {
                    self.metrics.connects.inc();
                    self.connections.set_sender(&name, Some(sender));
                    self.plain(Event::Opened(name)).await?;
                }
                ws::Event::Closed { .. } => {
                    self.connections.set_sender(&name, None);
                    self.plain(Event::Closed(name)).await?;
                }
                ws::Event::Unopened { reason } => {
                    self.metrics.refused.inc();
                    self.connected.missing(&format!("{name}: {reason}"));
                }
                ws::Event::Frame(_) | ws::Event::CutFrame(_) => {}
            },
            Input::Ws { .. } => {}
        }
        Ok(())
    }

    /// An event that holds nothing to be recorded.
    async fn plain(&mut self, event: Event) -> Result<(), RunError> {
        match self.module.handle(event, self.now()).await?.1 {
            Ok(effects) => {
                for effect in effects {
                    self.apply(effect).await?;
                }
                Ok(())
            }
            Err(fault) => self.fault(fault).await,
        }
    }

    async fn frame(&mut self, name: String, frame: Frame) -> Result<(), RunError> {
        let Frame { connection_id, seq, at, message } = frame;
        let event = Event::Frame(FrameEvent { connection: name, message });
        let (event, effects) = self.module.handle(event, at).await?;
        let Event::Frame(FrameEvent { connection: name, message }) = event else { return Ok(()) };
        let bytes = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        self.metrics.bytes.inc_by(bytes.len() as u64);
        let received = Received { connection_id, seq, at, bytes, whole: None };
        match effects {
            Ok(effects) => self.sort(&received, &name, effects).await,
            Err(fault) => {
                self.metrics.frames.inc(MODULE_FAULT);
                self.dead(&received, &name, Reason { code: MODULE_FAULT, text: &fault.to_string() }).await?;
                self.fault(fault).await
            }
        }
    }

    async fn response(&mut self, id: u64, response: Option<HttpResponse>) -> Result<(), RunError> {
        let (event, effects) = self.module.handle(Event::Response((id, response)), self.now()).await?;
        let Event::Response((_, response)) = event else { return Ok(()) };
        let effects = match effects {
            Ok(effects) => effects,
            Err(fault) => return self.fault(fault).await,
        };
        let body = response.map(|response| response.body).unwrap_or_default();
        let (connection_id, seq) = (Arc::clone(&self.responses.0), self.responses.1);
        self.responses.1 += 1;
        let received = Received { connection_id, seq, at: self.now(), bytes: &body, whole: None };
        self.sort(&received, "http", effects).await
    }

    /// Writes what the module made of something received, and does the rest that it wants.
    async fn sort(&mut self, received: &Received<'_>, name: &str, effects: Vec<Effect>) -> Result<(), RunError> {
        for effect in effects {
            match effect {
                Effect::Emit(records) => {
                    let now = self.now();
                    match self.maker.raw(received, &records, self.module.module_ref(), now) {
                        Ok(outgoing) => {
                            self.metrics.frames.inc("event");
                            for (record, outgoing) in records.iter().zip(outgoing) {
                                self.metrics.events.inc(&record.stream);
                                self.put(outgoing).await?;
                            }
                        }
                        Err(text) => {
                            self.metrics.frames.inc(MODULE_FAULT);
                            self.metrics.faults.inc("contract");
                            self.dead(received, name, Reason { code: MODULE_FAULT, text: &text }).await?;
                        }
                    }
                }
                Effect::Unrecognised(text) => {
                    self.metrics.frames.inc(UNRECOGNISED);
                    self.dead(received, name, Reason { code: UNRECOGNISED, text: &text }).await?;
                }
                Effect::Chatter(kind) => {
                    self.metrics.frames.inc("chatter");
                    self.metrics.chatter.inc(&kind);
                }
                other => self.apply(other).await?,
            }
        }
        Ok(())
    }

    /// Does what is not about something received.
    async fn apply(&mut self, effect: Effect) -> Result<(), RunError> {
        match effect {
            Effect::Connect(connect) => self.connections.open(&connect, Duration::ZERO)?,
            Effect::Send((name, message)) => self.connections.send(&name, message).await,
            Effect::Http((id, request)) => self.connections.request(id, request),
            Effect::Close(name) => self.connections.reopen(&name),
            Effect::Timer((name, ms)) => {
                if let Err(reason) = self.timers.set(name, ms) {
                    tracing::warn!(reason, "timer refused");
                }
            }
            Effect::Emit(_) | Effect::Chatter(_) | Effect::Unrecognised(_) => {
                tracing::warn!("the module sorts a frame where there is none");
            }
        }
        Ok(())
    }

    /// A frame of which only the beginning is known, or that broke the protocol: no module sees it.
    async fn cut(&mut self, name: &str, cut: CutFrame) -> Result<(), RunError> {
        self.metrics.frames.inc("cut");
        self.metrics.bytes.inc_by(cut.length);
        let received = Received {
            connection_id: cut.connection_id,
            seq: cut.seq,
            at: cut.at,
            bytes: &cut.beginning,
            whole: Some((cut.length, cut.sha256)),
        };
        self.dead(&received, name, Reason { code: cut.flaw.code(), text: &cut.reason }).await
    }

    async fn dead(&mut self, received: &Received<'_>, name: &str, reason: Reason<'_>) -> Result<(), RunError> {
        self.metrics.dead.inc(reason.code);
        tracing::warn!(
            connection_id = &*received.connection_id,
            frame_seq = received.seq,
            code = reason.code,
            text = reason.text,
            "dead letter"
        );
        self.put(self.maker.dead(received, name, reason, self.now())).await
    }

    /// Waits while the broker does not keep up, which holds the sockets back; at the end only in bounded time.
    async fn put(&self, outgoing: unrip_bus::Outgoing) -> Result<(), RunError> {
        let end = async {
            self.context.shutdown.cancelled().await;
            tokio::time::sleep(Duration::from_millis(self.ingest.flush_timeout_ms)).await;
        };
        tokio::select! {
            biased;
            put = self.outbox.put(outgoing) => put,
            () = end => Err(RunError::Unavailable(
                "the broker took no more records within ingest.flush_timeout_ms; what was read last is lost".to_owned(),
            )),
        }
    }

    /// The instance is gone, and so is what it knew of its connections: both begin anew, later and later.
    async fn fault(&mut self, fault: Fault) -> Result<(), RunError> {
        self.metrics.faults.inc(fault.kind.code());
        if fault.kind == FaultKind::Rebuild {
            return Err(RunError::Module(fault.to_string()));
        }
        let wait = self.faults.next(Instant::now(), self.context.ids.fraction());
        tracing::error!(%fault, wait_ms = wait.as_millis() as u64, "the module failed; it and its connections begin anew");
        self.connections.close_all();
        self.timers.clear();
        self.start(wait).await
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

    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }
}
