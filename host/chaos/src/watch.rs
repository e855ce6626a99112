//! Looking at processes: what ended is judged and started again, what stands goes on, what is armed is led to its point.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::Instant;
use unrip_testkit::process::describe;

use super::arms::Help;
use super::campaign::Campaign;
use super::faults::FOR_GOOD;
use super::member::{Ended, Phase};
use super::plan::Trouble;
use super::verdict::Breach;
use unrip_dev::admin;
use unrip_dev::stack::STOP_GRACE;
use unrip_operate::error::Error;

/// An armed executor that does not reach its point for so long is killed where it is.
const ARM_PATIENCE: Duration = Duration::from_secs(9);
/// An armed executor is led to its point so often, the first time after so long.
const HELP_EVERY: Duration = Duration::from_millis(1_800);
/// How long answers are late before an executor is put to sleep to miss them.
const SENDING: Duration = Duration::from_millis(700);
/// How long an end may be the broker's fault after it came back.
const BROKER_EXCUSE: Duration = Duration::from_secs(20);
/// How long a rolling restart may take before it is given up: other faults may have hit its executors.
const ROLLING_MAX: Duration = Duration::from_secs(60);
/// How long an executor that was restarted may take to answer whether it is ready.
const READY_WAIT: Duration = Duration::from_millis(250);
/// Pause between two moves of a storm, in milliseconds.
const STORM_MS: (u64, u64) = (600, 1_300);

