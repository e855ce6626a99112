//! Everything that was written, read again from the broker and from the venue's ledger, as plain JSON: the judge sees the
//! records without any type of the executor's own.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use unrip_bus::{Admin, BusConfig, Isolation, Position, read_to_end};
use unrip_core::Timestamp;
use unrip_core::topic;

use unrip_operate::error::Error;

/// A record.
#[derive(Clone, Debug)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub value: Value,
}

impl Seen {
    /// A field of its payload.
    pub fn text(&self, field: &str) -> &str {
        self.value.get("payload").and_then(|payload| payload.get(field)).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn event_type(&self) -> &str {
        self.value.get("event_type").and_then(Value::as_str).unwrap_or_default()
    }

    /// When it was made, in microseconds since 1970.
    pub fn made_at(&self) -> i64 {
        let text = self.value.get("ingested_at").and_then(Value::as_str).unwrap_or_default();
        Timestamp::parse(text).map_or(0, Timestamp::micros)
    }

    /// What makes two records of one id the same: cause and payload.
    pub fn content(&self) -> (Option<&Value>, Option<&Value>) {
        (self.value.get("causation_id"), self.value.get("payload"))
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// `cmd.execute_trade`.
    pub commands: Vec<Seen>,
    /// `exec.journal`.
    pub journal: Vec<Seen>,
    /// `exec.trade_result`, as a reader of committed records sees it.
    pub results: Vec<Seen>,
    /// `exec.trade_status`.
    pub statuses: Vec<Seen>,
    /// Dead letters of commands.
    pub letters: Vec<Seen>,
    /// The lines of the venue's ledger; none where the venue has no fake.
    pub ledger: Option<Vec<Value>>,
}

impl Books {
    /// Reads everything.
    ///
    /// # Errors
    /// The broker or the file cannot be read.
    pub async fn read(bus: &BusConfig, ledger: Option<&Path>) -> Result<Self, Error> {
        Ok(Self {
            commands: topic_of(bus, topic::EXECUTE_TRADE).await?,
            journal: topic_of(bus, topic::JOURNAL).await?,
            results: topic_of(bus, topic::TRADE_RESULT).await?,
            statuses: topic_of(bus, topic::TRADE_STATUS).await?,
            letters: topic_of(bus, &topic::dead(topic::EXECUTE_TRADE)).await?,
            ledger: ledger.map(lines).transpose()?,
        })
    }

    /// Everything about a command and its opportunity, as lines for people.
    pub fn traces(&self, command_id: &str) -> Vec<String> {
        let topics = [
            ("command", &self.commands),
            ("journal", &self.journal),
            ("status", &self.statuses),
            ("result", &self.results),
        ];
        let about = |seen: &&Seen| seen.text("command_id") == command_id;
        let mut traces: Vec<String> = topics
            .iter()
            .flat_map(|(name, records)| records.iter().filter(about).map(move |seen| (name, seen)))
            .map(|(name, seen)| format!("{name} {}/{}: {}", seen.partition, seen.offset, seen.value))
            .collect();
        let quote = self.commands.iter().find(about).map(|seen| seen.text("venue_ref").to_owned());
        let of_quote = |line: &&Value| line.get("venue_ref").and_then(Value::as_str) == quote.as_deref();
        traces.extend(self.ledger.iter().flatten().filter(of_quote).map(|line| format!("ledger: {line}")));
        traces
    }

    /// Claims, outcomes and the like, by kind.
    pub fn journal_counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for seen in &self.journal {
            *counts.entry(seen.event_type().to_owned()).or_default() += 1;
        }
        counts
    }

    /// How often a partition went from one executor to another.
    pub fn takeovers(&self) -> u64 {
        let mut owners: BTreeMap<i32, &str> = BTreeMap::new();
        let mut count = 0;
        for seen in self.journal.iter().filter(|seen| seen.event_type() == "journal_fence") {
            let owner = seen.text("executor_id");
            if owners.insert(seen.partition, owner).is_some_and(|before| before != owner) {
                count += 1;
            }
        }
        count
    }
}

async fn topic_of(bus: &BusConfig, name: &str) -> Result<Vec<Seen>, Error> {
    let cannot = || Error::bus(format!("cannot read {name} for the verdict"));
    let state = Admin::new(bus).map_err(cannot())?.describe(name).await.map_err(cannot())?;
    let mut all = Vec::new();
    for partition in 0..state.map_or(0, |state| state.partitions) {
        let records =
            read_to_end(bus, Position::new(name, partition, 0), Isolation::ReadCommitted).await.map_err(cannot())?;
        all.extend(records.into_iter().map(|record| Seen {
            partition: record.partition,
            offset: record.offset,
            value: serde_json::from_slice(&record.value).unwrap_or_default(),
        }));
    }
    Ok(all)
}

fn lines(file: &Path) -> Result<Vec<Value>, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::file(format!("cannot read {}", file.display())))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
