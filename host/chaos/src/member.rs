//! A service of the campaign: what it does at the moment, and how it ended when it ended.

use std::time::Duration;

use tokio::time::Instant;

use super::arms::Arm;
use unrip_dev::config::role_of;
use unrip_dev::services::INGEST;

/// A service.
#[derive(Debug)]
pub struct Member {
    /// Its name: `execute-2`.
    pub name: String,
    /// Whether it is an executor.
    pub is_executor: bool,
    /// Whether it brings quotes in.
    pub is_ingest: bool,
    /// What it is doing.
    pub phase: Phase,
    /// Whether it was asked to stop.
    pub is_asked: bool,
    /// The point that it was started with.
    pub arm: Option<Arm>,
    /// When it was started.
    pub since: Instant,
    /// When it was last led towards its point.
    pub helped: Instant,
}

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It runs.
    Up,
    /// It is stopped (SIGSTOP), until then.
    Paused(Instant),
    /// It was asked to stop.
    Stopping(Instant),
    /// It is started again then.
    Down(Instant),
}

/// How a service ended without our killing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// At its armed point.
    AtPoint,
    /// As it was asked to.
    Clean,
    /// It could not continue without the broker, and said so: its supervisor starts it again.
    Unavailable,
    /// In a way that must not be.
    Badly,
}

/// The exit code of a service that cannot continue without something outside.
const EXIT_UNAVAILABLE: i32 = unrip_service::exit::UNAVAILABLE as i32;

impl Member {
    /// A service that starts at `at`.
    pub fn new(name: &str, at: Instant) -> Self {
        Self {
            name: name.to_owned(),
            is_executor: role_of(name) == "execute",
            is_ingest: role_of(name) == INGEST,
            phase: Phase::Down(at),
            is_asked: false,
            arm: None,
            since: at,
            helped: at,
        }
    }

    /// Whether it runs and was not asked to stop or paused.
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Whether there is a process.
    pub fn has_process(&self) -> bool {
        !matches!(self.phase, Phase::Down(_))
    }

    /// How long it has run.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// What an end with this code or signal means.
    pub fn judge(&self, code: Option<i32>, signal: Option<i32>) -> Ended {
        match (code, signal) {
            (None, Some(9)) if self.arm.is_some() => Ended::AtPoint,
            (Some(0), _) if self.is_asked => Ended::Clean,
            // It was asked before it could listen: nothing had started.
            (None, Some(15)) if self.is_asked => Ended::Clean,
            (Some(EXIT_UNAVAILABLE), _) => Ended::Unavailable,
            _ => Ended::Badly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arms::Help;
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let now = Instant::now();
        let mut member = Member::new("execute-a-venue", now);
        member.phase = Phase::Up;
        assert_eq!(member.judge(None, Some(9)), Ended::Badly, "it was not killed");
        assert_eq!(member.judge(Some(0), None), Ended::Badly, "it was not asked to stop");
        assert_eq!(member.judge(Some(69), None), Ended::Unavailable);
        assert_eq!(member.judge(Some(74), None), Ended::Badly);
        member.arm = Some(Arm { point: "a".to_owned(), text: "a:1:kill".to_owned(), help: Help::None });
        assert_eq!(member.judge(None, Some(9)), Ended::AtPoint);
        member.is_asked = true;
        assert_eq!(member.judge(Some(0), None), Ended::Clean);
        assert_eq!(member.judge(Some(69), None), Ended::Unavailable);
    }
}
