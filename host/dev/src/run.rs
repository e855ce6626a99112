//! The course of a run: prepare, start, follow, drain, stop, sum up.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use unrip_bus::Record;
use unrip_core::VenueId;

use super::admin::{self, AuditReport};
use super::config::AUDIT;
use super::lag::all_caught_up;
use super::services::{INGEST, STOP_GRACE};
use super::show;
use super::stack::Stack;
use super::summary::Summary;
use super::tail::{self, Tail};
use super::tally::Tally;
use crate::args::DevArgs;
use unrip_operate::error::Error;
use unrip_operate::say::Say;

/// How often the end of a run is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After Ctrl-C: how long results that are still missing are waited for.
const INTERRUPTED_SETTLE: Duration = Duration::from_secs(2);
/// Silence on all topics after which nothing more is expected of them.
const SILENCE: Duration = Duration::from_secs(1);
/// How long the audit may take to have read everything.
const AUDIT_WAIT: Duration = Duration::from_secs(20);

/// Why the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The time or the quotes that were asked for are over.
    Done,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// A service ended by itself.
    Died,
}

/// Runs everything. The exit code.
///
/// # Errors
/// It could not be started.
pub async fn run(args: &DevArgs) -> Result<u8, Error> {
    let say = Say::new(args.json, args.quiet);
    let mut interrupts = interrupts()?;
    let mut stack = tokio::select! {
        stack = Stack::prepare(args, &say) => stack?,
        _ = interrupts.recv() => return Err(Error::Interrupted),
    };
    let summary = follow(args, &mut stack, &say, &mut interrupts).await?;
    stack.stop_rest(&say).await;
    say.summary(&match args.json {
        true => serde_json::to_string(&summary).map_err(|error| Error::Software(error.to_string()))?,
        false => summary.to_string(),
    });
    Ok(summary.exit_code)
}

/// Ctrl-C, SIGTERM and SIGHUP, as they come.
pub fn interrupts() -> Result<mpsc::Receiver<()>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(8);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind).map_err(|error| Error::Software(format!("no signal handler: {error}")))?;
        let sender = sender.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(()).await.is_ok() {} });
    }
    Ok(receiver)
}

/// What a run keeps while it flows.
struct Flow<'a> {
    say: &'a Say,
    tail: Tail,
    tally: Tally,
    newest: Instant,
    died: Vec<(String, String)>,
}

async fn follow(
    args: &DevArgs,
    stack: &mut Stack,
    say: &Say,
    interrupts: &mut mpsc::Receiver<()>,
) -> Result<Summary, Error> {
    let tail = Tail::start(&stack.bus, &stack.topics).await?;
    let mut flow = Flow { say, tail, tally: Tally::default(), newest: Instant::now(), died: Vec::new() };
    tokio::select! {
        started = stack.services.start_all(say) => started?,
        _ = interrupts.recv() => return Err(Error::Interrupted),
    }
    say.progress("all services run; Ctrl-C ends it");
    let started_at = Instant::now();
    let end = flow.until_end(args, stack, interrupts).await;
    let seconds = started_at.elapsed().as_secs_f64();
    let settle = match end {
        End::Done => args.settle,
        End::Interrupted => args.settle.min(INTERRUPTED_SETTLE),
        End::Died => Duration::ZERO,
    };
    // A second Ctrl-C ends the patience: what still runs is killed when the stack is dropped.
    let stopped = tokio::select! {
        stopped = flow.stop(stack, settle) => stopped,
        _ = interrupts.recv() => return Err(Error::Interrupted),
    };
    Ok(flow.summary(stack, seconds, stopped))
}

