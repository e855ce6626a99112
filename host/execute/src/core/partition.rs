//! What one executor does about one partition: a state machine that is stepped with events and answers with effects.
//!
//! Safety order: any doubt means do not send; never resend; never guess. `Dispatch` is asked for exactly once per
//! valid claim of this incarnation, after the claim came back from the log and the fold is on disk; only an attempt
//! that handed over no byte may be repeated, and only until `dispatch_by`.

use std::collections::{BTreeMap, BTreeSet};

use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, Timestamp, Uuid};

pub use super::effect::*;
use super::fold::{Applied, Entry, Fact, FoldView, Head, Invalid, Placed};
use super::intake::{Bounds, out_of_bounds};

/// Time limits of the machine, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// After this long without a reading back, a fence, outcome or skip is appended again.
    pub append_retry_ms: i64,
    /// After this long without an answer, a command is in doubt.
    pub answer_timeout_ms: i64,
    /// How often the module is asked again after `not-yet`.
    pub prepare_retry_ms: i64,
    /// Added to the longest deadline when commands of an earlier life may still be open.
    pub embargo_margin_ms: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { append_retry_ms: 5_000, answer_timeout_ms: 10_000, prepare_retry_ms: 50, embargo_margin_ms: 5_000 }
    }
}

/// Where this executor stands with the partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not ours: a warm standby.
    Standby,
    /// The fence is appended and not read back.
    Fencing {
        /// Its id.
        event_id: Uuid,
        /// When it was appended last.
        at: Timestamp,
    },
    /// Ours.
    Active {
        /// Id of our fence.
        event_id: Uuid,
        /// Offset of our fence.
        fence_offset: i64,
    },
    /// Being handed over: nothing new is begun.
    Draining {
        /// Offset of our fence.
        fence_offset: i64,
    },
    /// A newer fence exists: nothing may be done but tell what is heard.
    Fenced {
        /// Offset of the fence that was ours.
        fence_offset: i64,
    },
}

/// A command in hand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Open {
    head: Head,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The module was asked; no claim was appended.
    Preparing,
    /// Ask the module again at this time; no claim was appended.
    Waiting(Timestamp),
    /// The claim is appended and not read back.
    Claiming { fence_offset: i64 },
    /// The one send was asked for.
    Dispatching,
    /// No byte was handed over; to be tried again.
    Unsent,
    /// Bytes were handed over at this time.
    Awaiting(Timestamp),
    /// The outcome is unknown; ask again at this time, or an answer is awaited.
    Doubt(Option<Timestamp>),
    /// The outcome is appended (at this time) and not read back.
    Ending { at: Timestamp, ending: Ending },
    /// The outcome that noted evidence says is appended (at this time) and not read back.
    Adopting { at: Timestamp },
}

/// One partition as this executor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    venue: String,
    bounds: Bounds,
    timing: Timing,
    phase: Phase,
    floor: Timestamp,
    first_fence_at: Option<Timestamp>,
    earlier_life: bool,
    embargo_until: Option<Timestamp>,
    open: BTreeMap<CommandId, Open>,
    /// Skips appended and not read back, by command offset.
    skips: BTreeMap<i64, Skip>,
    /// Offsets of commands that were read and that the journal does not hold yet.
    unjournaled: BTreeSet<i64>,
    next_offset: i64,
    committed: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Skip {
    id: Option<CommandId>,
    code: &'static str,
    at: Timestamp,
}

type Effects = Vec<Effect>;

impl Partition {
    /// A partition that is not this executor's.
    pub fn new(venue: &str, bounds: Bounds, timing: Timing) -> Self {
        Self {
            venue: venue.to_owned(),
            bounds,
            timing,
            phase: Phase::Standby,
            floor: Timestamp::from_micros(0),
            first_fence_at: None,
            earlier_life: false,
            embargo_until: None,
            open: BTreeMap::new(),
            skips: BTreeMap::new(),
            unjournaled: BTreeSet::new(),
            next_offset: 0,
            committed: 0,
        }
    }

    /// Where this executor stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether the partition is ours and a dispatch may be thought of.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }

    /// Commands in hand that have not ended.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Commands whose outcome is unknown.
    pub fn doubt_count(&self) -> usize {
        self.open.values().filter(|open| matches!(open.stage, Stage::Doubt(_))).count()
    }

