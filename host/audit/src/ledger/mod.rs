//! The audit's memory: what was read of each command, and every contradiction in it. No I/O, no clock.
//!
//! Streams are read side by side, so a result may be folded before the claim that it rests on. What one stream shows by
//! itself is judged at once; what needs several is judged by [`Ledger::settle`], when everything that the records can
//! rest on has been read.

mod command;
mod journal;
mod judge;
mod outcome;
mod stream;

use std::collections::{BTreeMap, BTreeSet};

use unrip_core::{CommandId, Timestamp, Uuid};

use crate::report::{LISTED_MAX, Report, Violation};
use command::Command;
pub use stream::{Place, Stream};

/// Commands that are remembered after they ended, by default; about 1 KiB each.
pub const HISTORY_COMMANDS_MAX: usize = 200_000;
/// How long after its deadline a command may be without a result, by default, in milliseconds: the venue's finality,
/// a few questions in between, and a restart.
pub const GRACE_MS: i64 = 30_000;

/// How far the clocks of two services may differ, in milliseconds (RECORDS "Rules of the log").
const CLOCK_SKEW_MS_MAX: i64 = 2_000;

/// What the ledger is set up with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Partitions of each of the four topics.
    pub partitions: i32,
    /// How long after its deadline a command may be without a result, in milliseconds.
    pub grace_ms: i64,
    /// Commands that are remembered after they ended.
    pub history_commands_max: usize,
}

impl Options {
    /// The defaults.
    pub fn new(partitions: i32) -> Self {
        Self { partitions, grace_ms: GRACE_MS, history_commands_max: HISTORY_COMMANDS_MAX }
    }
}

/// Everything read so far.
#[derive(Debug)]
pub struct Ledger {
    options: Options,
    /// Counts what was folded: [`Ledger::settle`] judges what is at or below a mark.
    folded: u64,
    commands: BTreeMap<CommandId, Command>,
    /// Commands with records that were not judged together yet.
    unsettled: BTreeSet<CommandId>,
    /// The journal that each partition belongs to, where its genesis was read.
    journals: BTreeMap<i32, Uuid>,
    /// The newest fence of each venue in each journal partition.
    fences: BTreeMap<(i32, String), i64>,
    /// The command that holds each idempotency key by a valid claim.
    claimed_keys: BTreeMap<String, CommandId>,
    /// The command of each idempotency key that was executed.
    executed_keys: BTreeMap<String, CommandId>,
    /// Where each partition begins: what was before is deleted.
    starts: BTreeMap<(Stream, i32), i64>,
    /// Of a partition that does not begin at 0: records of this time and later are not deleted.
    kept_from: BTreeMap<(Stream, i32), Timestamp>,
    /// The time of the newest forgotten command.
    forgotten_until: Option<Timestamp>,
    counts: Report,
    flagged: BTreeSet<(&'static str, CommandId)>,
}

/// A contradiction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) place: Place,
    pub(crate) detail: String,
}

