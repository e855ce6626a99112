//! The course of a campaign: prepare, start, faults, rest, stop, judge.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use unrip_testkit::broker::Kind;

use super::args::{ChaosArgs, FaultKind};
use super::arms::Arms;
use super::books::Books;
use super::campaign::{Campaign, Until};
use super::judge::{Findings, judge};
use super::plan::{Bounds, Plan};
use super::report::{Report, by_point};
use super::setup::{self, SESSION_MS};
use super::verdict::Breach;
use unrip_dev::admin::{self, AuditReport};
use unrip_dev::config::AUDIT;
use unrip_dev::run::interrupts;
use unrip_dev::services::STOP_GRACE;
use unrip_dev::stack::{Stack, make_dir};
use unrip_dev::tail::Tail;
use unrip_dev::workspace::Workspace;
use unrip_operate::error::{self, Error};
use unrip_operate::say::Say;
use unrip_operate::venue::Venue;

/// Kills where neither their number nor a time was asked for.
const KILLS_DEFAULT: u64 = 100;
/// How long the audit may take to have read everything.
const AUDIT_WAIT: Duration = Duration::from_secs(30);
/// How often it is asked.
const AUDIT_EVERY: Duration = Duration::from_millis(200);

/// Runs a campaign. The exit code.
///
/// # Errors
/// It could not be started, or not be judged.
pub async fn run(args: &ChaosArgs) -> Result<u8, Error> {
    let say = Say::new(args.json, true);
    let workspace = Workspace::find()?;
    if args.list_points {
        let points = setup::points(&workspace.bin_dir.join("unrip-execute"))?;
        say.summary(&points.join("\n"));
        return Ok(error::OK);
    }
    let report = report(args, &workspace, &say).await?;
    say.summary(&match args.json {
        true => serde_json::to_string(&report).map_err(|error| Error::Software(error.to_string()))?,
        false => report.to_string(),
    });
    Ok(report.exit_code)
}

/// Runs a campaign to its report.
///
/// # Errors
/// It could not be started, or not be judged.
async fn report(args: &ChaosArgs, workspace: &Workspace, say: &Say) -> Result<Report, Error> {
    let mut interrupts = interrupts()?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    say.progress(&format!("seed {seed}"));
    let stack = tokio::select! {
        stack = prepare(args, workspace, say) => stack?,
        _ = interrupts.recv() => return Err(Error::Interrupted),
    };
    let points = setup::chosen(args, setup::points(&stack.services.program("execute"))?)?;
    let tail = Tail::start(&stack.bus, &stack.topics).await?;
    let mut stack = stack;
    tokio::select! {
        started = stack.services.start_all(say) => started?,
        _ = interrupts.recv() => return Err(Error::Interrupted),
    }
    say.progress(&format!("{} executors and everything else run; the faults start", args.executors));
    let has_fake = |venue: &&Venue| stack.fakes.of(&venue.name).is_some();
    let described = stack.venues.iter().find(has_fake).and_then(|venue| venue.dev.fake.as_ref());
    let venue_faults = described.map(|fake| fake.faults.clone()).unwrap_or_default();
    let plan = Plan::new(seed, Bounds { session_ms: SESSION_MS, venue_faults }, |kind| args.wants(kind));
    let arms = Arms::new(seed, points, args.wants(FaultKind::Stop));
    let mut campaign = Campaign::new(stack, tail, plan, arms, seed, SESSION_MS, say);
    let started_at = Instant::now();
    let kills = args.kills.or_else(|| args.run_for.is_none().then_some(KILLS_DEFAULT));
    let until = Until { kills, time: args.run_for.map(|time| started_at + time) };
    campaign.run(until, &mut interrupts).await?;
    let seconds = started_at.elapsed().as_secs_f64();
    say.progress("the faults end; everything comes to rest");
    let is_at_rest = campaign.settle(args.settle, &mut interrupts).await?;
    let open = campaign.flow.tally.open();
    // Not every broker says truly how far a group is; what counts is that every command has ended.
    if !is_at_rest && open > 0 {
        let said = format!("not at rest {} s after the faults: {open} commands open", args.settle.as_secs());
        campaign.breaches.push(Breach::new("no_rest", said));
    }
    say.progress("reading everything again");
    end(campaign, seed, seconds, say, &mut interrupts).await
}

fn fresh_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

async fn prepare(args: &ChaosArgs, workspace: &Workspace, say: &Say) -> Result<Stack, Error> {
    let venue = Venue::choose(&workspace.root, args.venue.as_ref())?;
    let (shape, accounts) = setup::shape(args, venue);
    let dir = make_dir(args.dir.as_deref(), workspace)?;
    let asked = setup::dev_args(args, &dir, &shape, &accounts)?;
    Stack::prepare_shape(&asked, shape, say).await
}

/// Stops everything in order and judges.
async fn end(
    campaign: Campaign<'_>,
    seed: u64,
    seconds: f64,
    say: &Say,
    interrupts: &mut mpsc::Receiver<()>,
) -> Result<Report, Error> {
    let Campaign { mut stack, counts, arms, mut breaches, .. } = campaign;
    for role in ["ingest", "normalize", "react", "execute"] {
        for name in stack.services.names_of(role) {
            if let Some(how) = stack.services.stop(&name, STOP_GRACE).await
                && how != "exit code 0"
            {
                breaches.push(Breach::new("ended_badly", format!("{name} was asked to stop: {how}")));
            }
        }
    }
    let audit = audit(&stack).await;
    stack.services.stop(AUDIT, STOP_GRACE).await;
    let fakes = stack.venues.iter().filter_map(|venue| stack.fakes.of(&venue.name));
    let ledger = fakes.map(|fake| fake.ledger().to_owned()).next();
    let books = tokio::select! {
        books = Books::read(&stack.bus, ledger.as_deref()) => books?,
        _ = interrupts.recv() => return Err(Error::Interrupted),
    };
    let repeats = stack.broker.kind() == Some(Kind::Nisshi);
    let findings = judge(&books, repeats);
    let (broker, dir) = (stack.broker.describe().to_owned(), stack.dir.clone());
    stack.stop_rest(say).await;
    let Findings { commands, results, duplicates, losses, doubts, accepted_unheard, answers, breaches: found } =
        findings;
    breaches.extend(found);
    let clean = audit.as_ref().is_some_and(|audit| !audit.broken());
    let (kills_by_point, stops_by_point, unreached) = by_point(&arms);
    Ok(Report {
        exit_code: if breaches.is_empty() && clean { error::OK } else { error::PROMISE_BROKEN },
        seed,
        seconds,
        broker,
        dir,
        kills: counts.kills_total(),
        done: counts,
        kills_by_point,
        stops_by_point,
        unreached,
        commands,
        answers,
        results,
        duplicates,
        losses,
        doubts,
        accepted_unheard,
        journal: books.journal_counts(),
        takeovers: books.takeovers(),
        audit,
        breaches,
    })
}

async fn audit(stack: &Stack) -> Option<AuditReport> {
    let until = Instant::now() + AUDIT_WAIT;
    loop {
        match admin::report(&stack.services.admin_file(AUDIT)).await {
            Ok(report) if report.complete || Instant::now() >= until => return Some(report),
            Err(_) if Instant::now() >= until => return None,
            _ => sleep(AUDIT_EVERY).await,
        }
    }
}