impl Campaign<'_> {
    /// One look at everything that has its time.
    pub(super) async fn look(&mut self, now: Instant) -> Result<(), Error> {
        self.look_at_broker(now).await;
        for name in self.members.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&name, now)?;
        }
        if self.trouble_until.is_some_and(|until| now >= until) {
            self.comfort();
        }
        self.storm_on(now);
        self.roll_on(now).await;
        Ok(())
    }

    async fn look_at_broker(&mut self, now: Instant) {
        if !self.restarting.as_ref().is_some_and(tokio::task::JoinHandle::is_finished) {
            return;
        }
        let Some(restarting) = self.restarting.take() else { return };
        match restarting.await {
            Ok(Ok(broker)) => {
                self.stack.broker = Some(broker);
                self.counts.broker_restarts += 1;
                self.broker_back = Some(now);
            }
            Ok(Err(error)) => self.breaches.push(Breach::new("broker_lost", error)),
            Err(error) => self.breaches.push(Breach::new("broker_lost", error.to_string())),
        }
    }

    fn look_at(&mut self, name: &str, now: Instant) -> Result<(), Error> {
        let Some(member) = self.members.get_mut(name) else { return Ok(()) };
        if let Phase::Down(until) = member.phase {
            return if now >= until { self.start(name, now) } else { Ok(()) };
        }
        let Some(process) = self.stack.process(name) else { return Ok(()) };
        if let Some(exit) = process.exited() {
            self.ended(name, exit, now);
            return Ok(());
        }
        match member.phase {
            Phase::Paused(until) if now >= until => {
                process.resume();
                member.phase = if member.is_asked { Phase::Stopping(now) } else { Phase::Up };
            }
            Phase::Stopping(since) if now >= since + STOP_GRACE => {
                let said = format!("{name} did not stop within {} s", STOP_GRACE.as_secs());
                self.breaches.push(Breach::new("stop_too_slow", said));
                self.kill(name, "random", now);
            }
            Phase::Up | Phase::Stopping(_) if member.arm.is_some() && process.is_paused() => {
                let ms = self.rng.between(100, self.session_ms * 3);
                member.phase = Phase::Paused(now + Duration::from_millis(ms));
                let point = member.arm.take().map(|arm| arm.point).unwrap_or_default();
                self.arms.stopped(&point);
                self.counts.paused("point");
            }
            Phase::Up if self.is_on => self.lead(name, now),
            _ => {}
        }
        Ok(())
    }

    /// Starts a service; an executor with the next point, three times of four.
    fn start(&mut self, name: &str, now: Instant) -> Result<(), Error> {
        let Some(member) = self.members.get_mut(name) else { return Ok(()) };
        let wants = member.is_executor && self.is_on && self.rng.percent(75);
        member.arm = if wants { self.arms.draw() } else { None };
        let plan = member.arm.as_ref().map(|arm| ("UNRIP_EXECUTE_FAIL_POINT".to_owned(), arm.text.clone()));
        (member.phase, member.since, member.helped) = (Phase::Up, now, now);
        member.is_asked = false;
        self.stack.start_with(name, plan.into_iter().collect::<BTreeMap<_, _>>())
    }

    fn ended(&mut self, name: &str, exit: ExitStatus, now: Instant) {
        let Some(member) = self.members.get_mut(name) else { return };
        let how = member.judge(exit.code(), exit.signal());
        match how {
            Ended::AtPoint => {
                let point = member.arm.take().map(|arm| arm.point).unwrap_or_default();
                self.arms.killed(&point);
                self.counts.killed("point");
            }
            Ended::Clean => self.counts.clean_stops += 1,
            Ended::Unavailable => *self.counts.unavailable.entry(name.to_owned()).or_default() += 1,
            Ended::Badly => {}
        }
        let excused = self.restarting.is_some() || self.broker_back.is_some_and(|back| now < back + BROKER_EXCUSE);
        if how == Ended::Badly || (how == Ended::Unavailable && !excused) {
            let said = self.stack.log_tail(name, 3);
            let detail = format!("{name} ended by itself ({}):\n{said}", describe(exit));
            self.breaches.push(Breach::new("ended_badly", detail));
        }
        self.down(name, now);
    }

    /// Has it started again in a moment.
    pub(super) fn down(&mut self, name: &str, now: Instant) {
        self.stack.forget(name);
        let Some(member) = self.members.get_mut(name) else { return };
        // Ingest speaks no more once the faults have ceased.
        let pause = match (member.is_executor, self.is_on || name != "ingest") {
            (_, false) => FOR_GOOD,
            (true, _) => Duration::from_millis(self.rng.between(20, 400)),
            (false, _) => Duration::from_millis(self.rng.between(50, 1_000)),
        };
        member.phase = Phase::Down(now + pause);
        member.arm = None;
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, name: &str, kind: &str, now: Instant) {
        if self.stack.kill(name).is_some() {
            self.counts.killed(kind);
        }
        self.down(name, now);
    }

    /// An armed executor comes to its point, or is killed where it is.
    fn lead(&mut self, name: &str, now: Instant) {
        let Some(member) = self.members.get_mut(name) else { return };
        let Some(arm) = &member.arm else { return };
        let help = arm.help;
        if member.age(now) >= ARM_PATIENCE {
            return self.kill(name, "random", now);
        }
        if help == Help::None || now < member.helped + HELP_EVERY {
            return;
        }
        member.helped = now;
        match help {
            Help::None => {}
            Help::Terminate => self.terminate(name, now),
            Help::Rebalance => {
                let others = self.members.values().filter(|other| other.is_executor && other.is_up());
                let other = others.map(|other| other.name.clone()).find(|other| other != name);
                if let Some(other) = other {
                    self.terminate(&other, now);
                }
            }
            Help::Sleep => self.pause(name, self.session_ms + 1_500, now),
            Help::SleepThroughAnswers => {
                // The answers come while it sleeps.
                self.trouble(Trouble::Late { by_ms: self.session_ms + 500 }, self.session_ms + 3_000, now);
                if let Some(member) = self.members.get_mut(name) {
                    member.helped = now.checked_sub(HELP_EVERY - SENDING).unwrap_or(now);
                    if let Some(arm) = &mut member.arm {
                        arm.help = Help::Sleep;
                    }
                }
            }
        }
    }

    /// SIGTERM.
    pub(super) fn terminate(&mut self, name: &str, now: Instant) {
        let Some(member) = self.members.get_mut(name).filter(|member| member.is_up()) else { return };
        if let Some(process) = self.stack.process(name) {
            process.terminate();
            member.phase = Phase::Stopping(now);
            member.is_asked = true;
        }
    }

    /// SIGSTOP for so long.
    pub(super) fn pause(&mut self, name: &str, ms: u64, now: Instant) {
        let Some(member) = self.members.get_mut(name).filter(|member| member.is_up()) else { return };
        if let Some(process) = self.stack.process(name) {
            process.pause();
            member.phase = Phase::Paused(now + Duration::from_millis(ms));
            self.counts.paused("random");
        }
    }

    fn storm_on(&mut self, now: Instant) {
        let Some((until, next)) = self.storm else { return };
        if now >= until {
            self.storm = None;
        } else if now >= next {
            let pause = self.rng.between(STORM_MS.0, STORM_MS.1);
            self.storm = Some((until, now + Duration::from_millis(pause)));
            let victim = self.rng.any();
            if let Some(name) = self.executor(victim) {
                self.terminate(&name, now);
            }
        }
    }

    /// The next executor of a rolling restart, once the one before is ready.
    async fn roll_on(&mut self, now: Instant) {
        let Some((mut left, since)) = self.rolling.take() else { return };
        if now >= since + ROLLING_MAX {
            return;
        }
        let Some(first) = left.front().cloned() else {
            self.counts.rolling_restarts += 1;
            return;
        };
        let member = self.members.get(&first);
        let is_new = member.is_some_and(|member| member.is_up() && member.since > since);
        if !is_new {
            self.terminate(&first, now);
        } else if self.is_ready(&first).await {
            left.pop_front();
        }
        self.rolling = Some((left, since));
    }

    async fn is_ready(&self, name: &str) -> bool {
        let file = self.stack.admin_file(name);
        tokio::time::timeout(READY_WAIT, admin::ready(&file)).await.is_ok_and(|answer| answer.is_ok())
    }
}
