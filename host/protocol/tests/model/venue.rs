//! What the venue says when it is asked, and what is true.

use unrip_core::CommandId;
use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_protocol::partition::{Ending, Known, Resolution};

use super::mutants::Mutant;
use super::state::{State, TIMES, Venue};
use super::world::World;
use crate::common::at;

/// What became of a command whose time is over.
pub fn truth(venue: &Venue, id: &CommandId) -> ResultStatus {
    if venue.accepted.contains(id) { ResultStatus::Executed } else { ResultStatus::NotExecuted }
}

/// The table of RECORDS: `executed` if it was accepted, negative only past the deadline by the venue's own time.
pub fn ask(world: &World, state: &State, id: &CommandId) -> Resolution {
    let past = state.time + 1 == TIMES.len()
        || world.mutant == Some(Mutant::EarlyVerdict)
        || state.time > 0 && world.mutant == Some(Mutant::VerdictAtDispatchBy);
    if !world.can_ask {
        return Resolution::Final(ending(ResultStatus::Unresolved, "asked"));
    }
    if state.venue.accepted.contains(id) || past {
        return Resolution::Final(ending(truth(&state.venue, id), "asked"));
    }
    Resolution::WaitUntil(at(TIMES[state.time + 1]))
}

pub fn ending(status: ResultStatus, code: &str) -> Ending {
    let known = Known { kind: EvidenceKind::VenueAnswer, received_at: at(0), venue_time: None, detail: None };
    Ending { status, code: code.to_owned(), note: None, evidence: Some(known) }
}
