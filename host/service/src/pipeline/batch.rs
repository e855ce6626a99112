//! One batch: the module is called, what follows is handed to the outbox, and what is acknowledged is finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use unrip_bus::{Error, Outgoing, Partition, Position, Record};
use unrip_core::{ModuleRef, Timestamp};
use unrip_engine::Rejection;

use super::flow::{Flow, place};
use super::stage::{Answer, Read, Stage, Step};
use crate::dead_letter::{self, Reason};
use crate::outbox::{Receipt, Refused, Unwritten};
use crate::run::RunError;

/// A record whose outputs are with the outbox.
struct Given<'a> {
    record: &'a Record,
    observed_at: Option<Timestamp>,
    outputs: Vec<Receipt>,
    letter: Option<Receipt>,
}

/// A record after its reading: what is kept of it while the module has its input.
enum Kept<C> {
    Input(C, Timestamp),
    Step(Step),
}

/// What the module said about the inputs of a batch, and what it has not been asked yet.
struct Said<I, O> {
    results: std::vec::IntoIter<Result<O, Rejection>>,
    /// The code that said it.
    module: Option<Arc<ModuleRef>>,
    /// Inputs without a result: what the earlier ones led to is written first.
    rest: Vec<I>,
}

impl<S: Stage> Flow<S> {
    pub(super) async fn batch(&mut self, mut records: Vec<Record>) -> Result<(), RunError> {
        records.retain(|record| !self.holds.blocks(&place(record)));
        if records.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.progress.batch(Some(started));
        let done = self.work(&records, started).await;
        self.progress.batch(None);
        self.meters.batch(started.elapsed());
        done
    }

    async fn work(&mut self, records: &[Record], started: Instant) -> Result<(), RunError> {
        let (mut kept, mut inputs) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records {
            kept.push(match self.stage.read(record) {
                Read::Input { cause, input, observed_at } => {
                    inputs.push(input);
                    Kept::Input(cause, observed_at)
                }
                Read::Skip => Kept::Step(Step::Done(Vec::new())),
                Read::Dead { code, text } => Kept::Step(Step::dead(code, text)),
            });
        }
        let mut said = Said { results: Vec::new().into_iter(), module: None, rest: inputs };
        let (mut held, mut ended) = (BTreeMap::new(), Ok(()));
        let mut given = Vec::with_capacity(records.len());
        for (record, kept) in records.iter().zip(kept) {
            let partition = place(record);
            // Order within a partition: nothing passes the record that it waits for.
            let is_held = held.contains_key(&partition);
            let (step, observed_at) = match self.step(record, kept, &mut said, is_held).await {
                Ok(Some(step)) => step,
                Ok(None) => continue,
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            };
            let Some((outputs, dead)) = self.decide(record, &partition, step, started) else {
                held.insert(partition, record.offset);
                continue;
            };
            let Some(outputs) = self.give(outputs).await? else { break };
            let letter = match dead {
                Some((code, text)) => match self.bury(record, &code, &text).await? {
                    Some(letter) => Some(letter),
                    None => break,
                },
                None => None,
            };
            given.push(Given { record, observed_at, outputs, letter });
        }
        self.settle(given).await?;
        ended?;
        self.wait_at(held).await;
        Ok(())
    }

    /// What a record leads to; none if its partition is held.
    async fn step(
        &mut self,
        record: &Record,
        kept: Kept<S::Cause>,
        said: &mut Said<S::Input, S::Output>,
        is_held: bool,
    ) -> Result<Option<(Step, Option<Timestamp>)>, RunError> {
        let (cause, at) = match kept {
            Kept::Step(step) => return Ok((!is_held).then_some((step, None))),
            Kept::Input(cause, at) => (cause, at),
        };
        // Taken also for a record that is held: each result belongs to its own input.
        let (result, module) = self.result(said).await?;
        Ok((!is_held).then(|| match result {
            Ok(output) => (self.stage.write(record, cause, output, &module), Some(at)),
            Err(rejection) => (Step::from(rejection), Some(at)),
        }))
    }

    /// The result for the next input. The module is asked about the rest only when what it said before was handed over, which
    /// bounds what the service holds of a batch.
    async fn result(
        &mut self,
        said: &mut Said<S::Input, S::Output>,
    ) -> Result<(Result<S::Output, Rejection>, Arc<ModuleRef>), RunError> {
        if said.results.len() == 0 {
            *said = self.ask(std::mem::take(&mut said.rest)).await?;
        }
        let without = || RunError::Software("a record without a result".to_owned());
        said.results.next().zip(said.module.clone()).ok_or_else(without)
    }

    async fn ask(&mut self, inputs: Vec<S::Input>) -> Result<Said<S::Input, S::Output>, RunError> {
        let count = inputs.len();
        let Answer { mut inputs, results, module } = self.stage.call(inputs).await?;
        if inputs.len() != count || !(1..=count).contains(&results.len()) {
            return Err(RunError::Software(format!("{} results for {count} records", results.len())));
        }
        let rest = inputs.split_off(results.len());
        self.judge.look(&mut self.stage, inputs, &results).await?;
        Ok(Said { results: results.into_iter(), module: Some(module), rest })
    }

