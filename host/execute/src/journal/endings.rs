//! Appending how a command ended: outcomes, what evidence and decisions make of it, and evidence of a fenced executor.

use unrip_bus::Outgoing;
use unrip_core::event::journal::{JournalEvidence, JournalOutcome};
use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState};
use unrip_core::{CommandId, Timestamp};
use unrip_protocol::decision::may_be_negative;
use unrip_protocol::fold::{FoldView, Head};
use unrip_protocol::partition::{Ending, Known};

use crate::command::recovery;
use crate::journal::records::{News, evidence, shortened};
use crate::journal::unconfirmed::Moment;
use crate::journal::writer::{JournalWriter, Written};
use crate::points::{Point, reach};
use crate::runtime::Performed;
use crate::runtime::partition::PartitionState;

impl JournalWriter {
    pub(crate) fn outcome(
        &self,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        ending: Ending,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        self.outcome_after(None, state, head, fence_offset, ending, (moment, now))
    }

    fn outcome_after(
        &self,
        first: Option<Outgoing>,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        ending: Ending,
        (moment, now): (Moment, Timestamp),
    ) -> Written {
        let Some(open) = state.commands.get(&head.id) else { return Ok(Performed::Stale) };
        let entry = self.read(state, |view| view.entry(&head.id))?;
        let claim_holds_it = entry.is_some_and(|entry| entry.claim.is_some());
        // Prepared and never claimed: no action stands behind this outcome.
        let digest = open.claimed.as_ref().filter(|_| claim_holds_it).map(|claimed| claimed.digest.clone());
        let outcome = JournalOutcome {
            command_id: head.id,
            command_offset: head.offset,
            content_hash: head.content_hash,
            command: (!claim_holds_it).then(|| open.envelope.clone()),
            fence_offset,
            status: ending.status,
            result_code: ending.code,
            note: ending.note,
            evidence: ending.evidence.map(|known| evidence(known, digest)),
        };
        let record = self.about(state.number, open, outcome, now)?;
        state.unconfirmed.command(head.id, fence_offset, moment);
        reach(Point::OutcomeAppendBefore);
        self.append("outcome", first, record);
        reach(Point::OutcomeAppendAfter);
        Ok(Performed::Done)
    }

    /// An outcome that says what the noted evidence says.
    pub(crate) fn adopt_evidence(
        &self,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        let Some(noted) = self.read(state, |view| view.evidence(&head.id))? else { return Ok(Performed::Stale) };
        let said = noted.evidence;
        let known =
            Known { kind: said.kind, received_at: said.received_at, venue_time: said.venue_time, detail: said.detail };
        let ending = Ending { status: noted.status, code: noted.result_code, note: None, evidence: Some(known) };
        recovery::take_up_one(&self.store, state, &head.id)?;
        self.outcome(state, head, fence_offset, ending, moment, now)
    }

    /// Says who decided, then an outcome that says what was decided.
    pub(crate) fn adopt_decision(
        &self,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        let Some(decided) = self.read(state, |view| view.decision(&head.id))? else { return Ok(Performed::Stale) };
        let positive = decided.status == ResultStatus::Executed;
        if !positive && !may_be_negative(head.deadline, self.clock_skew_ms_max, now) {
            // The venue may still take it. The protocol asks again, and the deadline comes.
            tracing::warn!(command_id = %head.id, "a decision that nothing was executed waits for the deadline");
            return Ok(Performed::Done);
        }
        recovery::take_up_one(&self.store, state, &head.id)?;
        let detail = shortened(format!("{}: {}", decided.decided_by, decided.reason));
        let news = News { detail: detail.clone(), ..News::by_host(StatusState::ResolvedByOperator) };
        let status = self.status_record(state, head.id, news, now)?;
        let known = Known { kind: EvidenceKind::Host, received_at: now, venue_time: None, detail };
        let code = "resolved_by_operator".to_owned();
        let ending = Ending { status: decided.status, code, note: None, evidence: Some(known) };
        // Who decided is said before the outcome: it goes first, and is not lost without it.
        self.outcome_after(status, state, head, fence_offset, ending, (moment, now))
    }

    /// What a fenced executor heard.
    pub(crate) fn evidence(
        &self,
        state: &PartitionState,
        id: CommandId,
        fence_offset: i64,
        ending: Ending,
        now: Timestamp,
    ) -> Written {
        let (Some(open), Some(known)) = (state.commands.get(&id), ending.evidence) else {
            return Ok(Performed::Stale);
        };
        let digest = open.claimed.as_ref().map(|claimed| claimed.digest.clone());
        let payload = JournalEvidence {
            command_id: id,
            fence_offset,
            status: ending.status,
            result_code: ending.code,
            evidence: evidence(known, digest),
        };
        let record = self.about(state.number, open, payload, now)?;
        reach(Point::EvidenceAppendBefore);
        self.append("evidence", None, record);
        Ok(Performed::Done)
    }
}
