//! The databases of the environment, and what their keys and values are.

use heed::types::Bytes;
use heed::{Database, Env, RwTxn, WithoutTls};

/// Databases in the environment, with room for later ones.
pub(super) const DATABASES_MAX: u32 = 16;

pub(super) type Db = Database<Bytes, Bytes>;

/// The databases. Keys begin with the partition (4 bytes, big-endian).
#[derive(Clone, Copy)]
pub(super) struct Dbs {
    /// partition → `Checkpoint`.
    pub(super) checkpoints: Db,
    /// partition → the next offset of the result topic to read.
    pub(super) results: Db,
    /// partition, venue → `Fence`.
    pub(super) fences: Db,
    /// partition, command id → `Entry`.
    pub(super) entries: Db,
    /// partition, command id → nothing: claimed and not ended.
    pub(super) open: Db,
    /// partition, hash of the idempotency key → command id.
    pub(super) keys: Db,
    /// partition, record id → command id.
    pub(super) events: Db,
    /// partition, command id → claim record, until its settlement is no longer waited for.
    pub(super) claims: Db,
    /// partition, command id → outcome record, while its claim is kept or its result is unpublished.
    pub(super) outcomes: Db,
    /// partition, command id → evidence record of a fenced executor.
    pub(super) evidence: Db,
    /// partition, command id → record of a person's decision.
    pub(super) decisions: Db,
    /// partition, outcome offset (8 bytes, big-endian) → command id.
    pub(super) unpublished: Db,
    /// partition, command id → nothing: its result was read before its outcome was folded.
    pub(super) early: Db,
    /// What concerns the whole store.
    pub(super) meta: Db,
}

impl Dbs {
    /// Opens them, and creates those that are missing.
    pub(super) fn create(env: &Env<WithoutTls>, txn: &mut RwTxn<'_>) -> Result<Self, heed::Error> {
        let mut db = |name: &str| env.create_database::<Bytes, Bytes>(txn, Some(name));
        Ok(Self {
            checkpoints: db("checkpoints")?,
            results: db("results")?,
            fences: db("fences")?,
            entries: db("entries")?,
            open: db("open")?,
            keys: db("keys")?,
            events: db("events")?,
            claims: db("claims")?,
            outcomes: db("outcomes")?,
            evidence: db("evidence")?,
            decisions: db("decisions")?,
            unpublished: db("unpublished")?,
            early: db("early")?,
            meta: db("meta")?,
        })
    }

    /// All that belongs to the fold of a partition.
    pub(super) fn of_fold(&self) -> [Db; 12] {
        let Self {
            checkpoints,
            fences,
            entries,
            open,
            keys,
            events,
            claims,
            outcomes,
            evidence,
            decisions,
            unpublished,
            early,
            results: _,
            meta: _,
        } = *self;
        [checkpoints, fences, entries, open, keys, events, claims, outcomes, evidence, decisions, unpublished, early]
    }
}
