//! Canonical records in, commands out: ids, keys and bounds around what the strategy decides.

use std::sync::Arc;

use unrip_bus::{Outgoing, Record};
use unrip_core::envelope::{AnyEnvelope, DecodeError};
use unrip_core::event::command::{ExecuteTrade, execution_key, idempotency_key};
use unrip_core::id::derived_event_id;
use unrip_core::{CommandId, Envelope, ModuleRef, Payload, Timestamp, TraceParent, topic};
use unrip_engine::reactor::{Command, Decision, Input, Reactor};
use unrip_engine::{CanonicalEvent, Fatal, Rejection};
use unrip_service::pipeline::{Ended, Step, Transform};
use unrip_service::{Clock, Ids};

use crate::bounds::Bounds;
use crate::tally::Tally;

/// What decides: the strategy's module, or a stand-in in tests.
pub trait Decide: Send + 'static {
    /// The code that makes the content.
    fn module_ref(&self) -> &ModuleRef;

    /// The strategy's name.
    fn strategy(&self) -> &str;

    /// One result per input, in order.
    ///
    /// # Errors
    /// The module cannot be called any more.
    fn decide(&mut self, inputs: &[Input]) -> Result<Vec<Result<Vec<Decision>, Rejection>>, Fatal>;
}

impl Decide for Reactor {
    fn module_ref(&self) -> &ModuleRef {
        self.module_ref()
    }

    fn strategy(&self) -> &str {
        self.strategy()
    }

    fn decide(&mut self, inputs: &[Input]) -> Result<Vec<Result<Vec<Decision>, Rejection>>, Fatal> {
        self.react(inputs)
    }
}

/// Canonical records to commands.
pub struct React<D> {
    strategy: D,
    venue: String,
    bounds: Bounds,
    tally: Tally,
    clock: Arc<dyn Clock>,
    ids: Ids,
}

impl<D> std::fmt::Debug for React<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("React").finish_non_exhaustive()
    }
}

/// What one record is.
enum Read {
    Ours(Box<(AnyEnvelope, Input)>),
    Other(Step),
}

impl<D: Decide> React<D> {
    /// For the canonical records of `venue`.
    pub fn new(strategy: D, venue: &str, bounds: Bounds, tally: Tally, clock: Arc<dyn Clock>, ids: Ids) -> Self {
        Self { strategy, venue: venue.to_owned(), bounds, tally, clock, ids }
    }

    fn read(&self, record: &Record) -> Read {
        let dead = |error: DecodeError| Read::Other(Step::dead("not_a_canonical_event", error.to_string()));
        let envelope = match AnyEnvelope::read(&record.value) {
            Ok(envelope) => envelope,
            Err(error) => return dead(error),
        };
        if envelope.venue != self.venue {
            // `norm.*` holds every venue: what is another one's is another service's.
            self.tally.skip("other_venue");
            return Read::Other(Step::Done(Vec::new()));
        }
        let mut cause = envelope.clone();
        let event = match canonical(envelope) {
            Ok(event) => event,
            Err(error) => return dead(error),
        };
        // Read: only its head is needed from here on.
        cause.payload = serde_json::Value::Null;
        let input = Input {
            venue: cause.venue.clone(),
            observed_at: cause.observed_at,
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            reference: false,
            event,
        };
        Read::Ours(Box::new((cause, input)))
    }

    fn step(
        &self,
        record: &Record,
        cause: &AnyEnvelope,
        result: Result<Vec<Decision>, Rejection>,
    ) -> Result<Step, Ended> {
        let decisions = match result {
            Ok(decisions) => decisions,
            Err(Rejection::Reject { code, text }) => return Ok(Step::dead(code, text)),
            Err(Rejection::Fault(fault)) => return Ok(Step::dead(fault.kind.code(), fault.text)),
            Err(Rejection::RetryAfter { ms, code, text }) => return Ok(Step::RetryAfter { ms, code, text }),
            Err(Rejection::Fatal { code, text }) => {
                let module = &self.strategy.module_ref().name;
                return Err(Ended(format!("{module} cannot go on: {code}: {text}")));
            }
        };
        let trace = record.trace().unwrap_or_else(|| self.ids.trace());
        let (mut outputs, mut dead) = (Vec::new(), None);
        // The index counts commands: a decline is no output.
        let mut index = 0;
        for decision in decisions {
            match decision {
                Decision::Decline(reason) => {
                    tracing::debug!(
                        topic = record.topic,
                        partition = record.partition,
                        offset = record.offset,
                        reason,
                        "declined"
                    );
                    self.tally.decline(&reason);
                }
                Decision::Command(command) => {
                    match self.command(command, index, cause, trace.child(self.ids.span_id())) {
                        Ok(output) => outputs.push(output),
                        Err(reason) => dead = dead.or(Some(reason)),
                    }
                    index += 1;
                }
            }
        }
        Ok(match dead {
            None => Step::Done(outputs),
            Some(text) => Step::Dead { outputs, code: "command_out_of_bounds".to_owned(), text },
        })
    }

    /// The record of a command, or why it may not be written.
    fn command(
        &self,
        command: Command,
        index: u32,
        cause: &AnyEnvelope,
        trace: TraceParent,
    ) -> Result<Outgoing, String> {
        self.bounds.check(&command, cause.observed_at).inspect_err(|_| self.tally.out_of_bounds())?;
        let (strategy, module) = (self.strategy.strategy(), self.strategy.module_ref());
        let output = command_record(command, index, cause, strategy, module, self.clock.now(), trace);
        let output = output.map_err(|error| format!("not encodable: {error}"))?;
        self.tally.command();
        Ok(output)
    }
}

impl<D: Decide> Transform for React<D> {
    fn transform(&mut self, records: &[Record]) -> Result<Vec<Step>, Ended> {
        let read: Vec<Read> = records.iter().map(|record| self.read(record)).collect();
        let ours = read.iter().filter_map(|read| match read {
            Read::Ours(ours) => Some(ours.1.clone()),
            Read::Other(_) => None,
        });
        let inputs: Vec<Input> = ours.collect();
        let results = self.strategy.decide(&inputs).map_err(|fatal| Ended(fatal.to_string()))?;
        if results.len() != inputs.len() {
            return Err(Ended(format!("{} results for {} records", results.len(), inputs.len())));
        }
        let mut results = results.into_iter();
        records
            .iter()
            .zip(read)
            .filter_map(|(record, read)| match read {
                Read::Other(step) => Some(Ok(step)),
                // One result per input: counted above.
                Read::Ours(ours) => results.next().map(|result| self.step(record, &ours.0, result)),
            })
            .collect()
    }
}

fn canonical(envelope: AnyEnvelope) -> Result<CanonicalEvent, DecodeError> {
    Ok(match envelope.event_type.as_str() {
        "swap_settlement" => CanonicalEvent::SwapSettlement(envelope.typed()?.payload),
        "book_top" => CanonicalEvent::BookTop(envelope.typed()?.payload),
        "trade" => CanonicalEvent::Trade(envelope.typed()?.payload),
        // Anything else is not canonical, and the error says so.
        _ => CanonicalEvent::SwapDemand(envelope.typed()?.payload),
    })
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

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
