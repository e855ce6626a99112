//! `unrip halt`, `unrip resume` and `unrip reduce-only`.

use unrip_bus::{Admin, BusConfig};
use unrip_core::event::control::{ExecutionMode, Mode, Modes, ScopeMode};
use unrip_core::{VenueId, topic};
use unrip_service::{Clock, Ids, SystemClock};

use super::args::{HaltArgs, ModeArgs};
use super::scope::Scope;
use super::{print, reason, who, who_must_be_known};
use crate::error::{self, Error};
use crate::modes::{self, Change};

/// Runs `unrip halt`. Does only what is needed to write the record, so that halting stays fast.
///
/// # Errors
/// The brokers are away: the mode is not set, or it is not known whether it is.
pub async fn halt(args: &HaltArgs) -> Result<u8, Error> {
    let by = who(args.by.as_deref()).unwrap_or_else(|| "unknown".to_owned());
    set(&args.bus.bus()?, &args.scope, Mode::Halted, &args.reason, by).await
}

/// Runs `unrip resume`.
///
/// # Errors
/// As [`halt`].
pub async fn resume(args: &ModeArgs) -> Result<u8, Error> {
    let by = who_must_be_known(args.by.as_deref())?;
    set(&args.bus.bus()?, &args.scope, Mode::Active, &reason(&args.reason)?, by).await
}

/// Runs `unrip reduce-only`.
///
/// # Errors
/// As [`halt`].
pub async fn reduce_only(args: &ModeArgs) -> Result<u8, Error> {
    let by = who_must_be_known(args.by.as_deref())?;
    set(&args.bus.bus()?, &args.scope, Mode::ReduceOnly, &reason(&args.reason)?, by).await
}

async fn set(bus: &BusConfig, scope: &Scope, mode: Mode, reason: &str, by: String) -> Result<u8, Error> {
    let record = ExecutionMode {
        scope: scope.to_string(),
        mode,
        reason: reason.to_owned(),
        set_by: by,
        set_at: SystemClock.now(),
    };
    let change = modes::set(bus, record, &Ids::random()).await?;
    for line in said(scope, mode, &change) {
        print(&line);
    }
    if let Some(venue) = scope.venue()
        && !is_known(bus, venue).await
    {
        print(&format!("WARNING: this broker has no topics of a venue `{venue}`: is it written right?"));
    }
    Ok(error::OK)
}

/// A venue that the topic step was run for has this topic. A question that fails decides nothing.
async fn is_known(bus: &BusConfig, venue: &VenueId) -> bool {
    let Ok(admin) = Admin::new(bus) else { return true };
    admin.describe(&topic::dead_frames(venue)).await.map_or(true, |found| found.is_some())
}

/// The lines that report a change to the operator.
fn said(scope: &Scope, mode: Mode, change: &Change) -> Vec<String> {
    let before = match (&change.before, scope) {
        (Some(before), _) => before.mode().as_str().to_owned(),
        (None, Scope::Fleet) => "halted (nothing was set)".to_owned(),
        (None, _) => "not set".to_owned(),
    };
    let mut lines = vec![format!("{scope}: {before} -> {}, confirmed", mode.as_str())];
    if let Some(now) = change.now.get(&scope.to_string())
        && now.mode() != mode
    {
        lines.push(format!("WARNING: it has been set again since: {}", described(now)));
    }
    if mode == Mode::ReduceOnly {
        lines.push("note: venues whose positions are not known refuse everything, like halted".to_owned());
    }
    lines.extend(stricter(scope, mode, &change.now));
    lines
}

/// Scopes that still refuse what this mode would allow.
fn stricter(scope: &Scope, mode: Mode, now: &Modes) -> Vec<String> {
    let own = scope.to_string();
    let mut lines = Vec::new();
    if *scope != Scope::Fleet && now.get(&Scope::Fleet.to_string()).is_none() && mode < Mode::Halted {
        lines.push("still stricter: fleet is halted (nothing was set); see `unrip resume --help`".to_owned());
    }
    for (other, standing) in now.iter().filter(|(other, _)| *other != own) {
        // A scope that cannot be read is shown rather than hidden.
        let meets = other.parse::<Scope>().map_or(true, |other| other.meets(scope));
        if meets && standing.mode() > mode {
            lines.push(format!("still stricter: {other} is {}", described(standing)));
        }
    }
    lines
}

fn described(standing: &ScopeMode) -> String {
    match standing {
        ScopeMode::Set(set) => format!("{}, by {} at {}: {}", set.mode.as_str(), set.set_by, set.set_at, set.reason),
        ScopeMode::Unreadable(reason) => format!("halted: its record cannot be read ({reason})"),
    }
}
