//! Canonical records in, commands out: ids, keys and bounds around what the strategy decides.

use std::sync::Arc;

use unrip_bus::{Outgoing, Record};
use unrip_core::envelope::{AnyEnvelope, DecodeError};
use unrip_core::event::canonical::CanonicalEvent;
use unrip_core::event::command::{ExecuteTrade, execution_key, idempotency_key};
use unrip_core::id::derived_event_id;
use unrip_core::{CommandId, Envelope, ModuleRef, Payload, Timestamp, TraceParent, VenueId, topic};
use unrip_engine::reactor::{Command, Decision, Input, Reactor};
use unrip_service::module::Seat;
use unrip_service::pipeline::{Answer, Read, Stage, Step};
use unrip_service::{Clock, Ids, RunError};

use crate::bounds::CommandBounds;
use crate::tally::Tally;

/// Reason code of a command that asks for more than its bounds.
const OUT_OF_BOUNDS: &str = "command_out_of_bounds";

/// Canonical records to commands.
pub(crate) struct React {
    seat: Seat<Reactor>,
    writer: Writer,
}

/// What a canonical record and the strategy's decisions make together. Pure but for time, span ids and counting.
pub(crate) struct Writer {
    pub(crate) venue: VenueId,
    pub(crate) strategy: String,
    pub(crate) bounds: CommandBounds,
    pub(crate) tally: Tally,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Ids,
}

impl React {
    pub(crate) fn new(seat: Seat<Reactor>, writer: Writer) -> Self {
        Self { seat, writer }
    }
}

impl Stage for React {
    type Cause = AnyEnvelope;
    type Input = Input;
    type Output = Vec<Decision>;

    fn read(&self, record: &Record) -> Read<AnyEnvelope, Input> {
        self.writer.read(record)
    }

    async fn call(&mut self, inputs: Vec<Input>) -> Result<Answer<Input, Vec<Decision>>, RunError> {
        let call = self.seat.ask(move |reactor| {
            let results = reactor.react(&inputs);
            (inputs, results)
        });
        let answer = call.await?;
        let (inputs, results) = answer.value;
        let results = results.map_err(|fatal| RunError::Module(fatal.to_string()))?;
        Ok(Answer { inputs, results, module: answer.module })
    }

    fn write(&self, record: &Record, cause: AnyEnvelope, decisions: Vec<Decision>, module: &Arc<ModuleRef>) -> Step {
        self.writer.write(record, &cause, decisions, module)
    }
}

impl Writer {
    /// The record's envelope without its payload and what the strategy gets of it.
    pub(crate) fn read(&self, record: &Record) -> Read<AnyEnvelope, Input> {
        let dead = |error: DecodeError| Read::Dead { code: "not_a_canonical_event", text: error.to_string() };
        let envelope = match AnyEnvelope::read(&record.value) {
            Ok(envelope) => envelope,
            Err(error) => return dead(error),
        };
        if envelope.venue != self.venue.as_str() {
            // `norm.*` holds every venue: another one's records are another service's.
            self.tally.skip("other_venue");
            return Read::Skip;
        }
        let mut cause = envelope.clone();
        let event = match CanonicalEvent::read(envelope) {
            Ok(event) => event,
            Err(error) => return dead(error),
        };
        // Only its head is needed from here on.
        cause.payload = serde_json::Value::Null;
        let observed_at = cause.observed_at;
        let input = Input {
            venue: cause.venue.clone(),
            observed_at,
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            reference: false,
            event,
        };
        Read::Input { cause, input, observed_at }
    }

    /// The records of the commands, as `RECORDS.md` says.
    pub(crate) fn write(
        &self,
        record: &Record,
        cause: &AnyEnvelope,
        decisions: Vec<Decision>,
        module: &ModuleRef,
    ) -> Step {
        let trace = record.trace().unwrap_or_else(|| self.ids.trace());
        let (mut outputs, mut dead) = (Vec::new(), None);
        // The index counts commands: a decline is no output.
        let mut index = 0;
        for decision in decisions {
            match decision {
                Decision::Decline(reason) => {
                    let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
                    tracing::debug!(topic, partition, offset, reason, "declined");
                    self.tally.decline(&reason);
                }
                Decision::Command(command) => {
                    match self.command(command, index, cause, module, trace.child(self.ids.span_id())) {
                        Ok(output) => outputs.push(output),
                        Err(reason) => dead = dead.or(Some(reason)),
                    }
                    index += 1;
                }
            }
        }
        match dead {
            None => Step::Done(outputs),
            Some(text) => Step::Dead { outputs, code: OUT_OF_BOUNDS.to_owned(), text },
        }
    }

    /// The record of a command, or why it may not be written.
    fn command(
        &self,
        command: Command,
        index: u32,
        cause: &AnyEnvelope,
        module: &ModuleRef,
        trace: TraceParent,
    ) -> Result<Outgoing, String> {
        self.bounds.check(&command, cause.observed_at).inspect_err(|_| self.tally.out_of_bounds())?;
        let output = command_record(command, index, cause, &self.strategy, module, self.clock.now(), trace);
        let output = output.map_err(|error| format!("not encodable: {error}"))?;
        self.tally.command();
        Ok(output)
    }
}

/// The record of one command, as `RECORDS.md` says.
fn command_record(
    command: Command,
    index: u32,
    cause: &AnyEnvelope,
    strategy: &str,
    module: &ModuleRef,
    now: Timestamp,
    trace: TraceParent,
) -> Result<Outgoing, serde_json::Error> {
    let execution_key = execution_key(&cause.venue, &command.account);
    let payload = ExecuteTrade {
        command_id: CommandId::new(cause.observed_at, &execution_key, cause.event_id, strategy, index),
        idempotency_key: idempotency_key(&execution_key, &command.venue_ref),
        execution_key: execution_key.clone(),
        account: command.account,
        strategy: strategy.to_owned(),
        venue_ref: command.venue_ref,
        dispatch_by: command.dispatch_by,
        deadline: command.deadline,
        reason: command.reason,
        inputs: command.inputs,
        action: command.action,
    };
    let role = format!("react/{strategy}");
    let event_id = derived_event_id(cause.event_id, &role, ExecuteTrade::EVENT_TYPE, index);
    let envelope = Envelope::derived(event_id, cause, now, Some(module.clone()), payload);
    Ok(Outgoing {
        topic: topic::EXECUTE_TRADE.to_owned(),
        partition: None,
        key: execution_key.into_bytes(),
        value: envelope.encode()?,
        headers: envelope.headers(trace),
    })
}
