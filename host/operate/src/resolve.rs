//! `unrip resolve`: a person decides how a command ends that stays in doubt.
//!
//! The decision is a record in the journal; the executor that owns the partition makes it the outcome and publishes the
//! result. Nothing here ends a command by itself.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use unrip_bus::{BusConfig, Isolation, LogReader, Outgoing, Position, Producer, ProducerOptions, Record};
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::{JournalClaim, JournalDecision};
use unrip_core::event::result::TradeResult;
use unrip_core::{CommandId, Envelope, Timestamp, topic};
use unrip_protocol::decision::{CLOCK_SKEW_MS_LIMIT, may_be_negative, negative_allowed_after};
use unrip_service::{Clock, Ids, SystemClock};

use super::args::{Decided, ResolveArgs};
use super::journal_reading::{Decision, Journal, OpenClaim, Watched};
use super::reading::{self, Bounds};
use super::{groups, print, reason, resolve_text, who_must_be_known};
use crate::error::{self, Error};

/// How long the record is offered to the broker before it fails, in milliseconds.
const APPEND_WAIT_MS_MAX: u64 = 10_000;
/// Pause after a failed look for the result.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// A claim that waits for a decision, and where.
struct Doubt {
    partition: i32,
    journal: Journal,
    open: OpenClaim,
    /// The journal was read up to here.
    journal_end: i64,
    /// The results were there up to here before the journal was read.
    results_end: i64,
}

impl Doubt {
    fn details(&self) -> Result<(JournalClaim, Envelope<ExecuteTrade>), Error> {
        let unreadable = || Error::Software(format!("{}: its claim is valid and cannot be read", self.open.head.id));
        self.open.details().ok_or_else(unreadable)
    }
}

/// Runs the command.
///
/// # Errors
/// The arguments are wrong, the journal does not allow the decision, or the bus is away.
pub async fn run(args: &ResolveArgs) -> Result<u8, Error> {
    let bus = args.bus.bus()?;
    let (by, reason) = (who_must_be_known(args.by.as_deref())?, reason(&args.reason)?);
    let doubt = find(&bus, args.command_id).await?;
    let (claim, command) = doubt.details()?;
    print(&resolve_text::claim(doubt.partition, &doubt.open, &claim, &command));
    may_be_decided(&doubt.open, args.status, SystemClock.now())?;
    let status = args.status.status();
    let decision = match &doubt.open.decision {
        // Typed again: what is still missing is the result.
        Some(earlier) if earlier.status == status => {
            print(&format!("{} has decided so already: {}", earlier.decided_by, earlier.reason));
            doubt.journal_end
        }
        Some(earlier) => return Err(Error::Refused(resolve_text::decided_otherwise(args.command_id, earlier))),
        None => {
            confirm(args)?;
            let payload = JournalDecision { command_id: args.command_id, status, decided_by: by, reason };
            append(&bus, &doubt, payload).await?
        }
    };
    result(&bus, args, &doubt, decision).await
}

/// Reads the journal and finds the valid open claim of the command.
async fn find(bus: &BusConfig, id: CommandId) -> Result<Doubt, Error> {
    let results = reading::bounds(bus, topic::TRADE_RESULT).await?;
    let mut journals = std::collections::BTreeMap::new();
    let bounds = reading::journal(bus, |record| {
        journals.entry(record.partition).or_insert_with(|| Journal::new(Some(id))).fold(record);
    })
    .await?;
    let held = |journal: &Journal| *journal.watched() == Watched::Claimed;
    let found = journals.iter().find(|(_, journal)| held(journal)).map(|(partition, _)| *partition);
    let Some((partition, journal)) = found.and_then(|at| Some((at, journals.remove(&at)?))) else {
        let known = journals.into_values().map(|journal| journal.watched().clone());
        let known = known.max_by_key(|watched| !matches!(watched, Watched::Unknown)).unwrap_or_default();
        return Err(Error::Refused(resolve_text::not_open(id, &known)));
    };
    let Some(open) = journal.open().get(&id).cloned() else {
        return Err(Error::Software(format!("{id} is claimed and not among the open claims")));
    };
    let end = |bounds: &Bounds| bounds.get(&partition).map_or(0, |(_, end)| *end);
    Ok(Doubt { partition, open, journal, journal_end: end(&bounds), results_end: end(&results) })
}

/// Whether this decision can be true now.
fn may_be_decided(open: &OpenClaim, decided: Decided, now: Timestamp) -> Result<(), Error> {
    let id = open.head.id;
    if let Some((status, code)) = &open.evidence {
        return Err(Error::Refused(resolve_text::evidence(id, *status, code)));
    }
    // The owner's clock_skew_ms_max is not known here: no executor waits longer than this.
    let (deadline, skew_ms) = (open.head.deadline, CLOCK_SKEW_MS_LIMIT);
    if decided.is_negative() && !may_be_negative(deadline, skew_ms, now) {
        let from = negative_allowed_after(deadline, skew_ms);
        return Err(Error::Refused(resolve_text::too_early(id, deadline, from)));
    }
    Ok(())
}

