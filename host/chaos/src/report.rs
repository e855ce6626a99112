//! What a campaign was, as text or as one JSON object.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use super::arms::Arms;
use super::counts::Counts;
use super::verdict::{Breach, Doubts};
use unrip_dev::admin::AuditReport;

/// Breaches that are shown in text; JSON has all.
const SHOWN_MAX: usize = 10;
/// Characters of a trace that are shown in text.
const TRACE_CHARS_MAX: usize = 1_500;

/// Everything that a campaign says at its end.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The process's exit code.
    pub exit_code: u8,
    /// Gives the same plan of faults again.
    pub seed: u64,
    /// How long faults came, in seconds.
    pub seconds: f64,
    /// Which broker and why.
    pub broker: String,
    /// Configuration, secrets, state and logs.
    pub dir: PathBuf,
    /// All `kill -9`.
    pub kills: u64,
    /// What was done.
    pub done: Counts,
    /// `kill -9` by point.
    pub kills_by_point: BTreeMap<String, u64>,
    /// SIGSTOP by point.
    pub stops_by_point: BTreeMap<String, u64>,
    /// Points that were armed and never reached.
    pub unreached: Vec<String>,
    /// Accepted commands.
    pub commands: usize,
    /// Answers that the venue got.
    pub answers: u64,
    /// Results by status.
    pub results: BTreeMap<String, u64>,
    /// Answers that the venue got a second time.
    pub duplicates: u64,
    /// Commands without a result.
    pub losses: u64,
    /// Commands in doubt and how long.
    pub doubts: Doubts,
    /// Accepted by the venue, never heard of and never settled: they may end otherwise than `executed`.
    pub accepted_unheard: u64,
    /// Journal records by kind.
    pub journal: BTreeMap<String, u64>,
    /// How often a partition went from one executor to another.
    pub takeovers: u64,
    /// The audit's own findings.
    pub audit: Option<AuditReport>,
    /// Everything that must not be.
    pub breaches: Vec<Breach>,
}

/// Kills and stops by point, and the points that were never reached.
pub fn by_point(arms: &Arms) -> (BTreeMap<String, u64>, BTreeMap<String, u64>, Vec<String>) {
    let some = |count: fn(&super::arms::Count) -> u64| {
        let all = arms.counts().iter().map(|(point, counts)| (point.clone(), count(counts)));
        all.filter(|(_, count)| *count > 0).collect()
    };
    let never = arms.counts().iter().filter(|(_, count)| count.kills + count.stops == 0);
    (some(|count| count.kills), some(|count| count.stops), never.map(|(point, _)| point.clone()).collect())
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nfaults for {:.0} s, seed {}, on {}", self.seconds, self.seed, self.broker)?;
        writeln!(f, "kills     {} ({})", self.kills, pairs(&self.done.kills))?;
        writeln!(f, "points    killed at {} of them: {}", self.kills_by_point.len(), pairs(&self.kills_by_point))?;
        if !self.unreached.is_empty() {
            writeln!(f, "          not reached: {}", self.unreached.join(", "))?;
        }
        let done = &self.done;
        writeln!(f, "pauses    {} (at points: {})", pairs(&done.pauses), pairs(&self.stops_by_point))?;
        writeln!(
            f,
            "rebalance {} storms, {} rolling restarts, {} clean stops, {} takeovers; broker restarts: {}",
            done.storms, done.rolling_restarts, done.clean_stops, self.takeovers, done.broker_restarts
        )?;
        writeln!(f, "venue     {}", pairs(&done.venue_faults))?;
        if !done.unavailable.is_empty() {
            writeln!(f, "ended     as the broker was away: {}", pairs(&done.unavailable))?;
        }
        writeln!(f, "journal   {}", pairs(&self.journal))?;
        writeln!(f, "commands  {}, answers {}, results: {}", self.commands, self.answers, pairs(&self.results))?;
        writeln!(
            f,
            "in doubt  {}: to the result p50 {:.0} ms, p99 {:.0} ms, slowest {:.0} ms; accepted unheard {}",
            self.doubts.count, self.doubts.p50_ms, self.doubts.p99_ms, self.doubts.max_ms, self.accepted_unheard
        )?;
        writeln!(
            f,
            "verdict   duplicates {}, losses {}, breaches {}",
            self.duplicates,
            self.losses,
            self.breaches.len()
        )?;
        match &self.audit {
            Some(audit) => writeln!(f, "audit     {audit}")?,
            None => writeln!(f, "audit     could not be asked")?,
        }
        for breach in self.breaches.iter().take(SHOWN_MAX) {
            writeln!(f, "BREACH    {} {}: {}", breach.code, breach.command_id.as_deref().unwrap_or(""), breach.detail)?;
            for trace in &breach.traces {
                writeln!(f, "          {}", trace.chars().take(TRACE_CHARS_MAX).collect::<String>())?;
            }
        }
        write!(f, "files     {}", self.dir.display())
    }
}

fn pairs(counts: &BTreeMap<String, u64>) -> String {
    let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
