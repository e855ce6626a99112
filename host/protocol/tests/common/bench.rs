//! One partition, stepped by hand.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, Timestamp, Uuid};
use unrip_protocol::fold::{Applied, Fact, Head, MemoryFold, Placed, apply};
use unrip_protocol::intake::Bounds;
use unrip_protocol::partition::*;

use super::{VENUE, at, command, placed};

/// A partition, its fold and a log, in one.
pub struct Bench {
    pub partition: Partition,
    pub fold: MemoryFold,
    pub log: i64,
    pub fences: u128,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            partition: Partition::new(VENUE, Bounds::default(), Timing::default()),
            fold: MemoryFold::default(),
            log: 0,
            fences: 0,
        }
    }

    pub fn active() -> Self {
        let mut bench = Self::new();
        bench.assign(at(0));
        bench
    }

    pub fn assignment(&mut self) -> Assignment {
        self.fences += 1;
        Assignment {
            fence_event_id: uuid(9_000 + self.fences),
            next_offset: 1,
            floor: at(-1_000_000),
            first_fence_at: None,
            earlier_life: false,
        }
    }

    pub fn assign(&mut self, now: Timestamp) -> Vec<Effect> {
        let assignment = self.assignment();
        let fence_event_id = assignment.fence_event_id;
        assert_eq!(self.step(Event::Assigned(assignment), now), vec![Effect::AppendFence(fence_event_id)]);
        let mut fence = placed(self.log, Fact::Fence);
        fence.event_id = fence_event_id;
        self.append(fence, now)
    }

    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        self.partition.step(&self.fold, event, now).unwrap()
    }

    pub fn append(&mut self, placed: Placed, now: Timestamp) -> Vec<Effect> {
        let applied: Applied = apply(&mut self.fold, &placed).unwrap();
        self.log = placed.offset + 1;
        self.step(Event::Folded { placed, applied, appended_at: now }, now)
    }

    /// Appends to the log what the effects say, as a broker would.
    pub fn append_all(&mut self, effects: &[Effect], now: Timestamp) -> Vec<Effect> {
        let mut more = Vec::new();
        for effect in effects {
            let fact = match effect {
                Effect::AppendClaim { id, fence_offset } => {
                    Fact::Claim { head: self.head(id), fence_offset: *fence_offset }
                }
                Effect::AppendOutcome { head, fence_offset, ending } => {
                    Fact::Outcome { head: head.clone(), fence_offset: *fence_offset, status: ending.status }
                }
                Effect::AppendSkip { offset, fence_offset, .. } => {
                    Fact::Skip { command_offset: *offset, fence_offset: *fence_offset }
                }
                Effect::AdoptEvidence { head, fence_offset } | Effect::AdoptDecision { head, fence_offset } => {
                    let (head, status) = (head.clone(), ResultStatus::Executed);
                    Fact::Outcome { head, fence_offset: *fence_offset, status }
                }
                Effect::AppendEvidence { id, .. } => Fact::Evidence { id: *id },
                _ => continue,
            };
            more.extend(self.append(placed(self.log, fact), now));
        }
        more
    }

    pub fn head(&self, id: &CommandId) -> Head {
        let number = u128::from_be_bytes(*id.as_bytes()) & 0xffff;
        command(number, &format!("key-{number}"))
    }

    pub fn receive(&mut self, head: &Head, now: Timestamp) -> Vec<Effect> {
        self.step(Event::Command(Incoming::Ours(head.clone(), None)), now)
    }

    /// Up to the dispatch of a command.
    pub fn claim(&mut self, head: &Head, now: Timestamp) -> Vec<Effect> {
        assert_eq!(self.receive(head, now), vec![Effect::Prepare(head.id)]);
        let claim = self.step(Event::Prepared(head.id, Preparation::Ready), now);
        self.append_all(&claim, now)
    }
}

pub fn one() -> Head {
    command(1, "key-1")
}

pub fn said(status: ResultStatus) -> Ending {
    let known = Known { kind: EvidenceKind::VenueAnswer, received_at: at(0), venue_time: None, detail: None };
    Ending { status, code: "said".to_owned(), note: None, evidence: Some(known) }
}

pub fn outcome_of(effects: &[Effect]) -> Option<(ResultStatus, String)> {
    effects.iter().find_map(|effect| match effect {
        Effect::AppendOutcome { ending, .. } => Some((ending.status, ending.code.clone())),
        _ => None,
    })
}

pub fn dispatches(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Dispatch(_))).count()
}

pub fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