impl Flow<'_> {
    async fn until_end(&mut self, args: &DevArgs, stack: &mut Stack, interrupts: &mut mpsc::Receiver<()>) -> End {
        let over = args.run_for.map(|time| Instant::now() + time);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = self.tail.next() => self.take(batch),
                _ = interrupts.recv() => {
                    self.say.progress("stopping; Ctrl-C again kills everything at once");
                    return End::Interrupted;
                }
                _ = look.tick() => {
                    if self.look_for_dead(stack) {
                        return End::Died;
                    }
                    let enough = args.quotes.is_some_and(|quotes| self.has_all(stack, quotes));
                    if enough || over.is_some_and(|over| Instant::now() >= over) {
                        return End::Done;
                    }
                }
            }
        }
    }

    /// Whether every venue that has an ingestor has brought this many raw events.
    fn has_all(&self, stack: &Stack, quotes: u64) -> bool {
        let brings = stack.venues.iter().filter(|venue| venue.roles.contains_key(INGEST));
        let count = |name: &VenueId| self.tally.raw.get(name.as_str()).copied().unwrap_or(0);
        brings.map(|venue| count(&venue.name)).all(|count| count >= quotes)
    }

    fn take(&mut self, batch: Option<Result<Vec<Record>, unrip_bus::Error>>) {
        match batch {
            Some(Ok(records)) => {
                self.newest = Instant::now();
                for record in &records {
                    self.tally.add(record);
                    if let Some(line) = show::line(record) {
                        self.say.event(&line);
                    }
                }
            }
            Some(Err(error)) => self.say.progress(&format!("cannot follow the topics: {error}")),
            None => {}
        }
    }

    fn look_for_dead(&mut self, stack: &mut Stack) -> bool {
        while let Some((name, how)) = stack.died() {
            self.say.progress(&format!("{name} ended by itself ({how}):\n{}", stack.services.log_tail(&name, 10)));
            self.died.push((name, how));
        }
        !self.died.is_empty()
    }

    /// Stops ingest first, so that nothing new comes in, and lets the others finish what is there.
    async fn stop(&mut self, stack: &mut Stack, settle: Duration) -> Stopped {
        let mut ended: BTreeMap<String, String> = self.died.drain(..).collect();
        let died: Vec<String> = ended.keys().cloned().collect();
        self.stop_role(stack, INGEST, &mut ended).await;
        self.settle(stack, settle).await;
        for role in ["normalize", "react", "execute"] {
            self.stop_role(stack, role, &mut ended).await;
        }
        self.read_rest(stack).await;
        let audit = self.audit(stack).await;
        self.stop_role(stack, AUDIT, &mut ended).await;
        Stopped { ended, died, audit }
    }

    async fn stop_role(&mut self, stack: &mut Stack, role: &str, ended: &mut BTreeMap<String, String>) {
        for name in stack.services.names_of(role) {
            self.stop_service(stack, &name, ended).await;
        }
    }

    async fn stop_service(&mut self, stack: &mut Stack, name: &str, ended: &mut BTreeMap<String, String>) {
        let stopping = stack.services.stop(name, STOP_GRACE);
        let how = {
            tokio::pin!(stopping);
            loop {
                tokio::select! {
                    how = &mut stopping => break how,
                    batch = self.tail.next() => self.take(batch),
                }
            }
        };
        if let Some(how) = how {
            ended.insert(name.to_owned(), how);
        }
    }

    /// Waits until everything that came in has gone through, at most `settle`.
    async fn settle(&mut self, stack: &Stack, settle: Duration) {
        let until = Instant::now() + settle;
        while Instant::now() < until {
            if self.tally.open() == 0 && self.newest.elapsed() >= SILENCE && groups_are_done(stack).await {
                return;
            }
            if let Ok(batch) = timeout(LOOK_EVERY, self.tail.next()).await {
                self.take(batch);
            }
        }
        if self.tally.open() > 0 {
            self.say.progress(&format!("{} commands have no result yet; they count as open", self.tally.open()));
        }
    }

    /// Takes what was written before now.
    async fn read_rest(&mut self, stack: &Stack) {
        let Ok(ends) = tail::ends(&stack.bus, &stack.topics).await else { return };
        while !self.tail.has_seen(&ends) {
            // The end of a log may be a transaction's mark, which no reader sees: silence is the end then.
            match timeout(SILENCE, self.tail.next()).await {
                Ok(batch) => self.take(batch),
                Err(_) => return,
            }
        }
    }

    async fn audit(&self, stack: &Stack) -> Option<AuditReport> {
        let until = Instant::now() + AUDIT_WAIT;
        loop {
            let report = admin::report(&stack.services.admin_file(AUDIT)).await;
            match report {
                Ok(report) if report.complete || Instant::now() >= until => return Some(report),
                Err(reason) if Instant::now() >= until || !stack.services.is_running(AUDIT) => {
                    self.say.progress(&format!("the audit could not be asked: {reason}"));
                    return None;
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }

    fn summary(&self, stack: &Stack, seconds: f64, stopped: Stopped) -> Summary {
        let mut summary = Summary {
            exit_code: 0,
            seconds,
            broker: stack.broker.describe().to_owned(),
            brokers: stack.bus.brokers.clone(),
            dir: stack.dir.clone(),
            topics: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            commands: 0,
            results: BTreeMap::new(),
            open: 0,
            latency: None,
            audit: stopped.audit,
            services: stopped.ended,
            died: stopped.died,
        };
        summary.count(&self.tally);
        summary.judge();
        summary
    }
}

/// What became of the services.
struct Stopped {
    ended: BTreeMap<String, String>,
    died: Vec<String>,
    audit: Option<AuditReport>,
}

/// Whether normalize and react have taken everything that is there.
async fn groups_are_done(stack: &Stack) -> bool {
    match tail::ends(&stack.bus, &stack.topics).await {
        Ok(ends) => all_caught_up(&stack.bus, &stack.groups(), &ends).await,
        Err(_) => false,
    }
}
