//! Doing what the plan says.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::campaign::{Campaign, Rolling, Storm};
use super::member::Phase;
use super::plan::{Fault, LATE, NONE, VenueFault};
use unrip_dev::fakes::Fake;
use unrip_operate::error::Error;

/// How long a broker is left alone after it came back.
const BROKER_REST: Duration = Duration::from_secs(25);
/// Longer than any campaign: a service that is not started again.
pub(super) const FOR_GOOD: Duration = Duration::from_secs(7 * 86_400);

impl Campaign<'_> {
    /// Inflicts a fault; what is not there to be hit is spared.
    ///
    /// # Errors
    /// The venue's fake does not do what it is asked for.
    pub(super) async fn inflict(&mut self, fault: &Fault, now: Instant) -> Result<(), Error> {
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
            Fault::Storm { ms } if self.lasting.storm.is_none() => {
                self.counts.storms += 1;
                self.lasting.storm = Some(Storm { until: now + Duration::from_millis(*ms), next_move: now });
            }
            Fault::Rolling if self.lasting.rolling.is_none() => {
                let left = self.stack.services.names_of("execute").into();
                self.lasting.rolling = Some(Rolling { left, since: now });
            }
            Fault::Storm { .. } | Fault::Rolling => {}
            Fault::Broker => self.kill_broker(now),
            Fault::Venue(fault) => self.disturb_venue(fault, now).await?,
        }
        Ok(())
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
        if self.lasting.broker_back.is_some_and(|back| now < back + BROKER_REST) {
            return;
        }
        if self.stack.broker.kill_and_restart() {
            self.say.progress("kill -9 of the broker");
            self.counts.killed("broker");
        }
    }

    /// The fake of the campaign's only venue.
    fn fake(&self) -> Option<&Fake> {
        self.stack.venues.first().and_then(|venue| self.stack.fakes.of(&venue.name))
    }

    /// Whether the venue declares a fault of this name.
    pub(super) fn venue_has(&self, name: &str) -> bool {
        let described = self.stack.venues.first().and_then(|venue| venue.dev.fake.as_ref());
        self.fake().is_some() && described.is_some_and(|fake| fake.faults.iter().any(|known| known == name))
    }

    /// Asks the venue's fake for a fault, in place of the one before.
    ///
    /// # Errors
    /// It does not do what it is asked for.
    pub(super) async fn disturb_venue(&mut self, fault: &VenueFault, now: Instant) -> Result<(), Error> {
        let Some(fake) = self.fake() else { return Ok(()) };
        let mut request = json!({"fault": fault.name, "ms": fault.ms});
        if let (LATE, Some(fields)) = (fault.name.as_str(), request.as_object_mut()) {
            fields.insert("by_ms".to_owned(), fault.by_ms.into());
        }
        fake.control(&request).await?;
        *self.counts.venue_faults.entry(fault.name.clone()).or_default() += 1;
        self.lasting.venue_until = Some(now + Duration::from_millis(fault.ms));
        Ok(())
    }

    /// Ends the venue's fault.
    ///
    /// # Errors
    /// The venue's fake does not do what it is asked for.
    pub(super) async fn heal_venue(&mut self) -> Result<(), Error> {
        self.lasting.venue_until = None;
        match self.fake() {
            Some(fake) => fake.control(&json!({"fault": NONE})).await.map(drop),
            None => Ok(()),
        }
    }

    /// Stops injecting faults and quotes; restarts services that are down, without a point.
    ///
    /// # Errors
    /// The venue's fake does not do what it is asked for.
    pub(super) async fn cease(&mut self) -> Result<(), Error> {
        self.is_on = false;
        (self.lasting.storm, self.lasting.rolling) = (None, None);
        self.heal_venue().await?;
        let now = Instant::now();
        let ingests: Vec<String> =
            self.members.values().filter(|member| member.is_ingest).map(|member| member.name.clone()).collect();
        for name in ingests {
            self.terminate(&name, now);
        }
        for member in self.members.values_mut() {
            match member.phase {
                Phase::Paused(_) => member.phase = Phase::Paused(now),
                Phase::Down(_) if member.is_ingest => member.phase = Phase::Down(now + FOR_GOOD),
                Phase::Down(_) => member.phase = Phase::Down(now),
                _ => {}
            }
        }
        Ok(())
    }
}

fn nth(names: &[String], number: u64) -> Option<String> {
    let at = number.checked_rem(names.len() as u64)?;
    names.get(usize::try_from(at).ok()?).cloned()
}
