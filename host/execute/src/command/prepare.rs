//! From the module's answer to what may be claimed: signer, limits, inventory.

use std::sync::Arc;

use unrip_core::event::journal::Reserve;
use unrip_core::{CommandId, ModuleRef, Timestamp, id::sha256_hex};
use unrip_engine::Fault;
use unrip_engine::executor::{Action, Refusal};
use unrip_protocol::limits::{self, Balance, Limits, Promise, Refused};
use unrip_protocol::partition::Preparation;
use unrip_service::module::Answer;

use crate::command::open::Claimed;
use crate::runtime::partition::PartitionState;
use crate::signer::Signers;
use crate::venue::Facts;

/// What the module made of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Prepared {
    /// An action that a key of ours signs, and the module that prepared it.
    Action(Action, Arc<ModuleRef>),
    /// Not now; ask again.
    NotYet,
    Never {
        code: &'static str,
        reason: String,
    },
}

impl Prepared {
    /// Judges the module's answer for an account.
    pub(crate) fn of(
        answer: Answer<Result<Result<Action, Refusal>, Fault>>,
        id: CommandId,
        account: &str,
        signers: &Signers,
    ) -> Self {
        match answer.value {
            Ok(Ok(action)) if signers.find(&action.scheme, account).is_none() => {
                let scheme = &action.scheme;
                let reason = format!("no [signer] signs `{scheme}` for account `{account}`");
                Self::Never { code: "limit_signer", reason }
            }
            Ok(Ok(action)) => Self::Action(action, answer.module),
            Ok(Err(Refusal::NotYet(reason))) => {
                tracing::debug!(command_id = %id, code = reason.code, reason = reason.text, "not prepared yet");
                Self::NotYet
            }
            Ok(Err(Refusal::Never(reason))) => {
                Self::Never { code: "module_refused", reason: format!("{}: {}", reason.code, reason.text) }
            }
            Err(fault) => Self::Never { code: "module_refused", reason: fault.to_string() },
        }
    }
}

/// Holds a prepared action against the limits, and keeps it if it may be claimed.
pub(crate) fn admit(
    state: &mut PartitionState,
    id: CommandId,
    prepared: Prepared,
    limits: &Limits,
    facts: &Facts,
    now: Timestamp,
) -> Preparation {
    let (action, module) = match prepared {
        Prepared::Action(action, module) => (action, module),
        Prepared::NotYet => return Preparation::NotYet,
        Prepared::Never { code, reason } => return Preparation::Never { code: code.to_owned(), reason },
    };
    // Not in hand any more: without its action it must not be claimed.
    let Some(open) = state.commands.get_mut(&id) else { return Preparation::NotYet };
    let command = &open.cause.command.payload;
    let reserves: Vec<Reserve> = action.reserves.iter().filter_map(reserve).collect();
    let gives = limits::gives(command, &reserves);
    let promise = Promise { account: command.account.clone(), gives: gives.clone(), deadline: command.deadline };
    let balance = |account: &str, asset: &str| {
        let (value, asked_at) = facts.get(&format!("balance/{account}/{asset}"))?;
        Some(Balance { amount: value.parse().ok()?, asked_at })
    };
    let admitted = match limits.check(command, &gives) {
        Some(refused) => Err(refused),
        None => state.inventory.admit(id, promise, limits, balance, now),
    };
    match admitted {
        Ok(()) => {
            let digest = sha256_hex(&action.unsigned);
            state.index.keep(id, &command.venue_ref, digest.clone());
            open.claimed = Some(Claimed { digest, action, gives, module });
            Preparation::Ready
        }
        Err(Refused::Limit { code, reason }) => Preparation::Never { code: code.to_owned(), reason },
        Err(Refused::NotYet(reason)) => {
            tracing::debug!(command_id = %id, reason, "not admitted yet");
            Preparation::NotYet
        }
    }
}

/// The engine has checked that it is an amount.
fn reserve((asset, amount): &(String, String)) -> Option<Reserve> {
    Some(Reserve { asset: asset.clone(), amount: amount.parse().ok()? })
}
