//! A command's way to its claim: judged, prepared by the module, admitted by the limits.

use std::sync::Arc;
use std::time::Instant;

use unrip_bus::Record;
use unrip_core::event::journal::Reserve;
use unrip_core::{CommandId, id::sha256_hex};
use unrip_engine::executor::{self, Action, ExecuteTrade};
use unrip_service::RunError;

use crate::journal::records::Cause;
use crate::points::{Point, reach};
use crate::runtime::Input;
use crate::runtime::executor::Service;
use crate::runtime::partition::{Claimed, Held};
use crate::signer::Signer;
use unrip_protocol::intake::{CommandRecord, Intake, judge};
use unrip_protocol::limits::{self, Balance, Promise, Refused};
use unrip_protocol::partition::{Event, Incoming, Preparation, Refusal};

impl Service {
    /// Takes a record of the command topic.
    pub(crate) fn command(&mut self, record: Record) -> Result<(), RunError> {
        let now = self.now();
        let (partition, offset) = (record.partition, record.offset);
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        if !slot.core.is_active() {
            return Ok(());
        }
        reach(Point::CommandReceived);
        slot.next_offset = slot.next_offset.max(offset + 1);
        let raw = CommandRecord {
            partition,
            partitions: self.partitions,
            offset,
            key: record.key.as_deref(),
            value: &record.value,
        };
        let incoming = match judge(raw, &self.maker.venue) {
            Intake::Foreign => Incoming::Foreign { offset },
            Intake::Unacceptable(why) => {
                Incoming::Unacceptable { offset, id: why.id, code: why.code, reason: why.reason }
            }
            Intake::Ours { head, command, envelope } => {
                let refusal = self.gates.refusal(&self.maker.venue, &command.payload.account);
                let refusal = refusal
                    .map(|code| Refusal { code: code.to_owned(), reason: "the kill switch is closed".to_owned() });
                let cause = Cause { command: *command, trace: record.trace() };
                let held = Held { head: head.clone(), cause, envelope, claimed: None, taken_up: Instant::now() };
                // A record that repeats a command keeps what is known of the first.
                slot.held.entry(head.id).or_insert(held);
                Incoming::Ours(head, refusal)
            }
        };
        let effects = self.decide(partition, Event::Command(incoming), now)?;
        reach(Point::CommandJudged);
        if let Some(slot) = self.slots.get_mut(&partition) {
            slot.in_hand = Some(record);
        }
        self.perform_all(partition, effects, now)?;
        if let Some(slot) = self.slots.get_mut(&partition) {
            slot.in_hand = None;
        }
        Ok(())
    }

    pub(crate) fn prepare(&self, partition: i32, id: CommandId) {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return };
        reach(Point::PrepareBefore);
        let command = ExecuteTrade::from(&held.cause.command.payload);
        let account = held.cause.command.payload.account.clone();
        let (now, facts) = (self.now(), self.link.facts().at(self.now()));
        let (desk, inputs, signers) = (self.desk.clone(), self.inputs.clone(), Arc::clone(&self.signers));
        tokio::spawn(async move {
            let prepared = desk.ask(move |executor| executor.prepare(&command, &facts, now)).await;
            let never = |code: &str, reason: String| (None, Preparation::Never { code: code.to_owned(), reason });
            let (action, preparation) = match prepared {
                Some(Ok(Ok(action))) if find_signer(&signers, &action.scheme, &account).is_none() => {
                    let scheme = &action.scheme;
                    never("limit_signer", format!("no [signer] signs `{scheme}` for account `{account}`"))
                }
                Some(Ok(Ok(action))) => (Some(action), Preparation::Ready),
                Some(Ok(Err(executor::Refusal::NotYet(reason)))) => {
                    tracing::debug!(command_id = %id, code = reason.code, reason = reason.text, "not prepared yet");
                    (None, Preparation::NotYet)
                }
                Some(Ok(Err(executor::Refusal::Never(reason)))) => {
                    never("module_refused", format!("{}: {}", reason.code, reason.text))
                }
                Some(Err(fault)) => never("module_refused", fault.to_string()),
                None => return,
            };
            let _ = inputs.send(Input::Prepared { partition, id, action, preparation }).await;
        });
    }

    /// Holds the prepared action against the limits, and keeps it if it may be claimed.
    pub(crate) fn admit(
        &mut self,
        partition: i32,
        id: CommandId,
        action: Option<Action>,
        preparation: Preparation,
    ) -> Preparation {
        let now = self.now();
        let Some(slot) = self.slots.get_mut(&partition) else { return preparation };
        let (Some(action), Some(held)) = (action, slot.held.get_mut(&id)) else { return preparation };
        let command = &held.cause.command.payload;
        let reserves: Vec<Reserve> = action.reserves.iter().filter_map(reserve).collect();
        let gives = limits::gives(command, &reserves);
        let promise = Promise { account: command.account.clone(), gives: gives.clone(), deadline: command.deadline };
        let facts = self.link.facts();
        let balance = |account: &str, asset: &str| {
            let (value, asked_at) = facts.get(&format!("balance/{account}/{asset}"))?;
            Some(Balance { amount: value.parse().ok()?, asked_at })
        };
        let refused = match self.limits.check(command, &gives) {
            Some(refused) => Err(refused),
            None => slot.inventory.admit(id, promise, &self.limits, balance, now),
        };
        match refused {
            Ok(()) => {
                let digest = sha256_hex(&action.unsigned);
                slot.index.keep(id, &command.venue_ref, digest.clone());
                held.claimed = Some(Claimed { digest, action, gives });
                preparation
            }
            Err(Refused::Limit { code, reason }) => Preparation::Never { code: code.to_owned(), reason },
            Err(Refused::NotYet(reason)) => {
                tracing::debug!(command_id = %id, reason, "not admitted yet");
                Preparation::NotYet
            }
        }
    }
}

/// The engine has checked that it is an amount.
fn reserve((asset, amount): &(String, String)) -> Option<Reserve> {
    Some(Reserve { asset: asset.clone(), amount: amount.parse().ok()? })
}

pub(crate) fn find_signer(signers: &[Arc<dyn Signer>], scheme: &str, account: &str) -> Option<Arc<dyn Signer>> {
    signers.iter().find(|signer| signer.scheme() == scheme && signer.account() == account).cloned()
}
