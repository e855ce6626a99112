//! The campaign: services run, faults come, what ended is started again, until it is enough; then everything comes to rest.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use unrip_bus::Record;

use super::arms::Arms;
use super::counts::Counts;
use super::member::{Member, Phase};
use super::plan::{Fault, Plan};
use super::rng::Rng;
use super::verdict::Breach;
use unrip_dev::lag::all_caught_up;
use unrip_dev::stack::Stack;
use unrip_dev::tail::{self, Tail};
use unrip_dev::tally::Tally;
use unrip_operate::error::Error;
use unrip_operate::say::Say;

/// How often processes and times are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often a line of progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);
/// Silence on all topics after which nothing more is expected of them.
const SILENCE: Duration = Duration::from_millis(1_500);
/// How often it is asked whether everything has come to rest.
const REST_EVERY: Duration = Duration::from_millis(500);

/// When the faults end: at the first of both.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// After so many kills.
    pub kills: Option<u64>,
    /// At this time.
    pub time: Option<Instant>,
}

/// A running campaign.
pub struct Campaign<'a> {
    pub(super) say: &'a Say,
    pub(super) stack: Stack,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) counts: Counts,
    pub(super) arms: Arms,
    /// Choices that depend on what happens: they are not of the plan.
    pub(super) rng: Rng,
    /// The group's patience with a member, in milliseconds.
    pub(super) session_ms: u64,
    /// Whether faults still come.
    pub(super) is_on: bool,
    pub(super) breaches: Vec<Breach>,
    /// Faults that last.
    pub(super) lasting: Lasting,
    plan: Plan,
    next_fault: (Instant, Fault),
    pub(super) flow: Flow,
    started_at: Instant,
}

/// Faults that last for a while, and what they do next.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    /// When the venue's fault ends.
    pub(super) venue_until: Option<Instant>,
    /// A storm of rebalances.
    pub(super) storm: Option<Storm>,
    /// A rolling restart.
    pub(super) rolling: Option<Rolling>,
    /// When the broker last came back.
    pub(super) broker_back: Option<Instant>,
}

/// Executors come and go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm {
    pub(super) until: Instant,
    pub(super) next_move: Instant,
}

/// A rolling restart of all executors.
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    /// Those that are still to be restarted, the first of them now.
    pub(super) left: VecDeque<String>,
    pub(super) since: Instant,
}

/// What is written while the campaign runs.
pub(super) struct Flow {
    tail: Tail,
    pub(super) tally: Tally,
    newest: Instant,
}

impl Flow {
    fn take(&mut self, batch: Option<Result<Vec<Record>, unrip_bus::Error>>) {
        if let Some(Ok(records)) = batch {
            self.newest = Instant::now();
            records.iter().for_each(|record| self.tally.add(record));
        }
    }

    /// Whether every command has its result and nothing was written for a while.
    fn is_quiet(&self) -> bool {
        self.tally.open() == 0 && self.newest.elapsed() >= SILENCE
    }
}

impl std::fmt::Debug for Campaign<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Campaign").finish_non_exhaustive()
    }
}

impl<'a> Campaign<'a> {
    /// A campaign on a system whose services all run.
    pub fn new(stack: Stack, tail: Tail, plan: Plan, arms: Arms, seed: u64, session_ms: u64, say: &'a Say) -> Self {
        let now = Instant::now();
        let member = |name: String| {
            let mut member = Member::new(&name, now);
            member.phase = Phase::Up;
            (name, member)
        };
        let members = stack.services.names().into_iter().map(member).collect();
        let mut campaign = Self {
            say,
            stack,
            members,
            counts: Counts::default(),
            arms,
            rng: Rng::new(seed ^ 0x5eed),
            session_ms,
            is_on: true,
            breaches: Vec::new(),
            lasting: Lasting::default(),
            plan,
            next_fault: (now, Fault::Rolling),
            flow: Flow { tail, tally: Tally::default(), newest: now },
            started_at: now,
        };
        campaign.draw(now);
        campaign
    }

    fn draw(&mut self, now: Instant) {
        let (pause, fault) = self.plan.draw();
        self.next_fault = (now + pause, fault);
    }

    /// Lets faults come until it is enough. False: interrupted.
    ///
    /// # Errors
    /// A program cannot be run.
    pub async fn run(&mut self, until: Until, interrupts: &mut mpsc::Receiver<()>) -> Result<bool, Error> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut progress = Instant::now() + PROGRESS;
        loop {
            tokio::select! {
                batch = self.flow.tail.next() => self.flow.take(batch),
                _ = interrupts.recv() => return Ok(false),
                _ = look.tick() => {
                    let now = Instant::now();
                    self.poll(now).await?;
                    if now >= self.next_fault.0 {
                        let fault = self.next_fault.1.clone();
                        self.inflict(&fault, now).await?;
                        self.draw(now);
                    }
                    self.report_progress(now, &mut progress);
                    let enough = until.kills.is_some_and(|kills| self.counts.kills_total() >= kills);
                    if enough || until.time.is_some_and(|time| now >= time) {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// No more faults, no more quotes: waits until every command has its result, at most `wait`. Whether it came to rest.
    ///
    /// # Errors
    /// A program cannot be run.
    pub async fn settle(&mut self, wait: Duration, interrupts: &mut mpsc::Receiver<()>) -> Result<bool, Error> {
        self.cease().await?;
        let until = Instant::now() + wait;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ask, mut progress) = (Instant::now(), Instant::now() + PROGRESS);
        loop {
            tokio::select! {
                batch = self.flow.tail.next() => self.flow.take(batch),
                _ = interrupts.recv() => return Ok(false),
                _ = look.tick() => {
                    let now = Instant::now();
                    self.poll(now).await?;
                    self.report_progress(now, &mut progress);
                    if now >= ask {
                        ask = now + REST_EVERY;
                        if self.is_at_rest().await {
                            return Ok(true);
                        }
                    }
                    if now >= until {
                        return Ok(false);
                    }
                }
            }
        }
    }

    async fn is_at_rest(&self) -> bool {
        let is_running = self.members.values().all(|member| member.is_up() || member.is_ingest);
        if !is_running || self.stack.broker.is_restarting() || !self.flow.is_quiet() {
            return false;
        }
        match tail::ends(&self.stack.bus, &self.stack.topics).await {
            Ok(ends) => all_caught_up(&self.stack.bus, &self.stack.groups(), &ends).await,
            Err(_) => false,
        }
    }

    /// A line of progress when it is due.
    fn report_progress(&self, now: Instant, next: &mut Instant) {
        if now >= *next {
            *next = now + PROGRESS;
            self.say.progress(&self.line());
        }
    }

    fn line(&self) -> String {
        let results: Vec<String> =
            self.flow.tally.results.iter().map(|(status, count)| format!("{status} {count}")).collect();
        let up = self.members.values().filter(|member| member.is_executor && member.is_up()).count();
        format!(
            "{:>4.0} s: {} kills, {} commands, {} open, {} executors up, results: {}",
            self.started_at.elapsed().as_secs_f64(),
            self.counts.kills_total(),
            self.flow.tally.commands(),
            self.flow.tally.open(),
            up,
            results.join(", ")
        )
    }
}
