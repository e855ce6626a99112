//! The journal of the model: what stands in it, the production fold of each of its prefixes, and an independent reading
//! of the rule (`RECORDS.md`, Validity) beside it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use unrip_core::CommandId;
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{Applied, Fact, Head, MemoryFold, Placed};

use super::mutants::{self, Mutant};

/// A record on its way to the log, or in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    /// What the rule sees; its offset is that of its place once it landed.
    pub placed: Placed,
    /// What evidence and decisions say.
    pub said: Option<ResultStatus>,
    /// Where an outcome comes from: `asked`, `answered`, `evidence`, `decision` or the core's own code.
    pub code: String,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub records: Vec<Arc<Draft>>,
    /// The fold of the first n records, and what the n-th did.
    pub folds: Vec<Arc<MemoryFold>>,
    pub applied: Vec<Applied>,
    pub reading: Reading,
    /// Hash of the records, record after record.
    chain: u64,
}

impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // All else follows from the records.
        state.write_u64(self.chain);
    }
}

impl Log {
    pub fn empty() -> Self {
        let folds = vec![Arc::new(MemoryFold::default())];
        Self { records: Vec::new(), folds, applied: Vec::new(), reading: Reading::default(), chain: 0 }
    }

    pub fn append(&self, draft: &Draft, mutant: Option<Mutant>) -> Self {
        let mut next = self.clone();
        let mut draft = draft.clone();
        draft.placed.offset = self.records.len() as i64;
        let mut fold = MemoryFold::clone(self.fold());
        next.applied.push(mutants::apply(mutant, &mut fold, &draft.placed));
        next.folds.push(Arc::new(fold));
        next.reading.take(&self.records, &draft);
        let mut hasher = DefaultHasher::new();
        (self.chain, &draft).hash(&mut hasher);
        next.chain = hasher.finish();
        next.records.push(Arc::new(draft));
        next
    }

    /// The production fold of everything.
    pub fn fold(&self) -> &MemoryFold {
        self.folds.last().unwrap()
    }
}

/// What the rule makes of the log, read from its text: no state, always the whole prefix.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub claims: Vec<Valid>,
    pub outcomes: Vec<Valid>,
    pub skips: Vec<i64>,
    /// Open commands that have evidence, and those for which a person decided: offset of the first such record.
    pub evidence: Vec<(CommandId, i64)>,
    pub decisions: Vec<(CommandId, i64)>,
}

/// A claim or an outcome that holds.
#[derive(Clone, Debug)]
pub struct Valid {
    pub offset: i64,
    pub head: Head,
    pub fence_offset: i64,
    pub status: Option<ResultStatus>,
    pub code: String,
}

impl Reading {
    fn take(&mut self, before: &[Arc<Draft>], draft: &Draft) {
        let is_fence = |placed: &Placed| matches!(placed.fact, Fact::Fence) && placed.venue == draft.placed.venue;
        let newest = before.iter().rev().find(|record| is_fence(&record.placed)).map(|record| record.placed.offset);
        let offset = draft.placed.offset;
        let valid = |head: &Head, fence_offset, status| Valid {
            offset,
            head: head.clone(),
            fence_offset,
            status,
            code: draft.code.clone(),
        };
        match &draft.placed.fact {
            Fact::Claim { head, fence_offset } => {
                let known = self.claims.iter().chain(&self.outcomes).any(|earlier| earlier.head.id == head.id);
                let key = self.claims.iter().any(|earlier| earlier.head.idempotency_key == head.idempotency_key);
                if newest == Some(*fence_offset) && !known && !key {
                    self.claims.push(valid(head, *fence_offset, None));
                }
            }
            Fact::Outcome { head, fence_offset, status } => {
                let ended = self.outcomes.iter().any(|earlier| earlier.head.id == head.id);
                if newest == Some(*fence_offset) && !ended {
                    self.outcomes.push(valid(head, *fence_offset, Some(*status)));
                }
            }
            Fact::Skip { command_offset, fence_offset } if newest == Some(*fence_offset) => {
                self.skips.push(*command_offset);
            }
            Fact::Evidence { id } if self.is_open(id) && !self.evidence.iter().any(|(known, _)| known == id) => {
                self.evidence.push((*id, offset));
            }
            Fact::Decision { id } if self.is_open(id) && !self.decisions.iter().any(|(known, _)| known == id) => {
                self.decisions.push((*id, offset));
            }
            _ => {}
        }
    }

    pub fn is_open(&self, id: &CommandId) -> bool {
        self.claim(id).is_some() && self.outcome(id).is_none()
    }

    pub fn claim(&self, id: &CommandId) -> Option<&Valid> {
        self.claims.iter().find(|valid| valid.head.id == *id)
    }

    pub fn outcome(&self, id: &CommandId) -> Option<&Valid> {
        self.outcomes.iter().find(|valid| valid.head.id == *id)
    }

    /// Whether the journal holds this command, with this content.
    pub fn holds(&self, head: &Head) -> bool {
        let is = |valid: &&Valid| valid.head.id == head.id;
        let held = self.claims.iter().find(is).or_else(|| self.outcomes.iter().find(is));
        held.is_some_and(|valid| valid.head.content_hash == head.content_hash)
    }
}
