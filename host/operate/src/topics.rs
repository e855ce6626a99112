//! `unrip topics ensure`, and the same step in `unrip dev`.

use unrip_bus::{BusConfig, Ensured};
use unrip_core::event::control::{ExecutionMode, FLEET, Mode, ScopeMode};
use unrip_core::topic::{TopicSpec, execution_topics, venue_topics};
use unrip_service::{Clock, Ids, SystemClock};

use crate::args::EnsureArgs;
use crate::error::Error;
use crate::modes;
use crate::say::Say;
use crate::topic_step;
use crate::venue::Venue;

/// Runs the command.
///
/// # Errors
/// A file cannot be read, the bus is away, or a topic differs from what is wanted.
pub async fn run(args: &EnsureArgs) -> Result<(), Error> {
    let say = Say::new(false, false);
    let venues = args.venue_files.iter().map(|file| Venue::read(file)).collect::<Result<Vec<_>, _>>()?;
    ensure(&BusConfig::at(&args.brokers), &venues, args.partitions, &say).await?;
    Ok(())
}

/// Makes the topics of these venues and of the execution side, and begins the journal.
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
    let ensured = topic_step::ensure(bus, &specs).await.map_err(cannot("cannot make the topics"))?;
    let created = ensured.iter().filter(|(_, ensured)| matches!(ensured, Ensured::Created { .. })).count();
    say.progress(&format!("{} topics, {created} of them new", ensured.len()));
    for (topic, ensured) in &ensured {
        for warning in ensured.warnings() {
            say.progress(&format!("topic {topic}: {warning}"));
        }
    }
    let ids = Ids::random();
    let journal = topic_step::begin_journal(bus, partitions, &ids, SystemClock.now()).await;
    if let Some(journal) = journal.map_err(cannot("cannot begin the journal"))? {
        say.progress(&format!("journal {journal}"));
    }
    Ok(specs)
}

/// Lets executors act, unless somebody has said otherwise: a fleet without a record is halted.
///
/// # Errors
/// The bus is away.
pub async fn activate(bus: &BusConfig, say: &Say) -> Result<(), Error> {
    let found = modes::all(bus).await.map_err(cannot("cannot read the kill switch"))?;
    if let Some(standing) = found.get(FLEET) {
        match standing {
            ScopeMode::Set(set) if set.mode == Mode::Active => {}
            ScopeMode::Set(set) => {
                say.progress(&format!("the fleet is {}, set by {}: {}", set.mode.as_str(), set.set_by, set.reason));
            }
            ScopeMode::Unreadable(reason) => say.progress(&format!("the fleet is halted: its record says {reason}")),
        }
        return Ok(());
    }
    let mode = ExecutionMode {
        scope: FLEET.to_owned(),
        mode: Mode::Active,
        reason: "development".to_owned(),
        set_by: "unrip dev".to_owned(),
        set_at: SystemClock.now(),
    };
    modes::set(bus, mode, &Ids::random()).await.map_err(cannot("cannot set the kill switch"))?;
    Ok(())
}

pub(crate) fn cannot(what: &'static str) -> impl FnOnce(topic_step::Error) -> Error {
    move |error| match error {
        topic_step::Error::Bus(source) => Error::Bus { what: what.to_owned(), source },
        other => Error::Unavailable(format!("{what}: {other}")),
    }
}