    /// What to write for a record; none if its partition is held at it.
    #[allow(clippy::type_complexity, reason = "used once")]
    fn decide(
        &mut self,
        record: &Record,
        partition: &Partition,
        step: Step,
        now: Instant,
    ) -> Option<(Vec<Outgoing>, Option<(String, String)>)> {
        match step {
            Step::Done(outputs) => Some((outputs, None)),
            Step::Dead { outputs, code, text } => Some((outputs, Some((code, text)))),
            Step::RetryAfter { ms, code, text } => {
                self.meters.retry(&code);
                match self.holds.hold(partition, record.offset, ms, &self.setup.options, now) {
                    Ok(()) => {
                        let (topic, offset) = (&record.topic, record.offset);
                        tracing::debug!(topic, partition = record.partition, offset, code, ms, "partition held");
                        None
                    }
                    Err(attempts) => {
                        Some((Vec::new(), Some((code, format!("{text} (given up after {attempts} retries)")))))
                    }
                }
            }
        }
    }

    /// Hands the outputs over; none if the service should stop first.
    async fn give(&self, outputs: Vec<Outgoing>) -> Result<Option<Vec<Receipt>>, RunError> {
        let mut receipts = Vec::with_capacity(outputs.len());
        for output in outputs {
            match self.give_up.run_until_cancelled(self.outbox.put(output)).await {
                Some(receipt) => receipts.push(receipt?),
                None => return Ok(None),
            }
        }
        Ok(Some(receipts))
    }

    /// Hands the record's dead letter over; none if the service should stop first.
    async fn bury(&self, record: &Record, code: &str, text: &str) -> Result<Option<Receipt>, RunError> {
        self.meters.dead(code);
        if let Some(unlogged) = self.dead_letter_lines.note(code, std::time::Instant::now()) {
            let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
            tracing::warn!(topic, partition, offset, code, text, unlogged, "dead letter");
        }
        let (context, setup) = (&self.context, &self.setup);
        let reason = Reason { code, text };
        let letter = dead_letter::from_record(
            record,
            &setup.group,
            reason,
            setup.venue.as_str(),
            context.clock.now(),
            &context.ids,
        );
        Ok(self.give(vec![letter]).await?.and_then(|mut receipts| receipts.pop()))
    }

    /// Waits for the acknowledgements. Once the service should stop, only what is acknowledged already is finished.
    async fn settle(&mut self, given: Vec<Given<'_>>) -> Result<(), RunError> {
        let mut unfinished = BTreeSet::new();
        for Given { record, observed_at, outputs, letter } in given {
            let partition = place(record);
            if unfinished.contains(&partition) {
                continue;
            }
            if self.is_written(record, outputs, letter).await? {
                self.finish(partition, record, observed_at);
            } else {
                unfinished.insert(partition);
            }
        }
        Ok(())
    }

    async fn is_written(
        &self,
        record: &Record,
        outputs: Vec<Receipt>,
        letter: Option<Receipt>,
    ) -> Result<bool, RunError> {
        let mut refused = None;
        for receipt in outputs {
            match self.acknowledged(receipt).await? {
                None => return Ok(false),
                Some(Ok(())) => {}
                Some(Err(output)) => refused = refused.or(Some(output)),
            }
        }
        let mut letters: Vec<Receipt> = letter.into_iter().collect();
        if let Some(Refused { record: output, error }) = refused {
            let text = format!("output for {}: {error}", output.topic);
            let Some(letter) = self.bury(record, "output_refused", &text).await? else { return Ok(false) };
            letters.push(letter);
        }
        for letter in letters {
            match self.acknowledged(letter).await? {
                None => return Ok(false),
                Some(Ok(())) => {}
                Some(Err(Refused { record: letter, error })) => return Err(refuses_letter(&letter, &error)),
            }
        }
        Ok(true)
    }

    /// Writes a dead letter of no record in hand and waits for it, or until the service should stop.
    pub(super) async fn write_letter(&self, letter: Outgoing) -> Result<(), RunError> {
        for receipt in self.give(vec![letter]).await?.unwrap_or_default() {
            if let Some(Err(Refused { record, error })) = self.acknowledged(receipt).await? {
                return Err(refuses_letter(&record, &error));
            }
        }
        Ok(())
    }

    /// None if the service should stop and the record is not acknowledged.
    async fn acknowledged(&self, mut receipt: Receipt) -> Result<Option<Result<(), Refused>>, RunError> {
        let ended = match self.give_up.run_until_cancelled(&mut receipt).await {
            Some(ended) => Some(ended),
            None => receipt.try_get(),
        };
        match ended {
            None => Ok(None),
            Some(Ok(_)) => Ok(Some(Ok(()))),
            Some(Err(Unwritten::Refused(refused))) => Ok(Some(Err(*refused))),
            Some(Err(Unwritten::Gone)) => Err(RunError::Software("the task that writes to the bus ended".to_owned())),
        }
    }

    fn finish(&mut self, partition: Partition, record: &Record, observed_at: Option<Timestamp>) {
        let next = record.offset + 1;
        self.holds.passed(&partition, record.offset);
        self.reading.forget(&partition);
        self.progress.finished(&partition, next);
        self.finished.insert(partition, next);
        self.meters.consumed(&record.topic);
        if let Some(observed_at) = observed_at {
            self.meters.age(observed_at, self.context.clock.now());
        }
        let interval = Duration::from_millis(self.setup.options.commit_interval_ms);
        self.commit_at.get_or_insert_with(|| Instant::now() + interval);
    }

    /// Stops reading held partitions and puts them back to the record that waits.
    async fn wait_at(&mut self, held: BTreeMap<Partition, i64>) {
        for (partition, offset) in held {
            self.consumer.pause(std::slice::from_ref(&partition));
            if let Err(error) = self.consumer.seek(&Position::new(&partition.0, partition.1, offset)).await {
                return self.rejoin(&error).await;
            }
        }
    }
}

fn refuses_letter(letter: &Outgoing, error: &Error) -> RunError {
    RunError::Unavailable(format!("the broker refuses a dead letter for {}: {error}", letter.topic))
}
