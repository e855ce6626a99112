//! Where a reading keeps what the journal's rule needs: open claims whole, the rest as fingerprints.

use std::collections::BTreeMap;
use std::convert::Infallible;

use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp, Uuid};
use unrip_protocol::fold::{Entry, Fence, FoldStore, FoldView, Head, OutcomeMark};

use crate::recent::Recent;

/// Ended commands and used keys that are remembered per partition, as fingerprints. Claims come within a minute of
/// their command, so a claim that repeats an older one is not to be expected.
pub(super) const ENDED_MAX: usize = 1_000_000;

/// The fold of one partition.
#[derive(Clone, Debug)]
pub(super) struct JournalFold {
    fences: BTreeMap<String, Fence>,
    open: BTreeMap<CommandId, Entry>,
    ended: Recent,
    keys: Recent,
}

impl JournalFold {
    pub(super) fn new() -> Self {
        Self {
            fences: BTreeMap::new(),
            open: BTreeMap::new(),
            ended: Recent::new(ENDED_MAX),
            keys: Recent::new(ENDED_MAX),
        }
    }
}

impl FoldView for JournalFold {
    type Error = Infallible;

    fn fence(&self, venue: &str) -> Result<Option<Fence>, Infallible> {
        Ok(self.fences.get(venue).copied())
    }

    fn entry(&self, id: &CommandId) -> Result<Option<Entry>, Infallible> {
        let ended = || self.ended.has(id).then(|| ended_stand_in(*id));
        Ok(self.open.get(id).cloned().or_else(ended))
    }

    fn key_owner(&self, key: &str) -> Result<Option<CommandId>, Infallible> {
        // The rule asks whether there is one; which one, a fingerprint does not say.
        Ok(self.keys.has(&key).then(|| CommandId::from_bytes([0; 16])))
    }

    fn event_owner(&self, event_id: &Uuid) -> Result<Option<CommandId>, Infallible> {
        Ok(self.open.values().find(|entry| entry.head.event_id == *event_id).map(|entry| entry.head.id))
    }

    fn open_claims(&self, venue: &str) -> Result<Vec<Entry>, Infallible> {
        Ok(self.open.values().filter(|entry| entry.head.venue == venue).cloned().collect())
    }
}

impl FoldStore for JournalFold {
    fn set_fence(&mut self, venue: &str, fence: Fence) -> Result<(), Infallible> {
        self.fences.insert(venue.to_owned(), fence);
        Ok(())
    }

    fn set_entry(&mut self, entry: &Entry) -> Result<(), Infallible> {
        if entry.is_open() {
            self.open.insert(entry.head.id, entry.clone());
        } else {
            self.open.remove(&entry.head.id);
            self.ended.add(&entry.head.id);
        }
        Ok(())
    }

    fn set_key_owner(&mut self, key: &str, _: &CommandId) -> Result<(), Infallible> {
        self.keys.add(&key);
        Ok(())
    }
}

/// An ended command of which only the fingerprint is kept: the rule asks no more than that it has ended.
fn ended_stand_in(id: CommandId) -> Entry {
    let head = Head {
        id,
        venue: String::new(),
        event_id: Uuid::nil(),
        offset: 0,
        idempotency_key: String::new(),
        content_hash: String::new(),
        origin: String::new(),
        dispatch_by: Timestamp::default(),
        deadline: Timestamp::default(),
    };
    let outcome = Some(OutcomeMark { offset: 0, status: ResultStatus::Unresolved });
    Entry { head, claim: None, outcome, evidence: None, decision: None }
}