/// Asks at the terminal.
fn confirm(args: &ResolveArgs) -> Result<(), Error> {
    if args.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage(
            "--yes is missing and there is no terminal to ask at; look first, then add --yes".to_owned(),
        ));
    }
    print(&resolve_text::question(args.status));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Error::file("cannot read the answer"))?;
    match answer.trim() == "yes" {
        true => Ok(()),
        false => Err(Error::Refused("not confirmed; nothing was changed".to_owned())),
    }
}

/// Appends the decision, reads it back and returns its offset. It counts only if the claim was still open there.
async fn append(bus: &BusConfig, doubt: &Doubt, payload: JournalDecision) -> Result<i64, Error> {
    let (now, ids) = (SystemClock.now(), Ids::random());
    let (id, status) = (payload.command_id, payload.status);
    let (_, command) = doubt.details()?;
    let mut envelope = Envelope::root(ids.uuid_v7(now), &doubt.open.venue, "unrip/resolve", now, payload);
    envelope.causation_id = Some(command.event_id);
    envelope.correlation_id = command.correlation_id;
    let record = Outgoing {
        topic: topic::JOURNAL.to_owned(),
        partition: Some(doubt.partition),
        key: id.to_string().into_bytes(),
        value: envelope.encode().map_err(|error| Error::Software(error.to_string()))?,
        headers: envelope.headers(ids.trace()),
    };
    let options = ProducerOptions { linger_ms: 0, delivery_ms_max: Some(APPEND_WAIT_MS_MAX) };
    let cannot = || Error::bus("the decision is NOT confirmed; run `unrip status`, then this again");
    let producer = Producer::with_options(bus, options).map_err(cannot())?;
    let position = producer.send(record).await.map_err(cannot())?;
    print(&format!(
        "decision appended to {}, partition {}, offset {}",
        topic::JOURNAL,
        doubt.partition,
        position.offset
    ));
    let noted = read_back(bus, doubt, id, position.offset).await?;
    match noted {
        Noted::Counts(decision) if decision.event_id == envelope.event_id => Ok(position.offset),
        Noted::Counts(other) if other.status == status => {
            print(&format!("{} decided the same a moment earlier", other.decided_by));
            Ok(position.offset)
        }
        Noted::Counts(other) => Err(Error::Refused(resolve_text::decided_otherwise(id, &other))),
        Noted::Ended(watched) => Err(Error::Refused(resolve_text::not_open(id, &watched))),
    }
}

enum Noted {
    Counts(Decision),
    Ended(Watched),
}

/// Folds on from where the journal was read before, up to the decision.
async fn read_back(bus: &BusConfig, doubt: &Doubt, id: CommandId, offset: i64) -> Result<Noted, Error> {
    let mut journal = doubt.journal.clone();
    let range = Bounds::from([(doubt.partition, (doubt.journal_end, offset + 1))]);
    reading::each(bus, topic::JOURNAL, &range, |record| journal.fold(record)).await?;
    match journal.open().get(&id) {
        Some(OpenClaim { decision: Some(decision), .. }) => Ok(Noted::Counts(decision.clone())),
        Some(_) => Err(Error::Software(format!("the decision at offset {offset} cannot be read back"))),
        None => Ok(Noted::Ended(journal.watched().clone())),
    }
}

/// Waits until the result is published and prints it.
async fn result(bus: &BusConfig, args: &ResolveArgs, doubt: &Doubt, decision: i64) -> Result<u8, Error> {
    let id = args.command_id;
    let Some(result) = wait_for_result(bus, doubt, id, Instant::now() + args.wait).await? else {
        let group = topic::group("execute", &doubt.open.venue);
        let members = groups::members(bus, &group).await;
        return Err(Error::NotYet(resolve_text::no_result_yet(id, decision, args.wait, &group, members)));
    };
    print(&resolve_text::result(&result));
    match result.status == args.status.status() {
        true => Ok(error::OK),
        false => Err(Error::Refused(format!("{id} ended otherwise than decided: the venue was heard first"))),
    }
}

async fn wait_for_result(
    bus: &BusConfig,
    doubt: &Doubt,
    id: CommandId,
    until: Instant,
) -> Result<Option<TradeResult>, Error> {
    let cannot = || Error::bus("the decision is recorded; cannot read the results");
    let from = vec![Position::new(topic::TRADE_RESULT, doubt.partition, doubt.results_end)];
    let mut reader = LogReader::open(bus, from, Isolation::ReadCommitted).map_err(cannot())?;
    loop {
        match timeout_at(until, reader.next()).await {
            Err(_) => return Ok(None),
            Ok(Ok(records)) => {
                if let Some(found) = records.iter().find_map(|record| result_of(record, id)) {
                    return Ok(Some(found));
                }
            }
            Ok(Err(error)) if error.is_retriable() => tokio::time::sleep(ERROR_PAUSE).await,
            Ok(Err(error)) => return Err(cannot()(error)),
        }
    }
}

fn result_of(record: &Record, id: CommandId) -> Option<TradeResult> {
    let result = Envelope::<TradeResult>::decode(&record.value).ok()?.payload;
    (result.command_id == id).then_some(result)
}
