//! Watches the processes: judges and restarts those that ended, resumes those that were paused, brings armed ones to their
//! point.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::Instant;
use unrip_testkit::process::describe;

use super::arms::Help;
use super::campaign::{Campaign, Rolling, Storm};
use super::faults::FOR_GOOD;
use super::member::{Ended, Phase};
use super::plan::{LATE, VenueFault};
use super::verdict::Breach;
use unrip_dev::admin;
use unrip_dev::services::STOP_GRACE;
use unrip_operate::error::Error;

/// An armed executor that does not reach its point within this time is killed where it is.
const ARM_PATIENCE: Duration = Duration::from_secs(9);
/// How often an armed executor is helped towards its point, and how long after its start first.
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
    /// One step of everything that is due.
    pub(super) async fn poll(&mut self, now: Instant) -> Result<(), Error> {
        self.poll_broker(now).await;
        for name in self.members.keys().cloned().collect::<Vec<_>>() {
            self.poll_member(&name, now).await?;
        }
        if self.lasting.venue_until.is_some_and(|until| now >= until) {
            self.heal_venue().await?;
        }
        if let Some((name, how)) = self.stack.fakes.died() {
            return Err(Error::Unavailable(format!("{name} ended by itself ({how})")));
        }
        self.resume_storm(now);
        self.resume_rolling_restart(now).await;
        Ok(())
    }

    async fn poll_broker(&mut self, now: Instant) {
        match self.stack.broker.restarted().await {
            Some(Ok(())) => {
                self.counts.broker_restarts += 1;
                self.lasting.broker_back = Some(now);
            }
            Some(Err(reason)) => self.breaches.push(Breach::new("broker_lost", reason)),
            None => {}
        }
    }

    async fn poll_member(&mut self, name: &str, now: Instant) -> Result<(), Error> {
        let Some(member) = self.members.get_mut(name) else { return Ok(()) };
        if let Phase::Down(until) = member.phase {
            return if now >= until { self.start(name, now) } else { Ok(()) };
        }
        let Some(process) = self.stack.services.process(name) else { return Ok(()) };
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
            Phase::Up if self.is_on => self.help(name, now).await?,
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
        self.stack.services.start_with(name, plan.into_iter().collect::<BTreeMap<_, _>>())
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
        let is_back = self.lasting.broker_back.is_some_and(|back| now < back + BROKER_EXCUSE);
        let excused = self.stack.broker.is_restarting() || is_back;
        if how == Ended::Badly || (how == Ended::Unavailable && !excused) {
            let said = self.stack.services.log_tail(name, 3);
            let detail = format!("{name} ended by itself ({}):\n{said}", describe(exit));
            self.breaches.push(Breach::new("ended_badly", detail));
        }
        self.down(name, now);
    }

    /// Schedules its restart.
    pub(super) fn down(&mut self, name: &str, now: Instant) {
        self.stack.services.forget(name);
        let Some(member) = self.members.get_mut(name) else { return };
        // Ingest stays down once the faults have ended.
        let pause = match (member.is_executor, self.is_on || !member.is_ingest) {
            (_, false) => FOR_GOOD,
            (true, _) => Duration::from_millis(self.rng.between(20, 400)),
            (false, _) => Duration::from_millis(self.rng.between(50, 1_000)),
        };
        member.phase = Phase::Down(now + pause);
        member.arm = None;
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, name: &str, kind: &str, now: Instant) {
        if self.stack.services.kill(name).is_some() {
            self.counts.killed(kind);
        }
        self.down(name, now);
    }

    /// Brings an armed executor to its point, or kills it where it is.
    async fn help(&mut self, name: &str, now: Instant) -> Result<(), Error> {
        let Some(member) = self.members.get_mut(name) else { return Ok(()) };
        let Some(arm) = &member.arm else { return Ok(()) };
        let help = arm.help;
        if member.age(now) >= ARM_PATIENCE {
            self.kill(name, "random", now);
            return Ok(());
        }
        if help == Help::None || now < member.helped + HELP_EVERY {
            return Ok(());
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
            Help::SleepThroughAnswers if self.venue_has(LATE) => {
                // The answers come while it sleeps.
                let (ms, by_ms) = (self.session_ms + 3_000, self.session_ms + 500);
                self.disturb_venue(&VenueFault { name: LATE.to_owned(), ms, by_ms }, now).await?;
                if let Some(member) = self.members.get_mut(name) {
                    member.helped = now.checked_sub(HELP_EVERY - SENDING).unwrap_or(now);
                    if let Some(arm) = &mut member.arm {
                        arm.help = Help::Sleep;
                    }
                }
            }
            Help::Sleep | Help::SleepThroughAnswers => self.pause(name, self.session_ms + 1_500, now),
        }
        Ok(())
    }

    /// SIGTERM.
    pub(super) fn terminate(&mut self, name: &str, now: Instant) {
        let Some(member) = self.members.get_mut(name).filter(|member| member.is_up()) else { return };
        if let Some(process) = self.stack.services.process(name) {
            process.terminate();
            member.phase = Phase::Stopping(now);
            member.is_asked = true;
        }
    }

    /// SIGSTOP for this time.
    pub(super) fn pause(&mut self, name: &str, ms: u64, now: Instant) {
        let Some(member) = self.members.get_mut(name).filter(|member| member.is_up()) else { return };
        if let Some(process) = self.stack.services.process(name) {
            process.pause();
            member.phase = Phase::Paused(now + Duration::from_millis(ms));
            self.counts.paused("random");
        }
    }

    fn resume_storm(&mut self, now: Instant) {
        let Some(Storm { until, next_move }) = self.lasting.storm else { return };
        if now >= until {
            self.lasting.storm = None;
        } else if now >= next_move {
            let pause = self.rng.between(STORM_MS.0, STORM_MS.1);
            self.lasting.storm = Some(Storm { until, next_move: now + Duration::from_millis(pause) });
            let victim = self.rng.any();
            if let Some(name) = self.executor(victim) {
                self.terminate(&name, now);
            }
        }
    }

    /// The next executor of a rolling restart, once the one before is ready.
    async fn resume_rolling_restart(&mut self, now: Instant) {
        let Some(Rolling { mut left, since }) = self.lasting.rolling.take() else { return };
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
        self.lasting.rolling = Some(Rolling { left, since });
    }

    async fn is_ready(&self, name: &str) -> bool {
        let file = self.stack.services.admin_file(name);
        tokio::time::timeout(READY_WAIT, admin::ready(&file)).await.is_ok_and(|answer| answer.is_ok())
    }
}
