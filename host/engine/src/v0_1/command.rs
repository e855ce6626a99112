//! Commands between the line's words and the bus's.

use unrip_core::event::command as core;

use super::bindings::reactor::exports::unrip::reactor::reactor as wit_reactor;
use super::bindings::shared::unrip::types::command as wit;
use super::{amount_in, code_in, filled, time_in, time_out};
use crate::fault::Fault;
use crate::reactor::{Command, Decision};

pub(crate) fn decision_in(decision: wit_reactor::Decision) -> Result<Decision, Fault> {
    match decision {
        wit_reactor::Decision::Decline(reason) => Ok(Decision::Decline(code_in(&reason))),
        wit_reactor::Decision::Command(command) => Ok(Decision::Command(command_in(command)?)),
    }
}

fn command_in(command: wit_reactor::Command) -> Result<Command, Fault> {
    let input = |place: wit_reactor::RecordRef| core::InputRef {
        topic: place.topic,
        partition: place.partition,
        offset: place.offset,
    };
    Ok(Command {
        account: filled("account", command.account)?,
        venue_ref: filled("venue-ref", command.venue_ref)?,
        dispatch_by: time_in("dispatch-by", command.dispatch_by)?,
        deadline: time_in("deadline", command.deadline)?,
        reason: command.reason,
        inputs: command.inputs.into_iter().map(input).collect(),
        action: action_in(command.action)?,
    })
}

fn action_in(action: wit::TradeAction) -> Result<core::Action, Fault> {
    let wit::TradeAction::SwapAnswer(answer) = action;
    Ok(core::Action::SwapAnswer {
        quote_id: filled("quote-id", answer.quote_id)?,
        asset_in: filled("asset-in", answer.asset_in)?,
        asset_out: filled("asset-out", answer.asset_out)?,
        amount_in: amount_in("amount-in", &answer.amount_in)?,
        amount_out: amount_in("amount-out", &answer.amount_out)?,
        amount_fixed: answer.amount_fixed.map(|side| match side {
            wit::SideFixed::AmountIn => core::SideFixed::In,
            wit::SideFixed::AmountOut => core::SideFixed::Out,
        }),
    })
}

fn action_out(action: &core::Action) -> wit::TradeAction {
    let core::Action::SwapAnswer { quote_id, asset_in, asset_out, amount_in, amount_out, amount_fixed } = action;
    wit::TradeAction::SwapAnswer(wit::SwapAnswer {
        quote_id: quote_id.clone(),
        asset_in: asset_in.clone(),
        asset_out: asset_out.clone(),
        amount_in: amount_in.to_string(),
        amount_out: amount_out.to_string(),
        amount_fixed: amount_fixed.map(|side| match side {
            core::SideFixed::In => wit::SideFixed::AmountIn,
            core::SideFixed::Out => wit::SideFixed::AmountOut,
        }),
    })
}

impl From<&core::ExecuteTrade> for wit::ExecuteTrade {
    fn from(command: &core::ExecuteTrade) -> Self {
        Self {
            command_id: command.command_id.to_string(),
            idempotency_key: command.idempotency_key.clone(),
            account: command.account.clone(),
            venue_ref: command.venue_ref.clone(),
            dispatch_by: time_out(command.dispatch_by),
            deadline: time_out(command.deadline),
            action: action_out(&command.action),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> wit_reactor::Command {
        wit_reactor::Command {
            account: "me".into(),
            venue_ref: "q".into(),
            dispatch_by: 1_000_000,
            deadline: 2_000_000,
            reason: "because".into(),
            inputs: vec![wit_reactor::RecordRef { topic: "norm.book_top".into(), partition: 1, offset: 2 }],
            action: wit::TradeAction::SwapAnswer(wit::SwapAnswer {
                quote_id: "q".into(),
                asset_in: "a".into(),
                asset_out: "b".into(),
                amount_in: "1".into(),
                amount_out: "2".into(),
                amount_fixed: Some(wit::SideFixed::AmountOut),
            }),
        }
    }

    #[test]
    fn an_action_reads_back_as_it_was_given() {
        let read = command_in(command()).unwrap();
        assert_eq!(action_out(&read.action), command().action);
        assert_eq!((read.dispatch_by.millis(), read.deadline.millis(), read.inputs.len()), (1_000, 2_000, 1));
    }

    #[test]
    fn a_command_without_account_reference_or_sound_time_is_invalid() {
        for wrong in [
            wit_reactor::Command { account: String::new(), ..command() },
            wit_reactor::Command { venue_ref: String::new(), ..command() },
            wit_reactor::Command { deadline: u64::MAX, ..command() },
        ] {
            assert!(command_in(wrong).is_err());
        }
    }

    #[test]
    fn a_decline_is_counted_under_a_label() {
        assert_eq!(
            decision_in(wit_reactor::Decision::Decline("same_asset".into())).unwrap(),
            Decision::Decline("same_asset".into())
        );
        assert_eq!(
            decision_in(wit_reactor::Decision::Decline("Oh no".into())).unwrap(),
            Decision::Decline("invalid_code".into())
        );
    }
}
