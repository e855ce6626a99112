//! What a run was, as text or as one JSON object.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use super::admin::AuditReport;
use super::tally::{Latency, Tally};
use unrip_operate::error;

/// Everything that a run says at its end.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The process's exit code.
    pub exit_code: u8,
    /// From the moment that all services ran.
    pub seconds: f64,
    /// Which broker and why.
    pub broker: String,
    /// `host:port`.
    pub brokers: String,
    /// Configuration, secrets, state and logs.
    pub dir: PathBuf,
    /// Records per topic, written during the run.
    pub topics: BTreeMap<String, u64>,
    /// Dead letters by topic and reason.
    pub dead_letters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Commands written during the run.
    pub commands: usize,
    /// Results by status.
    pub results: BTreeMap<String, u64>,
    /// Commands that had no result at the end: open, unless the audit says otherwise.
    pub open: usize,
    /// From frame to result.
    pub latency: Option<Latency>,
    /// The audit's own findings; absent if it could not be asked.
    pub audit: Option<AuditReport>,
    /// How each service ended.
    pub services: BTreeMap<String, String>,
    /// Services that ended by themselves.
    pub died: Vec<String>,
}

impl Summary {
    /// Puts the counts in.
    pub fn count(&mut self, tally: &Tally) {
        self.topics.clone_from(&tally.topics);
        self.dead_letters.clone_from(&tally.dead_letters);
        self.commands = tally.commands();
        self.results.clone_from(&tally.results);
        self.open = tally.open();
        self.latency = tally.latency();
    }

    /// The exit code that the findings ask for: a broken promise weighs more than a service that died.
    pub fn judge(&mut self) {
        let broken = self.audit.as_ref().is_some_and(AuditReport::broken);
        self.exit_code = match (broken, self.died.is_empty(), &self.audit) {
            (true, ..) => error::PROMISE_BROKEN,
            (false, false, _) => error::SERVICE_DIED,
            (false, true, None) => error::UNAVAILABLE,
            (false, true, Some(_)) => error::OK,
        };
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nran {:.1} s on {}", self.seconds, self.broker)?;
        for (topic, count) in &self.topics {
            writeln!(f, "  {topic:<40} {count:>9}")?;
        }
        for (topic, reasons) in &self.dead_letters {
            for (reason, count) in reasons {
                writeln!(f, "  dead letters  {topic}: {reason} {count}")?;
            }
        }
        let results: Vec<String> = self.results.iter().map(|(status, count)| format!("{status} {count}")).collect();
        writeln!(f, "commands  {}, results: {}, open: {}", self.commands, or_none(&results), self.open)?;
        match &self.latency {
            Some(latency) => writeln!(
                f,
                "latency   from frame to result p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms ({} results)",
                latency.p50_ms, latency.p99_ms, latency.max_ms, latency.count
            )?,
            None => writeln!(f, "latency   no results")?,
        }
        match &self.audit {
            Some(report) => writeln!(f, "audit     {report}")?,
            None => writeln!(f, "audit     could not be asked")?,
        }
        for name in &self.died {
            let ended = self.services.get(name).map_or("", String::as_str);
            writeln!(f, "DIED      {name}: {ended}; see its log")?;
        }
        write!(f, "files     {}", self.dir.display())
    }
}

fn or_none(parts: &[String]) -> String {
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            exit_code: 0,
            seconds: 1.0,
            broker: "a broker".to_owned(),
            brokers: "127.0.0.1:1".to_owned(),
            dir: "/d".into(),
            topics: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            commands: 0,
            results: BTreeMap::new(),
            open: 0,
            latency: None,
            audit: Some(AuditReport { complete: true, ..AuditReport::default() }),
            services: BTreeMap::new(),
            died: Vec::new(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Summary), expected: u8) {
        let mut summary = summary();
        change(&mut summary);
        summary.judge();
        assert_eq!(summary.exit_code, expected);
    }

    #[test]
    fn exits_as_the_findings_ask() {
        let broken = || AuditReport { violations_total: 1, ..AuditReport::default() };
        check(|_| {}, 0);
        check(|summary| summary.open = 3, 0);
        check(|summary| summary.audit = Some(broken()), 10);
        check(|summary| summary.audit = Some(AuditReport { overdue: 1, ..AuditReport::default() }), 10);
        check(|summary| summary.died = vec!["react".to_owned()], 11);
        check(|summary| summary.audit = None, 69);
        let both = |summary: &mut Summary| {
            summary.audit = Some(broken());
            summary.died = vec!["react".to_owned()];
        };
        check(both, 10);
    }

    #[test]
    fn says_everything_in_words() {
        let mut summary = summary();
        summary.topics.insert("exec.trade_result".to_owned(), 7);
        summary.results.insert("executed".to_owned(), 7);
        summary.latency = Some(Latency { count: 7, p50_ms: 1.0, p99_ms: 2.0, max_ms: 3.0 });
        let text = summary.to_string();
        for part in ["exec.trade_result", "executed 7", "p50 1.0 ms", "p99 2.0 ms", "a broker", "/d"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