    /// Whether nothing is in flight that a drain should wait for.
    pub fn is_drained(&self) -> bool {
        !self.open.values().any(|open| matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_) | Stage::Ending { .. }))
    }

    /// Takes one event. The store is the fold of at least everything that `Folded` events told of.
    pub fn step<S: FoldView>(&mut self, store: &S, event: Event, now: Timestamp) -> Result<Effects, S::Error> {
        let mut effects = Effects::new();
        match event {
            Event::Assigned(assignment) => self.assigned(assignment, now, &mut effects),
            Event::Revoked => self.revoked(),
            Event::Lost => self.fenced(),
            Event::Folded { placed, applied, appended_at } => {
                self.folded(store, placed, applied, appended_at, now, &mut effects)?;
            }
            Event::Command(incoming) => self.incoming(store, incoming, now, &mut effects)?,
            Event::Prepared(id, preparation) => self.prepared(&id, preparation, now, &mut effects),
            Event::SendEnded(id, end) => self.send_ended(&id, end, now, &mut effects),
            Event::Heard(id, ending) => self.heard(&id, ending, now, &mut effects),
            Event::AnswerLost(id) => self.answer_lost(&id, &mut effects),
            Event::Resolved(id, resolution) => self.resolved(&id, resolution, now, &mut effects),
            Event::Tick => self.tick(now, &mut effects),
        }
        self.commit(&mut effects);
        Ok(effects)
    }

    fn assigned(&mut self, assignment: Assignment, now: Timestamp, effects: &mut Effects) {
        self.floor = assignment.floor;
        self.first_fence_at = assignment.first_fence_at;
        self.earlier_life = assignment.earlier_life;
        self.next_offset = assignment.next_offset;
        self.committed = assignment.next_offset;
        self.unjournaled.clear();
        self.skips.clear();
        // What was not handed over under an older fence belongs to the log now; what was, may still be answered.
        self.open.retain(|_, open| matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_)));
        self.phase = Phase::Fencing { event_id: assignment.fence_event_id, at: now };
        effects.push(Effect::AppendFence(assignment.fence_event_id));
    }

    fn revoked(&mut self) {
        self.phase = match self.phase {
            Phase::Active { fence_offset, .. } => Phase::Draining { fence_offset },
            Phase::Fencing { .. } => Phase::Standby,
            ref other => other.clone(),
        };
    }

    fn fenced(&mut self) {
        self.phase = match self.phase {
            Phase::Active { fence_offset, .. } | Phase::Draining { fence_offset } => Phase::Fenced { fence_offset },
            Phase::Fencing { .. } => Phase::Standby,
            ref other => other.clone(),
        };
        self.open.retain(|_, open| matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_)));
        self.skips.clear();
    }

    fn fence_offset(&self) -> Option<i64> {
        match self.phase {
            // A draining owner still owns: what it knows may be written until a newer fence exists.
            Phase::Active { fence_offset, .. } | Phase::Draining { fence_offset } => Some(fence_offset),
            _ => None,
        }
    }

    // ---- the log -------------------------------------------------------------------------------------------------

    fn folded<S: FoldView>(
        &mut self,
        store: &S,
        placed: Placed,
        applied: Applied,
        appended_at: Timestamp,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        if placed.venue != self.venue {
            return Ok(());
        }
        match (&placed.fact, applied) {
            (Fact::Fence, Applied::Fenced) => self.fence_read(store, &placed, appended_at, now, effects)?,
            (Fact::Claim { head, fence_offset }, Applied::ClaimValid) => {
                self.unjournaled.remove(&head.offset);
                self.claim_valid(store, head, *fence_offset, now, effects)?;
            }
            (Fact::Claim { head, fence_offset }, Applied::ClaimInvalid(why)) => {
                self.claim_invalid(store, head, *fence_offset, why, now, effects)?;
            }
            (Fact::Outcome { head, .. }, Applied::OutcomeValid) => self.ended(head, effects),
            (Fact::Outcome { head, fence_offset, .. }, Applied::OutcomeInvalid(why)) => {
                self.outcome_invalid(head, *fence_offset, &why, now, effects);
            }
            (Fact::Evidence { id }, Applied::EvidenceNoted) => {
                if let Some(entry) = store.entry(id)? {
                    self.adopt(entry, now, effects);
                }
            }
            (Fact::Skip { command_offset, .. }, Applied::SkipValid) => {
                self.skips.remove(command_offset);
                self.unjournaled.remove(command_offset);
            }
            _ => {}
        }
        Ok(())
    }

    fn fence_read<S: FoldView>(
        &mut self,
        store: &S,
        placed: &Placed,
        appended_at: Timestamp,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        self.first_fence_at.get_or_insert(appended_at);
        match self.phase {
            Phase::Fencing { event_id, .. } if event_id == placed.event_id => {
                self.phase = Phase::Active { event_id, fence_offset: placed.offset };
                self.activate(store, now, effects)?;
            }
            Phase::Active { event_id, .. } if event_id == placed.event_id => {
                // A later copy of our own fence: from here on it is the newest.
                self.phase = Phase::Active { event_id, fence_offset: placed.offset };
            }
            Phase::Active { .. } => {
                self.fenced();
                effects.push(Effect::Rejoin);
            }
            Phase::Draining { .. } => self.fenced(),
            _ => {}
        }
        Ok(())
    }

    fn activate<S: FoldView>(&mut self, store: &S, now: Timestamp, effects: &mut Effects) -> Result<(), S::Error> {
        if self.earlier_life {
            let wait = self.bounds.deadline_max_ms + self.timing.embargo_margin_ms;
            self.embargo_until = self.first_fence_at.map(|at| at.plus_millis(wait));
        }
        effects.push(Effect::Activated);
        for entry in store.open_claims(&self.venue)? {
            if entry.evidence.is_some() {
                self.adopt(entry, now, effects);
            } else if !self.open.contains_key(&entry.head.id) {
                self.doubt(entry.head, effects);
            }
        }
        // What ended while somebody else owned the partition is not in hand any more.
        let mut ended = Vec::new();
        for id in self.open.keys() {
            if store.entry(id)?.is_some_and(|entry| entry.outcome.is_some()) {
                ended.push(*id);
            }
        }
        for id in ended {
            self.open.remove(&id);
        }
        Ok(())
    }

    fn claim_valid<S: FoldView>(
        &mut self,
        store: &S,
        head: &Head,
        fence_offset: i64,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        let Phase::Active { event_id, fence_offset: own } = self.phase else { return Ok(()) };
        match self.open.get_mut(&head.id) {
            Some(open) if matches!(open.stage, Stage::Claiming { .. }) && fence_offset == own => {
                // The store may be ahead of this event: a newer fence in it forbids what the event would allow.
                let newest = store.fence(&self.venue)?;
                if !newest.is_some_and(|fence| fence.event_id == event_id) {
                    return Ok(());
                }
                if now < open.head.dispatch_by {
                    open.stage = Stage::Dispatching;
                    effects.push(Effect::Dispatch(head.id));
                } else {
                    self.end(head.id, not_handed_in_time(now), now, effects);
                }
            }
            // Our outcome is on its way: this incarnation knows that it handed nothing over.
            Some(_) => {}
            None => self.doubt(head.clone(), effects),
        }
        Ok(())
    }

    fn claim_invalid<S: FoldView>(
        &mut self,
        store: &S,
        head: &Head,
        fence_offset: i64,
        why: Invalid,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        let (Some(own), Some(open)) = (self.fence_offset(), self.open.get_mut(&head.id)) else { return Ok(()) };
        let Stage::Claiming { fence_offset: claimed_under } = open.stage else { return Ok(()) };
        if fence_offset != claimed_under {
            return Ok(()); // a zombie's claim, not ours
        }
        match why {
            Invalid::Fence if own != claimed_under => {
                open.stage = Stage::Claiming { fence_offset: own };
                effects.push(Effect::AppendClaim { id: head.id, fence_offset: own });
            }
            Invalid::Fence => {}
            Invalid::Key(owner) => self.end(head.id, duplicate_key(&owner, now), now, effects),
            Invalid::Command => {
                self.unjournaled.remove(&head.offset);
                self.open.remove(&head.id);
                if let Some(entry) = store.entry(&head.id)?.filter(Entry::is_open) {
                    self.doubt(entry.head, effects);
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, head: &Head, effects: &mut Effects) {
        self.unjournaled.remove(&head.offset);
        self.open.remove(&head.id);
        if self.fence_offset().is_some() {
            effects.push(Effect::Publish(head.id));
        }
    }

    fn outcome_invalid(&mut self, head: &Head, written_under: i64, why: &Invalid, now: Timestamp, effects: &mut Effects) {
        let Some(own) = self.fence_offset() else { return };
        let Some(stage) = self.open.get(&head.id).map(|open| open.stage.clone()) else { return };
        match (stage, why) {
            (Stage::Ending { .. } | Stage::Adopting { .. }, Invalid::Command) => {
                self.unjournaled.remove(&head.offset);
                self.open.remove(&head.id);
            }
            (Stage::Ending { ending, .. }, Invalid::Fence) if written_under != own => {
                self.end(head.id, ending, now, effects);
            }
            _ => {}
        }
    }

    fn adopt(&mut self, entry: Entry, now: Timestamp, effects: &mut Effects) {
        let Some(fence_offset) = self.fence_offset() else { return };
        effects.push(Effect::AdoptEvidence { head: entry.head.clone(), fence_offset });
        self.open.insert(entry.head.id, Open { head: entry.head, stage: Stage::Adopting { at: now } });
    }

    // ---- commands ------------------------------------------------------------------------------------------------

    fn incoming<S: FoldView>(
        &mut self,
        store: &S,
        incoming: Incoming,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        if !self.is_active() {
            return Ok(()); // read before a revoke: the next owner reads it again
        }
        match incoming {
            Incoming::Foreign { offset } => self.next_offset = self.next_offset.max(offset + 1),
            Incoming::Unacceptable { offset, id, code, reason } => self.pass_over(offset, id, code, reason, now, effects),
            Incoming::Ours(head, refusal) => self.command(store, head, refusal, now, effects)?,
        }
        Ok(())
    }

    fn command<S: FoldView>(
        &mut self,
        store: &S,
        head: Head,
        refusal: Option<(String, String)>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        self.next_offset = self.next_offset.max(head.offset + 1);
        if let Some(first) = self.first_of(store, &head)? {
            if first.id != head.id || first.content_hash != head.content_hash {
                let code = if first.origin == head.origin { "conflict" } else { "superseded" };
                let reason = format!(
                    "command {} (content {}) is already known as {} (content {})",
                    head.id, head.content_hash, first.id, first.content_hash
                );
                self.pass_over(head.offset, Some(head.id), code, reason, now, effects);
            }
            return Ok(());
        }
        if head.id.time().plus_millis(self.bounds.clock_skew_max_ms) < self.floor {
            let reason = format!("the command is older than the journal's floor {}", self.floor);
            self.pass_over(head.offset, Some(head.id), "stale", reason, now, effects);
            return Ok(());
        }
        let id = head.id;
        self.unjournaled.insert(head.offset);
        let key_owner = store.key_owner(&head.idempotency_key)?;
        let limit = out_of_bounds(&head, now, &self.bounds);
        let late = now >= head.dispatch_by;
        self.open.insert(id, Open { head, stage: Stage::Preparing });
        if let Some(owner) = key_owner {
            self.end(id, duplicate_key(&owner, now), now, effects);
        } else if late {
            self.end(id, never_claimed(now), now, effects);
        } else if let Some((code, reason)) = refusal.or(limit.map(|(code, reason)| (code.to_owned(), reason))) {
            self.end(id, refused(code, reason), now, effects);
        } else if self.embargo_until.is_some_and(|until| now < until) {
            self.set_stage(&id, Stage::Waiting(now.plus_millis(self.timing.prepare_retry_ms)));
        } else {
            effects.push(Effect::Prepare(id));
        }
        Ok(())
    }

    /// The command that this record repeats, by command id or by record id.
    fn first_of<S: FoldView>(&self, store: &S, head: &Head) -> Result<Option<Head>, S::Error> {
        if let Some(open) = self.open.get(&head.id) {
            return Ok(Some(open.head.clone()));
        }
        if let Some(entry) = store.entry(&head.id)? {
            return Ok(Some(entry.head));
        }
        if let Some(open) = self.open.values().find(|open| open.head.event_id == head.event_id) {
            return Ok(Some(open.head.clone()));
        }
        let Some(id) = store.event_owner(&head.event_id)? else { return Ok(None) };
        Ok(store.entry(&id)?.map(|entry| entry.head))
    }

    fn pass_over(
        &mut self,
        offset: i64,
        id: Option<CommandId>,
        code: &'static str,
        reason: String,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        self.next_offset = self.next_offset.max(offset + 1);
        let Some(fence_offset) = self.fence_offset() else { return };
        self.unjournaled.insert(offset);
        self.skips.insert(offset, Skip { id, code, at: now });
        effects.push(Effect::DeadLetter { offset, code, reason });
        effects.push(Effect::AppendSkip { offset, id, fence_offset, code });
    }

    fn prepared(&mut self, id: &CommandId, preparation: Preparation, now: Timestamp, effects: &mut Effects) {
        let Phase::Active { fence_offset, .. } = self.phase else { return };
        if !self.open.get(id).is_some_and(|open| open.stage == Stage::Preparing) {
            return;
        }
        match preparation {
            Preparation::Ready => {
                self.set_stage(id, Stage::Claiming { fence_offset });
                effects.push(Effect::AppendClaim { id: *id, fence_offset });
            }
            Preparation::NotYet => {
                self.set_stage(id, Stage::Waiting(now.plus_millis(self.timing.prepare_retry_ms)));
            }
            Preparation::Never { code, reason } => self.end(*id, refused(code, reason), now, effects),
        }
    }

    fn set_stage(&mut self, id: &CommandId, stage: Stage) {
        if let Some(open) = self.open.get_mut(id) {
            open.stage = stage;
        }
    }

    // ---- the venue -----------------------------------------------------------------------------------------------

    fn send_ended(&mut self, id: &CommandId, end: SendEnd, now: Timestamp, effects: &mut Effects) {
        if !self.open.get(id).is_some_and(|open| open.stage == Stage::Dispatching) {
            return;
        }
        match end {
            SendEnd::Handed => self.set_stage(id, Stage::Awaiting(now)),
            SendEnd::NotHanded => self.set_stage(id, Stage::Unsent),
            SendEnd::Refused(code) if self.fence_offset().is_some() => {
                let known = host(now, "the gate closed before any byte was handed over");
                let ending = Ending { evidence: Some(known), ..refused(code.to_owned(), format!("gate closed: {code}")) };
                self.end(*id, ending, now, effects);
            }
            SendEnd::Refused(_) => {
                self.open.remove(id);
            }
        }
    }

    fn heard(&mut self, id: &CommandId, ending: Ending, now: Timestamp, effects: &mut Effects) {
        let Some(open) = self.open.get(id) else { return };
        if !matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_) | Stage::Doubt(_)) {
            return;
        }
        match self.phase {
            Phase::Active { .. } | Phase::Draining { .. } => self.end(*id, ending, now, effects),
            Phase::Fenced { fence_offset } => {
                effects.push(Effect::AppendEvidence { id: *id, fence_offset, ending });
                self.open.remove(id);
            }
            // Between two fences of ours: the doubt that follows asks the venue.
            Phase::Fencing { .. } | Phase::Standby => {}
        }
    }

    fn answer_lost(&mut self, id: &CommandId, effects: &mut Effects) {
        let Some(open) = self.open.get(id) else { return };
        if matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_)) {
            let head = open.head.clone();
            self.doubt(head, effects);
        }
    }

    fn doubt(&mut self, head: Head, effects: &mut Effects) {
        if !self.is_active() {
            return; // the next owner asks
        }
        let id = head.id;
        self.open.insert(id, Open { head, stage: Stage::Doubt(None) });
        effects.push(Effect::SayInDoubt(id));
        effects.push(Effect::Resolve(id));
    }

    fn resolved(&mut self, id: &CommandId, resolution: Resolution, now: Timestamp, effects: &mut Effects) {
        if !self.open.get(id).is_some_and(|open| matches!(open.stage, Stage::Doubt(_))) {
            return;
        }
        match resolution {
            Resolution::Final(ending) => self.end(*id, ending, now, effects),
            Resolution::WaitUntil(at) => self.set_stage(id, Stage::Doubt(Some(at))),
        }
    }

    fn end(&mut self, id: CommandId, ending: Ending, now: Timestamp, effects: &mut Effects) {
        let Some(fence_offset) = self.fence_offset() else { return };
        let Some(open) = self.open.get_mut(&id) else { return };
        open.stage = Stage::Ending { at: now, ending: ending.clone() };
        effects.push(Effect::AppendOutcome { head: open.head.clone(), fence_offset, ending });
    }

    // ---- time ----------------------------------------------------------------------------------------------------

    fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        let retry = self.timing.append_retry_ms;
        if let Phase::Fencing { event_id, at } = self.phase
            && now.millis_since(at) >= retry
        {
            self.phase = Phase::Fencing { event_id, at: now };
            effects.push(Effect::AppendFence(event_id));
        }
        let Some(fence_offset) = self.fence_offset() else { return };
        for (offset, skip) in &mut self.skips {
            if now.millis_since(skip.at) >= retry {
                skip.at = now;
                effects.push(Effect::AppendSkip { offset: *offset, id: skip.id, fence_offset, code: skip.code });
            }
        }
        let ids: Vec<CommandId> = self.open.keys().copied().collect();
        for id in ids {
            self.tick_command(id, fence_offset, now, effects);
        }
    }

    fn tick_command(&mut self, id: CommandId, fence_offset: i64, now: Timestamp, effects: &mut Effects) {
        let active = self.is_active();
        let Some(open) = self.open.get_mut(&id) else { return };
        let late = now >= open.head.dispatch_by;
        match &mut open.stage {
            Stage::Preparing | Stage::Waiting(_) | Stage::Claiming { .. } if late => {
                self.end(id, never_claimed(now), now, effects);
            }
            Stage::Unsent if late => self.end(id, not_handed_in_time(now), now, effects),
            Stage::Unsent if active => {
                open.stage = Stage::Dispatching;
                effects.push(Effect::Dispatch(id));
            }
            Stage::Waiting(at) if active && now >= *at && self.embargo_until.is_none_or(|until| now >= until) => {
                open.stage = Stage::Preparing;
                effects.push(Effect::Prepare(id));
            }
            Stage::Awaiting(since) if now.millis_since(*since) >= self.timing.answer_timeout_ms => {
                self.answer_lost(&id, effects);
            }
            Stage::Doubt(Some(at)) if active && now >= *at => {
                open.stage = Stage::Doubt(None);
                effects.push(Effect::Resolve(id));
            }
            Stage::Ending { at, ending } if now.millis_since(*at) >= self.timing.append_retry_ms => {
                *at = now;
                let ending = ending.clone();
                effects.push(Effect::AppendOutcome { head: open.head.clone(), fence_offset, ending });
            }
            Stage::Adopting { at } if now.millis_since(*at) >= self.timing.append_retry_ms => {
                *at = now;
                effects.push(Effect::AdoptEvidence { head: open.head.clone(), fence_offset });
            }
            _ => {}
        }
    }

    /// Commits up to the first command that the journal does not hold.
    fn commit(&mut self, effects: &mut Effects) {
        if self.fence_offset().is_none() {
            return;
        }
        let watermark = self.unjournaled.first().copied().unwrap_or(self.next_offset);
        if watermark > self.committed {
            self.committed = watermark;
            effects.push(Effect::Commit(watermark));
        }
    }
}

fn host(now: Timestamp, detail: &str) -> Known {
    Known { kind: EvidenceKind::Host, received_at: now, venue_time: None, detail: Some(detail.to_owned()) }
}

fn refused(code: String, reason: String) -> Ending {
    Ending { status: ResultStatus::Rejected, code, note: Some(reason), evidence: None }
}

fn duplicate_key(owner: &CommandId, now: Timestamp) -> Ending {
    Ending {
        status: ResultStatus::Rejected,
        code: "duplicate_key".to_owned(),
        note: Some("an earlier command of this idempotency key holds a valid claim".to_owned()),
        evidence: Some(host(now, &owner.to_string())),
    }
}

fn never_claimed(now: Timestamp) -> Ending {
    expired(now, "dispatch_by passed before a claim held")
}

fn not_handed_in_time(now: Timestamp) -> Ending {
    expired(now, "dispatch_by passed and this process handed no byte to a socket")
}

fn expired(now: Timestamp, detail: &str) -> Ending {
    let known = Known { kind: EvidenceKind::Expiry, ..host(now, detail) };
    Ending { status: ResultStatus::Expired, code: "dispatch_by_passed".to_owned(), note: None, evidence: Some(known) }
}
