//! What came from outside: it goes to the module, and ends in exactly one record, count or dead letter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use unrip_core::Timestamp;
use unrip_engine::ingestor::{Effect, Event, Frame as FrameEvent, RawRecord};
use unrip_service::RunError;
use unrip_service::dead_letter::Reason;
use unrip_service::net::ws::{self, CutFrame, Frame};
use unrip_service::net::{HttpResponse, Message};

use crate::connections::Input;
use crate::records::Received;
use crate::service::Service;

/// Reason code of a frame on which the module failed.
const MODULE_FAULT: &str = "module_fault";
/// Reason code of a frame that the module does not know.
const UNRECOGNISED: &str = "unrecognised";

impl Service {
    pub(crate) async fn input(&mut self, input: Input) -> Result<(), RunError> {
        match input {
            Input::Response { generation, id, response, at } => {
                if self.connections.responded(generation) {
                    self.response(id, response, at).await?;
                }
            }
            Input::Ws { name, event: ws::Event::Frame(frame), .. } => self.frame(name, frame).await?,
            Input::Ws { name, event: ws::Event::CutFrame(cut), .. } => self.cut(&name, cut).await?,
            Input::Ws { name, generation, event } => {
                if let ws::Event::Closed { cause, .. } = &event {
                    self.metrics.closed.inc(cause.as_str());
                }
                // What else an earlier connection has to say is of no interest: the module knows it as closed.
                if self.connections.is_current(&name, generation) {
                    self.change(name, event).await?;
                }
            }
        }
        Ok(())
    }

    /// A connection changed its state.
    async fn change(&mut self, name: String, event: ws::Event) -> Result<(), RunError> {
        match event {
            ws::Event::Opened(sender) => {
                self.metrics.connects.inc();
                self.connections.set_sender(&name, Some(sender));
                self.plain(Event::Opened(name.clone()), Some(&name)).await
            }
            ws::Event::Closed { .. } => {
                self.connections.set_sender(&name, None);
                self.plain(Event::Closed(name.clone()), Some(&name)).await
            }
            ws::Event::Unopened { reason } => {
                self.metrics.refused.inc();
                self.connected.missing(&format!("{name}: {reason}"));
                Ok(())
            }
            // They hold something to be recorded, whichever connection they are of: see `input`.
            ws::Event::Frame(frame) => self.frame(name, frame).await,
            ws::Event::CutFrame(cut) => self.cut(&name, cut).await,
        }
    }

    /// An event that holds nothing to be recorded. `culprit` is the connection to blame if the module fails on it.
    pub(crate) async fn plain(&mut self, event: Event, culprit: Option<&str>) -> Result<(), RunError> {
        let now = self.module_now(self.now());
        match self.module.handle(event, now).await?.1 {
            Ok(effects) => {
                for effect in effects {
                    self.apply(effect);
                }
                Ok(())
            }
            Err(fault) => self.fault(fault, culprit).await,
        }
    }

    async fn frame(&mut self, name: String, frame: Frame) -> Result<(), RunError> {
        let Frame { connection_id, seq, at, message } = frame;
        let now = self.module_now(at);
        let event = Event::Frame(FrameEvent { connection: name, message });
        let (event, effects) = self.module.handle(event, now).await?;
        let Event::Frame(FrameEvent { connection: name, message }) = event else { return Err(mixed_up()) };
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
                self.fault(fault, Some(&name)).await
            }
        }
    }

    async fn response(&mut self, id: u64, response: Option<HttpResponse>, at: Timestamp) -> Result<(), RunError> {
        let now = self.module_now(at);
        let (event, effects) = self.module.handle(Event::Response((id, response)), now).await?;
        let Event::Response((_, response)) = event else { return Err(mixed_up()) };
        let effects = match effects {
            Ok(effects) => effects,
            Err(fault) => return self.fault(fault, None).await,
        };
        let body = response.map(|response| response.body).unwrap_or_default();
        let (connection_id, seq) = (Arc::clone(&self.responses.0), self.responses.1);
        self.responses.1 += 1;
        let received = Received { connection_id, seq, at, bytes: &body, whole: None };
        self.sort(&received, "http", effects).await
    }

    /// Writes what the module made of something received, and does the rest that it wants.
    async fn sort(&mut self, received: &Received<'_>, name: &str, effects: Vec<Effect>) -> Result<(), RunError> {
        for effect in effects {
            match effect {
                Effect::Emit(records) => self.emit(received, name, &records).await?,
                Effect::Unrecognised(text) => {
                    self.metrics.frames.inc(UNRECOGNISED);
                    self.dead(received, name, Reason { code: UNRECOGNISED, text: &text }).await?;
                }
                Effect::Chatter(kind) => {
                    self.metrics.frames.inc("chatter");
                    self.metrics.chatter.inc(&kind);
                }
                other => self.apply(other),
            }
        }
        Ok(())
    }

    /// Makes and writes one record after another: each holds the whole frame, and all at once may be more than there is.
    async fn emit(&mut self, received: &Received<'_>, name: &str, records: &[RawRecord]) -> Result<(), RunError> {
        if let Err(text) = self.maker.check(received, records) {
            return self.refuse(received, name, &text).await;
        }
        self.metrics.frames.inc("event");
        self.connections.mark_useful(name);
        for record in records {
            let now = self.now();
            match self.maker.raw(received, record, self.module.module_ref(), now) {
                Ok(outgoing) => {
                    self.metrics.events.inc(&record.stream);
                    self.put(outgoing).await?;
                }
                Err(text) => self.refuse(received, name, &text).await?,
            }
        }
        Ok(())
    }

    /// The module broke its contract: the frame is a dead letter, the instance stays.
    async fn refuse(&mut self, received: &Received<'_>, name: &str, text: &str) -> Result<(), RunError> {
        self.metrics.frames.inc(MODULE_FAULT);
        self.module.breached();
        self.dead(received, name, Reason { code: MODULE_FAULT, text }).await
    }

    /// A frame of which only the beginning is known, or that broke the protocol: no module sees it. One that is only too
    /// long leaves its connection open: v0.1 has no event that says so, and reconnecting for a frame that comes at each
    /// connect would never end.
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
        // A metric counts every one; lines of hostile frames would fill the disk.
        if let Some(unlogged) = self.repeats.note(reason.code, Instant::now()) {
            let (connection_id, frame_seq) = (&*received.connection_id, received.seq);
            let Reason { code, text } = reason;
            tracing::warn!(connection_id, frame_seq, code, text, unlogged, "dead letter");
        }
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
}

/// The module's thread gives back the event that it was given: anything else is a bug, and never a frame lost in silence.
fn mixed_up() -> RunError {
    RunError::Software("the module's thread answered for another event".to_owned())
}