impl Ledger {
    /// Nothing read yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            folded: 0,
            commands: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            journals: BTreeMap::new(),
            fences: BTreeMap::new(),
            claimed_keys: BTreeMap::new(),
            executed_keys: BTreeMap::new(),
            starts: BTreeMap::new(),
            kept_from: BTreeMap::new(),
            forgotten_until: None,
            counts: Report::default(),
            flagged: BTreeSet::new(),
        }
    }

    /// A partition is read from this offset on, its first at time `now`: what lies before is not missed.
    pub fn begin(&mut self, stream: Stream, partition: i32, offset: i64, now: Timestamp) {
        self.starts.insert((stream, partition), offset);
        if offset > 0 {
            self.kept_from.insert((stream, partition), now);
        }
    }

    /// The records from `from` up to `to` were deleted before they were read. As an executor does with its fold, the
    /// fences read before are forgotten: a newer one may be among what was deleted.
    pub fn gap(&mut self, stream: Stream, partition: i32, from: i64, to: i64, now: Timestamp) {
        self.counts.lost_records += u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        self.begin(stream, partition, to, now);
        if stream == Stream::Journal {
            self.fences.retain(|(other, _), _| *other != partition);
        }
    }

    /// Takes one record; records of a partition come in their order.
    pub fn fold(&mut self, place: Place, key: Option<&[u8]>, value: &[u8]) {
        self.folded += 1;
        match place.stream {
            Stream::Commands => self.fold_command(place, key, value),
            Stream::Journal => self.fold_journal(place, key, value),
            Stream::Results => self.fold_result(place, key, value),
            Stream::Statuses => self.fold_status(place, key, value),
        }
    }

    /// A mark for [`Self::settle`]: everything folded so far.
    pub fn mark(&self) -> u64 {
        self.folded
    }

    /// Judges commands of which nothing was folded after `mark`. To be called when the commands and the journal have
    /// been read up to ends that were asked for after `mark` was taken.
    pub fn settle(&mut self, mark: u64) {
        let due = self.unsettled.iter().filter(|id| self.commands.get(*id).is_none_or(|known| known.folded <= mark));
        for id in due.copied().collect::<Vec<_>>() {
            self.unsettled.remove(&id);
            if let Some(command) = self.commands.get(&id) {
                for finding in judge::judge(&id, command, &self.starts) {
                    self.violation(finding, Some(id));
                }
            }
        }
        self.forget();
    }

    /// The findings at this time.
    pub fn report(&self, now: Timestamp) -> Report {
        let mut report = self.counts.clone();
        for (id, command) in &self.commands {
            if !command.is_accepted() {
                continue;
            }
            report.commands += 1;
            if !command.has_no_result() {
                continue;
            }
            if let Some(since) = command.in_doubt_since() {
                // A doubt that lasts is an alarm, not a broken promise: the venue cannot be asked.
                let age_ms = u64::try_from(now.millis_since(since)).unwrap_or(0);
                report.in_doubt += 1;
                report.in_doubt_oldest_ms = report.in_doubt_oldest_ms.max(age_ms);
                report.open += 1;
                continue;
            }
            if self.end_may_be_deleted(command) {
                report.unjudged += 1;
                continue;
            }
            match command.deadline() {
                Some(deadline) if now > deadline.plus_millis(self.options.grace_ms) => {
                    report.overdue += 1;
                    if report.overdue_commands.len() < LISTED_MAX {
                        report.overdue_commands.push(*id);
                    }
                }
                _ => report.open += 1,
            }
        }
        report
    }

    /// Whether what ended the command, its result or a skip, may have been deleted by age: no one can say whether it is
    /// overdue.
    fn end_may_be_deleted(&self, command: &Command) -> bool {
        let Some(record) = &command.record else { return false };
        let partition = record.place.partition;
        let start = self.starts.get(&(Stream::Journal, partition)).copied().unwrap_or(0);
        // A claim without an outcome in a journal that is whole since then: there was no end.
        if command.claim.as_ref().is_some_and(|claim| claim.place.offset >= start) && !command.has_ended() {
            return false;
        }
        let before = |from: &Timestamp| record.observed_at <= from.plus_millis(CLOCK_SKEW_MS_MAX);
        let deleted = |stream| self.kept_from.get(&(stream, partition)).is_some_and(before);
        command.under_deleted_fence || deleted(Stream::Journal) || deleted(Stream::Results)
    }

    /// What a record says of the time from which its partition is whole.
    fn keeps(&mut self, place: Place, made_at: Timestamp) {
        if let Some(from) = self.kept_from.get_mut(&(place.stream, place.partition)) {
            *from = made_at.min(*from);
        }
    }

    fn violation(&mut self, finding: Finding, id: Option<CommandId>) {
        // Each command breaks each promise once, however many records show it.
        if let Some(id) = id
            && !self.flagged.insert((finding.code, id))
        {
            return;
        }
        let Finding { code, place, detail } = finding;
        tracing::error!(
            code,
            command_id = id.map(tracing::field::display),
            topic = place.stream.topic(),
            partition = place.partition,
            offset = place.offset,
            detail,
            "broken promise"
        );
        self.counts.violations_total += 1;
        if self.counts.violations.len() < LISTED_MAX {
            self.counts.violations.push(Violation {
                code: code.to_owned(),
                command_id: id,
                topic: place.stream.topic().to_owned(),
                partition: place.partition,
                offset: place.offset,
                detail,
            });
        }
    }

    fn unreadable(&mut self, place: Place, detail: String) {
        self.violation(Finding { code: "unreadable", place, detail }, None);
    }

    /// What is known of a command, noted as touched now; `None` if it was forgotten.
    fn touch(&mut self, id: CommandId) -> Option<&mut Command> {
        if !self.commands.contains_key(&id) && self.forgotten_until.is_some_and(|until| id.time() <= until) {
            return None;
        }
        self.unsettled.insert(id);
        let command = self.commands.entry(id).or_default();
        command.folded = self.folded;
        Some(command)
    }

    /// Drops the oldest commands that ended, to bound memory.
    fn forget(&mut self) {
        while self.commands.len() > self.options.history_commands_max {
            let Some((id, command)) = self.commands.first_key_value() else { return };
            // What is open or not judged yet is kept whatever its age.
            let is_open = command.has_no_result() && !self.end_may_be_deleted(command);
            if is_open || self.unsettled.contains(id) {
                return;
            }
            let (id, accepted) = (*id, command.is_accepted());
            let key = command.idempotency_key().map(str::to_owned);
            self.commands.remove(&id);
            if let Some(key) = key {
                self.claimed_keys.remove(&key);
                self.executed_keys.remove(&key);
            }
            self.counts.commands += u64::from(accepted);
            self.counts.forgotten += 1;
            self.forgotten_until = self.forgotten_until.max(Some(id.time()));
        }
    }
}

pub(crate) fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    *counts.entry(key.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests;
