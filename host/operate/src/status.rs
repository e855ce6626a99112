//! `unrip status`: what executors may do, who holds which partition, what is open, in doubt or not published yet.

use std::collections::{BTreeMap, BTreeSet};

use unrip_bus::BusConfig;
use unrip_core::event::result::TradeResult;
use unrip_core::{Envelope, Timestamp, topic};
use unrip_service::{Clock, SystemClock};

use crate::args::StatusArgs;
use crate::error::{self, Error};
use crate::journal_reading::Journal;
use crate::status_report::{Status, report};
use crate::{groups, modes, print, reading, status_text};

/// Runs the command.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn run(args: &StatusArgs) -> Result<u8, Error> {
    let status = look(&args.bus.bus()?, SystemClock.now()).await?;
    let text = match args.json {
        true => serde_json::to_string(&status).map_err(|error| Error::Software(error.to_string()))?,
        false => status_text::text(&status),
    };
    print(&text);
    Ok(error::OK)
}

/// Looks at everything.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn look(bus: &BusConfig, now: Timestamp) -> Result<Status, Error> {
    let modes = modes::all(bus).await?;
    let mut journals: BTreeMap<i32, Journal> = BTreeMap::new();
    let bounds = reading::journal(bus, |record| {
        journals.entry(record.partition).or_insert_with(|| Journal::new(None)).fold(record);
    })
    .await?;
    // Read after the journal: a result is published after its outcome, so none is missed.
    let results = reading::bounds(bus, topic::TRADE_RESULT).await?;
    reading::each(bus, topic::TRADE_RESULT, &results, |record| {
        let journal = journals.get_mut(&record.partition);
        if let (Some(journal), Ok(result)) = (journal, Envelope::<TradeResult>::decode(&record.value)) {
            journal.published(&result.payload.command_id);
        }
    })
    .await?;
    let commands = reading::bounds(bus, topic::EXECUTE_TRADE).await?;
    let venues: BTreeSet<&String> = journals.values().flat_map(|journal| journal.fences().keys()).collect();
    let mut all_groups = Vec::new();
    for venue in venues {
        all_groups.push(groups::state(bus, venue, &commands).await);
    }
    Ok(report(now, &modes, &bounds, &journals, all_groups))
}
