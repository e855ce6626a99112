//! The last word before bytes leave.

use std::sync::Arc;

use unrip_core::Timestamp;
use unrip_service::clock::Clock;

use crate::runtime::gates::Gates;
use crate::venue::{LastGate, Stop};

/// The last word before bytes leave: ours, in time, and no switch is closed.
pub(crate) fn last_gate(
    gates: Gates,
    clock: Arc<dyn Clock>,
    partition: i32,
    (venue, account): (String, String),
    dispatch_by: Timestamp,
) -> LastGate {
    Box::new(move || {
        if !gates.is_active(partition) {
            return Some(Stop::Closed("gate_closed"));
        }
        if let Some(code) = gates.refusal(&venue, &account) {
            return Some(Stop::Closed(code));
        }
        gates.has_passed(dispatch_by, clock.now()).then_some(Stop::Late)
    })
}
