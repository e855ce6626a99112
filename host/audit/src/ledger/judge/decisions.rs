//! What a person decided, and what a lost journal held.

use unrip_core::event::result::{Evidence, EvidenceKind, ResultStatus};

use super::super::command::{Decision, Outcome, Seed};
use super::super::outcome::snake_case;
use super::Judge;

impl Judge<'_> {
    /// A person's decision needs no proof of the venue, but it must have been made.
    pub(super) fn outcome_of_decision(&mut self, outcome: &Outcome, evidence: &Evidence) {
        let place = outcome.place;
        match &self.command.decision {
            None => self.find("decision_missing", place, "no decision stands before this outcome"),
            Some(decision) if decision.status != outcome.status => {
                let (decided, ended) = (snake_case(decision.status), snake_case(outcome.status));
                self.find("decision_differs", place, format!("{decided} was decided and it ended {ended}"));
            }
            Some(_) if evidence.kind != EvidenceKind::Host => {
                self.find("decision_differs", place, format!("its evidence is {}", snake_case(evidence.kind)));
            }
            Some(_) => {}
        }
    }

    /// A person may not say that nothing happened while the venue may still take the action.
    pub(super) fn decision(&mut self, decision: &Decision) {
        let Some(claim) = &self.command.claim else { return };
        let negative = matches!(decision.status, ResultStatus::Rejected | ResultStatus::NotExecuted);
        if negative && decision.decided_at <= claim.deadline {
            let detail = format!("decided at {}, deadline {}", decision.decided_at, claim.deadline);
            self.find("decision_too_early", decision.place, detail);
        }
    }

    pub(super) fn seed(&mut self, seed: &Seed) {
        let place = seed.place;
        if let Some(record) = &self.command.record {
            let wrong = [
                (seed.content_hash != record.content_hash, "content_hash"),
                (place.partition != record.place.partition, "partition"),
            ];
            self.differs("seed_differs", place, &wrong);
        }
        if let Some(result) = &self.command.result
            && result.payload.status != seed.status
        {
            let (seeded, ended) = (snake_case(seed.status), snake_case(result.payload.status));
            self.find("seed_differs", place, format!("{seeded} was seeded and its result is {ended}"));
        }
    }
}
