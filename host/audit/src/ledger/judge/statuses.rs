//! Facts on the way.

use unrip_core::Payload;
use unrip_core::event::result::{ResultStatus, StatusState, TradeStatus};
use unrip_core::id::derived_event_id;

use super::super::outcome::snake_case;
use super::{Judge, ROLE};

impl Judge<'_> {
    pub(super) fn statuses(&mut self) {
        if let (Some(place), Some(_)) =
            (self.command.said(StatusState::Lapsed), self.command.said(StatusState::Settled))
        {
            self.find("settled_and_lapsed", place, "it was settled and has lapsed: one of both is untrue");
        }
        let ended = self.command.outcome.as_ref().map(|outcome| outcome.status);
        if let (Some(place), Some(status)) = (self.command.said(StatusState::Lapsed), ended)
            && status != ResultStatus::Executed
        {
            self.find("lapsed_not_executed", place, format!("{} and yet lapsed", snake_case(status)));
        }
        let claim_known = self.command.claim.is_some();
        if let (Some(place), None, true) =
            (self.command.said(StatusState::ResolvedByOperator), &self.command.decision, claim_known)
        {
            self.find("decision_missing", place, "no decision stands in the journal");
        }
        let Some(record) = &self.command.record else { return };
        for (state, event_id, place) in &self.command.statuses {
            let expected = derived_event_id(record.event_id, ROLE, TradeStatus::EVENT_TYPE, *state);
            if *event_id != expected {
                self.find("status_id", *place, format!("event_id is {event_id}, should be {expected}"));
            }
        }
    }
}
