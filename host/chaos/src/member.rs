//! A service of the campaign: what it does at the moment, and how it ended when it ended.

use std::time::Duration;

use tokio::time::Instant;

use super::arms::Arm;

/// A service.
#[derive(Debug)]
pub struct Member {
    /// Its name: `execute-2`.
    pub name: String,
    /// Whether it is an executor.
    pub is_executor: bool,
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
    /// It stands, until then.
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
    /// It could not go on without the broker, and said so: whoever runs it starts it again.
    Unavailable,
    /// In a way that must not be.
    Badly,
}

/// The exit code of a service that cannot go on without something outside.
const EXIT_UNAVAILABLE: i32 = unrip_service::exit::UNAVAILABLE as i32;

impl Member {
    /// A service that starts at `at`.
    pub fn new(name: &str, is_executor: bool, at: Instant) -> Self {
        Self {
            name: name.to_owned(),
            is_executor,
            phase: Phase::Down(at),
            is_asked: false,
            arm: None,
            since: at,
            helped: at,
        }
    }

    /// Whether it runs and nobody has asked it for anything.
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
            // It was asked before it could listen: nothing had begun.
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
        let mut member = Member::new("execute", true, now);
        member.phase = Phase::Up;
        assert_eq!(member.judge(None, Some(9)), Ended::Badly, "nobody killed it");
        assert_eq!(member.judge(Some(0), None), Ended::Badly, "nobody asked it to stop");
        assert_eq!(member.judge(Some(69), None), Ended::Unavailable);
        assert_eq!(member.judge(Some(74), None), Ended::Badly);
        member.arm = Some(Arm { point: "a".to_owned(), text: "a:1:kill".to_owned(), help: Help::None });
        assert_eq!(member.judge(None, Some(9)), Ended::AtPoint);
        member.is_asked = true;
        assert_eq!(member.judge(Some(0), None), Ended::Clean);
        assert_eq!(member.judge(Some(69), None), Ended::Unavailable);
    }
}
