//! What one executor does about one partition: a state machine that is stepped with events and answers with effects.
//!
//! Safety order: any doubt means do not send; never resend; never guess. `Dispatch` is asked for exactly once per
//! valid claim of this incarnation, after the claim came back from the log and the fold is on disk; only an attempt
//! that handed over no byte may be repeated, and only until `dispatch_by`.

mod commands;
mod effect;
mod ending;
mod log;
mod time;
mod venue;

use std::collections::{BTreeMap, BTreeSet};

use unrip_core::event::result::EvidenceKind;
use unrip_core::{CommandId, Timestamp, Uuid};

pub use self::effect::*;
use super::fold::{FoldView, Head};
use super::intake::Bounds;

/// How often an owner appends its fence again by default; the journal is kept several times as long.
pub const FENCE_AGAIN_MS: i64 = 600_000;

/// Time limits of the machine, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// After this long without a reading back, a fence, outcome or skip is appended again.
    pub append_retry_ms: i64,
    /// After this long without an answer, a command is in doubt.
    pub answer_timeout_ms: i64,
    /// How often the module is asked again after `not-yet`.
    pub prepare_retry_ms: i64,
    /// An owner appends its fence again so often: a log that is cut by age must never lose the fence that claims name.
    pub fence_again_ms: i64,
    /// Added to the longest deadline when commands of an earlier life may still be open.
    pub embargo_margin_ms: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            append_retry_ms: 5_000,
            answer_timeout_ms: 10_000,
            prepare_retry_ms: 50,
            fence_again_ms: FENCE_AGAIN_MS,
            embargo_margin_ms: 5_000,
        }
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
    /// Being handed over: nothing new is claimed, what is claimed is finished.
    Draining {
        /// Id of our fence.
        event_id: Uuid,
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
    /// The outcome that noted evidence or a decision says is appended (at this time) and not read back.
    Adopting { at: Timestamp, from: Adopted },
}

/// Where an outcome that this incarnation did not learn by itself comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Adopted {
    Evidence,
    Decision,
}

impl Adopted {
    fn effect(self, head: Head, fence_offset: i64) -> Effect {
        match self {
            Self::Evidence => Effect::AdoptEvidence { head, fence_offset },
            Self::Decision => Effect::AdoptDecision { head, fence_offset },
        }
    }
}

/// One partition as this executor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    venue: String,
    bounds: Bounds,
    timing: Timing,
    phase: Phase,
    /// Our last fence, also while a newer one of ours is under way.
    last_fence: Option<i64>,
    floor: Timestamp,
    first_fence_at: Option<Timestamp>,
    /// When our fence was appended last.
    fence_at: Timestamp,
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
            last_fence: None,
            floor: Timestamp::from_micros(0),
            first_fence_at: None,
            fence_at: Timestamp::from_micros(0),
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

    /// Whether what is claimed may be sent: the partition is ours, also while it is being handed over.
    pub fn may_dispatch(&self) -> bool {
        self.fence_offset().is_some()
    }

    /// Commands in hand that have not ended.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Whether a command is in hand.
    pub fn holds(&self, id: &CommandId) -> bool {
        self.open.contains_key(id)
    }

    /// Commands whose outcome is unknown.
    pub fn doubt_count(&self) -> usize {
        self.open.values().filter(|open| matches!(open.stage, Stage::Doubt(_))).count()
    }

    /// Whether nothing is in flight that a drain should wait for. What is not claimed the next owner reads again, and
    /// doubts it takes up; what was sent under an older fence it asks about already.
    pub fn is_drained(&self) -> bool {
        let waits = |open: &Open| !matches!(open.stage, Stage::Preparing | Stage::Waiting(_) | Stage::Doubt(_));
        self.fence_offset().is_none() || (self.skips.is_empty() && !self.open.values().any(waits))
    }

    /// Takes one event. The store holds at least everything that `Folded` events reported.
    pub fn step<S: FoldView>(&mut self, store: &S, event: Event, now: Timestamp) -> Result<Effects, S::Error> {
        let mut effects = Effects::new();
        match event {
            Event::Assigned(assignment) => self.assigned(assignment, now, &mut effects),
            Event::Revoked => self.revoked(),
            Event::Lost => self.fenced(&mut effects),
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
        self.keep_what_was_heard(effects);
        // What was not handed over under an older fence belongs to the log now; what was, may still be answered.
        self.open.retain(|_, open| matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_)));
        self.phase = Phase::Fencing { event_id: assignment.fence_event_id, at: now };
        effects.push(Effect::AppendFence(assignment.fence_event_id));
    }

    fn revoked(&mut self) {
        self.phase = match self.phase {
            Phase::Active { event_id, fence_offset } => Phase::Draining { event_id, fence_offset },
            Phase::Fencing { .. } => Phase::Standby,
            ref other => other.clone(),
        };
    }

    fn fenced(&mut self, effects: &mut Effects) {
        self.keep_what_was_heard(effects);
        self.phase = match self.phase {
            Phase::Active { fence_offset, .. } | Phase::Draining { fence_offset, .. } => Phase::Fenced { fence_offset },
            Phase::Fencing { .. } => Phase::Standby,
            ref other => other.clone(),
        };
        self.open.retain(|_, open| matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_)));
        self.skips.clear();
    }

    fn own(&mut self, event_id: Uuid, fence_offset: i64) {
        self.phase = Phase::Active { event_id, fence_offset };
        self.last_fence = Some(fence_offset);
    }

    /// An outcome that is on its way may come too late to count. What the venue said must not be lost with it: the owner
    /// could only ask, and an acceptance that never settles leaves nothing to be found.
    fn keep_what_was_heard(&self, effects: &mut Effects) {
        let Some(fence_offset) = self.fence_offset() else {
            return;
        };
        for (id, open) in &self.open {
            let Stage::Ending { ending, .. } = &open.stage else {
                continue;
            };
            let kind = ending.evidence.as_ref().map(|known| known.kind);
            if matches!(kind, Some(EvidenceKind::VenueAnswer | EvidenceKind::VenueQuery)) {
                effects.push(Effect::AppendEvidence { id: *id, fence_offset, ending: ending.clone() });
            }
        }
    }

    fn fence_offset(&self) -> Option<i64> {
        match self.phase {
            // A draining owner still owns: what it knows may be written until a newer fence exists.
            Phase::Active { fence_offset, .. } | Phase::Draining { fence_offset, .. } => Some(fence_offset),
            _ => None,
        }
    }
}
