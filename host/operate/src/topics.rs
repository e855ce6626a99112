//! `unrip topics ensure`, and the same step in `unrip dev`: makes the topics that are missing and starts the journal.
//!
//! Services never make topics. This runs before them, once per cluster; running it again, or twice at once, changes nothing.

use unrip_bus::{Admin, BusConfig, Ensured};
use unrip_core::Uuid;
use unrip_core::event::control::{ExecutionMode, FLEET, Mode, ScopeMode};
use unrip_core::topic::{self, TopicSpec, execution_topics, venue_topics};
use unrip_service::{Clock, Ids, SystemClock};

use crate::args::EnsureArgs;
use crate::error::Error;
use crate::say::Say;
use crate::venue::Venue;
use crate::{journal_start, modes};

/// Runs the command.
///
/// # Errors
/// A file cannot be read, the bus is away, or a topic differs from what is wanted.
pub async fn run(args: &EnsureArgs) -> Result<(), Error> {
    let say = Say::new(false, false);
    let venues = args.venue_files.iter().map(|file| Venue::read(file)).collect::<Result<Vec<_>, _>>()?;
    ensure(&args.bus.bus()?, &venues, args.partitions, &say).await?;
    Ok(())
}

/// Makes the topics of these venues and of the execution side, and starts the journal.
///
/// # Errors
/// The bus is away, or a topic differs from what is wanted.
pub async fn ensure(bus: &BusConfig, venues: &[Venue], partitions: i32, say: &Say) -> Result<Vec<TopicSpec>, Error> {
    let mut specs = execution_topics(partitions);
    for venue in venues {
        for spec in venue_topics(&venue.name, &venue.streams, &venue.events, partitions) {
            if specs.iter().all(|known| known.name != spec.name) {
                specs.push(spec);
            }
        }
    }
    make(bus, &specs, topic::JOURNAL, partitions, say).await?;
    Ok(specs)
}

/// Makes the topics that are missing and starts the journal; its id, where a genesis of it is still retained.
///
/// # Errors
/// The bus is away, or a topic differs from what is wanted.
pub async fn make(
    bus: &BusConfig,
    specs: &[TopicSpec],
    journal: &str,
    partitions: i32,
    say: &Say,
) -> Result<Option<Uuid>, Error> {
    let cannot = || Error::bus("cannot make the topics");
    let ensured = Admin::new(bus).map_err(cannot())?.ensure_topics(specs).await.map_err(cannot())?;
    let created = ensured.iter().filter(|(_, ensured)| matches!(ensured, Ensured::Created { .. })).count();
    say.progress(&format!("{} topics, {created} of them new", ensured.len()));
    for (topic, ensured) in &ensured {
        for warning in ensured.warnings() {
            say.progress(&format!("topic {topic}: {warning}"));
        }
    }
    let journal_id = journal_start::start(bus, journal, partitions, &Ids::random(), SystemClock.now()).await?;
    if let Some(id) = journal_id {
        say.progress(&format!("journal {id}"));
    }
    Ok(journal_id)
}

/// Lets executors act, unless the fleet's mode is set already: a fleet without a record is halted.
///
/// # Errors
/// The bus is away.
pub async fn activate(bus: &BusConfig, say: &Say) -> Result<(), Error> {
    let found = modes::all(bus).await?;
    match found.get(FLEET) {
        Some(ScopeMode::Set(set)) if set.mode == Mode::Active => return Ok(()),
        Some(ScopeMode::Set(set)) => {
            say.progress(&format!("the fleet is {}, set by {}: {}", set.mode.as_str(), set.set_by, set.reason));
            return Ok(());
        }
        Some(ScopeMode::Unreadable(reason)) => {
            say.progress(&format!("the fleet is halted: its record cannot be read ({reason})"));
            return Ok(());
        }
        None => {}
    }
    let mode = ExecutionMode {
        scope: FLEET.to_owned(),
        mode: Mode::Active,
        reason: "development".to_owned(),
        set_by: "unrip dev".to_owned(),
        set_at: SystemClock.now(),
    };
    modes::set(bus, mode, &Ids::random()).await?;
    Ok(())
}
