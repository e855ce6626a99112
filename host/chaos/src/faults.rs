//! Doing what the plan says.

use std::time::Duration;

use near_intents_fake::Faults;
use tokio::time::Instant;

use super::campaign::Campaign;
use super::member::Phase;
use super::plan::{Fault, Trouble};

/// A broker is left alone for so long after it came back.
const BROKER_REST: Duration = Duration::from_secs(25);
/// Longer than any campaign: a service that is not started again.
pub(super) const FOR_GOOD: Duration = Duration::from_secs(7 * 86_400);

impl Campaign<'_> {
    /// Inflicts a fault; what is not there to be hit is spared.
    pub(super) fn inflict(&mut self, fault: &Fault, now: Instant) {
        match fault {
            Fault::Kill { victim } => {
                if let Some(name) = self.executor(*victim) {
                    self.kill(&name, "random", now);
                }
            }
            Fault::LoseState { victim } => {
                if let Some(name) = self.executor(*victim) {
                    self.kill(&name, "state", now);
                    // What is not there is lost already.
                    std::fs::remove_dir_all(self.stack.dir.join("state").join(&name)).ok();
                }
            }
            Fault::KillService { victim } => {
                let others: Vec<String> = self
                    .members
                    .values()
                    .filter(|member| !member.is_executor && member.has_process())
                    .map(|member| member.name.clone())
                    .collect();
                if let Some(name) = nth(&others, *victim) {
                    let kind = unrip_dev::config::role_of(&name).to_owned();
                    self.kill(&name, &kind, now);
                }
            }
            Fault::Pause { victim, ms } => {
                if let Some(name) = self.executor(*victim) {
                    self.pause(&name, *ms, now);
                }
            }
            Fault::Storm { ms } if self.storm.is_none() => {
                self.counts.storms += 1;
                self.storm = Some((now + Duration::from_millis(*ms), now));
            }
            Fault::Rolling if self.rolling.is_none() => {
                self.rolling = Some((self.stack.names_of("execute").into(), now))
            }
            Fault::Storm { .. } | Fault::Rolling => {}
            Fault::Broker => self.kill_broker(now),
            Fault::Venue { trouble, ms } => self.trouble(*trouble, *ms, now),
        }
    }

    /// The executor with this number among those that have a process.
    pub(super) fn executor(&self, victim: u64) -> Option<String> {
        let there: Vec<String> = self
            .members
            .values()
            .filter(|member| member.is_executor && member.has_process())
            .map(|member| member.name.clone())
            .collect();
        nth(&there, victim)
    }

    fn kill_broker(&mut self, now: Instant) {
        if self.restarting.is_some() || self.broker_back.is_some_and(|back| now < back + BROKER_REST) {
            return;
        }
        // Not ours: it is left alone.
        let Some(mut broker) = self.stack.broker.take_if(|broker| broker.pid().is_some()) else { return };
        self.say.progress("kill -9 of the broker");
        self.counts.killed("broker");
        self.restarting = Some(tokio::task::spawn_blocking(move || {
            let ended = broker.kill().and_then(|()| broker.restart());
            ended.map(|()| broker).map_err(|error| format!("{error:#}"))
        }));
    }

    /// The venue gets into trouble for so long.
    pub(super) fn trouble(&mut self, trouble: Trouble, ms: u64, now: Instant) {
        if self.stack.fake.is_none() {
            return;
        }
        self.comfort();
        *self.counts.troubles.entry(trouble.name().to_owned()).or_default() += 1;
        let Some(fake) = &self.stack.fake else { return };
        let set = |faults: Faults| fake.set_faults(faults);
        match trouble {
            Trouble::Late { by_ms } => set(Faults { answer_late: 0.8, answer_late_ms: by_ms, ..Faults::default() }),
            Trouble::Never => set(Faults { never_answer: 0.5, ..Faults::default() }),
            Trouble::DropBefore => set(Faults { drop_before_recording: 0.3, ..Faults::default() }),
            Trouble::DropAfter => set(Faults { drop_after_recording: 0.3, ..Faults::default() }),
            Trouble::Odd => set(Faults { odd_error: 0.3, odd_error_refused: 0.3, ..Faults::default() }),
            Trouble::Http => set(Faults { http_error: 0.4, http_delay_ms: ms / 3, ..Faults::default() }),
            Trouble::Refuse => {
                fake.refuse_connections(Duration::from_millis(ms));
                fake.close_connections();
            }
            Trouble::Close => fake.close_connections(),
            Trouble::Silence => fake.set_silent(true),
        }
        self.trouble_until = Some(now + Duration::from_millis(ms));
    }

    /// The venue is well again.
    pub(super) fn comfort(&mut self) {
        self.trouble_until = None;
        if let Some(fake) = &self.stack.fake {
            fake.set_faults(Faults::default());
            fake.set_silent(false);
        }
    }

    /// No more faults and no more quotes: who stands goes on, who is down comes back, without a point.
    pub(super) fn cease(&mut self) {
        self.is_on = false;
        (self.storm, self.rolling) = (None, None);
        self.comfort();
        let now = Instant::now();
        self.terminate("ingest", now);
        for member in self.members.values_mut() {
            match member.phase {
                Phase::Paused(_) => member.phase = Phase::Paused(now),
                Phase::Down(_) if member.name == "ingest" => member.phase = Phase::Down(now + FOR_GOOD),
                Phase::Down(_) => member.phase = Phase::Down(now),
                _ => {}
            }
        }
    }
}

fn nth(names: &[String], number: u64) -> Option<String> {
    let at = number.checked_rem(names.len() as u64)?;
    names.get(usize::try_from(at).ok()?).cloned()
}
