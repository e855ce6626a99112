//! The fold on real LMDB: the same as in memory, durable, locked, and clear about what is wrong.

use std::sync::mpsc::{Receiver, channel};

use crate::common::{VENUE, at, claim, command, fence, outcome, placed};
use proptest::prelude::*;
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Uuid};
use unrip_execute::store::{FoldedRecord, Keeping, LogRecord, Store, StoreError, StoreOptions, Writer};
use unrip_protocol::fold::{Applied, Fact, FoldView, MemoryFold, Placed, apply};
use unrip_protocol::wire::JournalRecord;

const MAP_BYTES: usize = 64 * 1_024 * 1_024;

fn options(dir: &tempfile::TempDir) -> StoreOptions {
    StoreOptions { dir: dir.path().join("state"), map_bytes: MAP_BYTES, keeping: Keeping::default() }
}

fn started(store: &Store) -> (Writer, Receiver<Result<Vec<FoldedRecord>, StoreError>>) {
    let (tell, reported) = channel();
    let writer = Writer::start(store.clone(), move |folded| drop(tell.send(folded))).unwrap();
    (writer, reported)
}

fn log(placed: Placed) -> LogRecord {
    // The rule needs no more than the fact; what else a record says is not read here.
    let record = JournalRecord { placed, journal_id: None, value: Vec::new() };
    LogRecord { partition: 3, appended_at: at(0), trace: None, record }
}

/// Folds records in one batch each and gives what each did.
fn fold(writer: &Writer, reported: &Receiver<Result<Vec<FoldedRecord>, StoreError>>, facts: &[Placed]) -> Vec<Applied> {
    writer.apply(facts.iter().cloned().map(log).collect()).unwrap();
    let mut applied = Vec::new();
    while applied.len() < facts.len() {
        applied.extend(reported.recv().unwrap().unwrap().into_iter().map(|record| record.applied));
    }
    applied
}

#[test]
fn survives_a_restart_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let head = command(1, "key-1");
    {
        let store = Store::open(&options(&dir)).unwrap();
        let (writer, reported) = started(&store);
        fold(&writer, &reported, &[placed(0, fence()), placed(1, claim(&head, 0))]);
        drop(writer);
        // The thread lets go of the store before it lets go of its way to tell.
        assert!(reported.recv().is_err());
    }
    let store = Store::open(&options(&dir)).unwrap();
    let view = store.view(3).unwrap();
    assert!(view.entry(&head.id).unwrap().unwrap().is_open());
    assert_eq!(view.key_owner("key-1").unwrap(), Some(head.id));
    assert_eq!(view.event_owner(&head.event_id).unwrap(), Some(head.id));
    let checkpoint = view.checkpoint().unwrap().unwrap();
    assert_eq!((checkpoint.next_offset, checkpoint.last_event_id), (2, Some(Uuid::from_u128(2))));
    assert_eq!(store.view(4).unwrap().checkpoint().unwrap(), None, "partitions are kept apart");
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(&options(&dir)).unwrap();
    assert!(matches!(Store::open(&options(&dir)), Err(StoreError::Locked { .. })));
    drop(first);
    Store::open(&options(&dir)).unwrap();
}

#[test]
fn a_full_map_is_told_and_stops_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreOptions { map_bytes: 256 * 1_024, ..options(&dir) }).unwrap();
    let (writer, reported) = started(&store);
    let facts = std::iter::once(fence()).chain((1..5_000).map(|n| claim(&command(n, &format!("key-{n}")), 0)));
    let records = facts.enumerate().map(|(offset, fact)| log(placed(offset as i64, fact))).collect();
    writer.apply(records).unwrap();
    let error = reported.recv().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::MapFull { .. }), "{error}");
    assert!(error.to_string().contains("execute.map_bytes"));
    assert!(reported.recv().is_err(), "nothing is reported after it");
    assert_eq!(store.view(3).unwrap().checkpoint().unwrap(), None, "the batch had no effect at all");
}

#[test]
fn forgets_one_partition_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&options(&dir)).unwrap();
    let (writer, reported) = started(&store);
    let head = command(1, "key-1");
    fold(&writer, &reported, &[placed(0, fence()), placed(1, claim(&head, 0))]);
    writer.forget(3).unwrap();
    let view = store.view(3).unwrap();
    assert_eq!(view.checkpoint().unwrap(), None);
    assert_eq!(view.entry(&head.id).unwrap(), None);
    assert_eq!(view.key_owner("key-1").unwrap(), None);
    assert_eq!(view.fence(VENUE).unwrap(), None);
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let one = (0u8..5, 1u128..5, 0u128..3, 0i64..12).prop_map(|(kind, number, key, fence_offset)| {
        let head = command(number, &format!("key-{key}"));
        match kind {
            0 => fence(),
            1 | 2 => claim(&head, fence_offset),
            3 => outcome(&head, fence_offset, ResultStatus::Executed),
            _ => Fact::Evidence { id: head.id },
        }
    });
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Also the laws of the rule itself: at most one valid claim per command and per key, none under an old fence.
    #[test]
    fn decides_as_the_fold_in_memory_whatever_the_log(facts in facts()) {
        let records: Vec<Placed> = facts.into_iter().enumerate().map(|(offset, fact)| placed(offset as i64, fact)).collect();
        let mut memory = MemoryFold::default();
        let expected: Vec<Applied> = records.iter().map(|record| apply(&mut memory, record).unwrap()).collect();

        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&options(&dir)).unwrap();
        let (writer, reported) = started(&store);
        let (first, second) = records.split_at(records.len() / 2);
        let mut applied = fold(&writer, &reported, first);
        applied.extend(fold(&writer, &reported, second));
        prop_assert_eq!(&applied, &expected);
        let view = store.view(3).unwrap();
        for entry in memory.entries() {
            let kept = view.entry(&entry.head.id).unwrap();
            prop_assert_eq!(kept.as_ref(), Some(entry));
        }

        let valid: Vec<(&Placed, CommandId, String)> = records.iter().zip(&applied).filter_map(|(record, applied)| match &record.fact {
            Fact::Claim { head, .. } if *applied == Applied::ClaimValid => Some((record, head.id, head.idempotency_key.clone())),
            _ => None,
        }).collect();
        for (index, (record, id, key)) in valid.iter().enumerate() {
            prop_assert!(valid[..index].iter().all(|(_, other, other_key)| other != id && other_key != key));
            let newest = records[..record.offset as usize].iter().rev().find(|earlier| earlier.fact == Fact::Fence);
            let Fact::Claim { fence_offset, .. } = &record.fact else { unreachable!() };
            prop_assert_eq!(newest.map(|fence| fence.offset), Some(*fence_offset));
        }
    }
}
