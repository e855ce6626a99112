//! The one send of a claim, and the last word before bytes leave.

use std::sync::Arc;

use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::ExecuteTrade;
use unrip_service::clock::Clock;

use crate::command::intake::find_signer;
use crate::points::{Point, reach};
use crate::runtime::Input;
use crate::runtime::executor::Service;
use crate::runtime::gates::Gates;
use crate::venue::{Order, Outcome, Stop};
use unrip_protocol::partition::SendEnd;

impl Service {
    /// Sends a claimed action, beside the loop.
    pub(crate) fn dispatch(&self, partition: i32, id: CommandId) {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return };
        reach(Point::ClaimFolded);
        let payload = &held.cause.command.payload;
        let order = held.claimed.as_ref().and_then(|claimed| {
            let signer = find_signer(&self.signers, &claimed.action.scheme, &payload.account)?;
            let gate = last_gate(
                self.gates.clone(),
                Arc::clone(&self.ctx.clock),
                partition,
                (self.maker.venue.clone(), payload.account.clone()),
                payload.dispatch_by,
            );
            let (command, action) = (ExecuteTrade::from(payload), claimed.action.clone());
            Some(Order { partition, id, command, action, signer, gate })
        });
        let (link, inputs) = (self.link.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let outcome = match order {
                Some(order) => link.send(order).await,
                None => Outcome { end: SendEnd::NotHanded, answer_lost: false },
            };
            let _ = inputs.send(Input::Sent { partition, id, outcome }).await;
        });
    }
}

/// The last word before bytes leave: ours, in time, and nobody closed the switch.
fn last_gate(
    gates: Gates,
    clock: Arc<dyn Clock>,
    partition: i32,
    (venue, account): (String, String),
    dispatch_by: Timestamp,
) -> crate::venue::LastGate {
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
