//! What the store keeps beside the fold, and when it lets go: claims until their settlement, history until the floor.

use std::sync::mpsc::{Receiver, channel};

use crate::common::journal::{claim, outcome, trade};
use crate::common::{MADE_MS, VENUE, at};
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::JournalFence;
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Envelope, Payload, Timestamp, Uuid};
use unrip_execute::store::{
    FoldedRecord, Keeping, LogEnd, LogRecord, PartitionView, Store, StoreError, StoreOptions, Writer,
};
use unrip_protocol::fold::{Applied, FoldView};
use unrip_protocol::wire;

const PARTITION: i32 = 3;
const MINUTE: i64 = 60_000;
/// History is kept for an hour here.
const HISTORY_MS: i64 = 60 * MINUTE;

struct Journal {
    _dir: tempfile::TempDir,
    store: Store,
    writer: Writer,
    reported: Receiver<Result<Vec<FoldedRecord>, StoreError>>,
    next: i64,
}

impl Journal {
    /// An empty store.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keeping = Keeping { history_ms: HISTORY_MS, ..Keeping::default() };
        let options = StoreOptions { dir: dir.path().join("state"), map_bytes: 64 * 1_024 * 1_024, keeping };
        let store = Store::open(&options).unwrap();
        let (tell, reported) = channel();
        let writer = Writer::start(store.clone(), move |folded| drop(tell.send(folded))).unwrap();
        Self { _dir: dir, store, writer, reported, next: 0 }
    }

    /// Folds one record, appended so many milliseconds after the tests' time.
    fn append<P: Payload>(&mut self, ms: i64, payload: P) -> Applied {
        let envelope =
            Envelope::root(Uuid::from_u128(self.next as u128 + 1), VENUE, "test", at(ms), payload).encode().unwrap();
        let record = wire::read(self.next, envelope);
        self.next += 1;
        let trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        self.writer.apply(vec![LogRecord { partition: PARTITION, appended_at: at(ms), trace, record }]).unwrap();
        self.reported.recv().unwrap().unwrap().remove(0).applied
    }

    fn fence(&mut self, ms: i64) {
        let nil = Uuid::nil();
        let executor_id = "a".to_owned();
        let fence = JournalFence {
            partition: PARTITION,
            partition_count: 4,
            journal_id: Uuid::from_u128(9),
            executor_id,
            incarnation: nil,
        };
        assert_eq!(self.append(ms, fence), Applied::Fenced);
    }

    fn published(&self, ids: &[CommandId], next: i64) {
        self.writer.published(PARTITION, ids.to_vec(), Some(next)).unwrap();
    }

    fn view(&self) -> PartitionView<'_> {
        self.store.view(PARTITION).unwrap()
    }
}

/// A command made so many milliseconds after the tests' time; its deadline is a minute later.
fn command(ms: i64) -> Envelope<ExecuteTrade> {
    trade(Uuid::from_u128((MADE_MS + ms) as u128), at(ms), 3_000, MINUTE)
}

#[test]
fn keeps_claim_and_outcome_beyond_publication_until_settlement_is_no_longer_waited_for() {
    let mut journal = Journal::new();
    journal.fence(0);
    let command = command(0);
    let id = command.payload.command_id;
    assert_eq!(journal.append(1, claim(&command, 0)), Applied::ClaimValid);
    assert_eq!(journal.view().open_claims(VENUE).unwrap().len(), 1);
    assert!(journal.view().open_claims("other").unwrap().is_empty());
    assert_eq!(journal.append(2, outcome(&command, 0, true)), Applied::OutcomeValid);
    assert!(journal.view().open_claims(VENUE).unwrap().is_empty(), "it has ended");

    let unpublished = journal.view().unpublished(VENUE, 10).unwrap();
    assert_eq!(unpublished.len(), 1);
    assert_eq!(unpublished[0].command, serde_json::to_value(&command).unwrap());
    assert_eq!(unpublished[0].action_digest, Some("d".repeat(64)));
    assert!(unpublished[0].trace.is_some());
    journal.published(&[id], 1);
    assert!(journal.view().unpublished(VENUE, 10).unwrap().is_empty());
    assert_eq!(journal.view().result_next().unwrap(), 1);

    journal.fence(10 * MINUTE);
    let recent = journal.store.recent_claims(PARTITION).unwrap();
    assert_eq!((recent.len(), recent[0].1.claim.action_digest.as_str()), (1, "d".repeat(64).as_str()));
    assert!(journal.view().outcome(&id).unwrap().is_some());
    journal.fence(17 * MINUTE);
    assert!(journal.store.recent_claims(PARTITION).unwrap().is_empty());
    assert!(journal.view().outcome(&id).unwrap().is_none());
    assert!(journal.view().entry(&id).unwrap().is_some(), "what is known of it stays");
}

#[test]
fn what_is_open_or_unpublished_is_never_forgotten() {
    let mut journal = Journal::new();
    journal.fence(0);
    let (open, unpublished) = (command(0), command(1));
    journal.append(1, claim(&open, 0));
    journal.append(2, claim(&unpublished, 0));
    journal.append(3, outcome(&unpublished, 0, true));
    journal.fence(3 * HISTORY_MS);
    journal.fence(4 * HISTORY_MS);
    let view = journal.view();
    assert_eq!(view.open_claims(VENUE).unwrap().len(), 1);
    assert_eq!(view.unpublished(VENUE, 10).unwrap().len(), 1);
    assert_eq!(view.claimed().unwrap().len(), 2);
}

#[test]
fn the_floor_moves_by_append_times_before_history_goes() {
    let mut journal = Journal::new();
    journal.fence(0);
    let (first, second) = (command(0), command(30 * MINUTE));
    for one in [&first, &second] {
        journal.append(31 * MINUTE, outcome(one, 0, false));
    }
    let ids = [first.payload.command_id, second.payload.command_id];
    journal.published(&ids, 2);
    assert_eq!(journal.view().floor().unwrap(), at(0), "it starts with the log");
    journal.fence(80 * MINUTE);
    assert_eq!(journal.view().floor().unwrap(), at(20 * MINUTE));
    let view = journal.view();
    assert!(view.entry(&ids[0]).unwrap().is_none(), "below the floor: it would be stale");
    assert!(view.event_owner(&first.event_id).unwrap().is_none());
    assert!(view.entry(&ids[1]).unwrap().is_some());
    drop(view);
    journal.fence(10 * MINUTE);
    assert_eq!(journal.view().floor().unwrap(), at(20 * MINUTE), "it never moves back");
}

#[test]
fn a_result_read_before_its_outcome_leaves_nothing_to_publish() {
    let mut journal = Journal::new();
    let command = command(0);
    let id = command.payload.command_id;
    journal.published(&[id], 1);
    assert!(journal.view().checkpoint().unwrap().is_none(), "reading results begins no fold");
    let ends = [(PARTITION, LogEnd { offset: 3, appended_at: at(20 * MINUTE) })];
    journal.writer.log_ends(ends.into()).unwrap();
    journal.fence(0);
    journal.append(1, claim(&command, 0));
    journal.append(2, outcome(&command, 0, true));
    let view = journal.view();
    assert!(view.unpublished(VENUE, 10).unwrap().is_empty());
    assert_eq!(view.entry(&id).unwrap().unwrap().outcome.unwrap().status, ResultStatus::Executed);
    assert_eq!(journal.view().checkpoint().unwrap().unwrap().journal_id, Some(Uuid::from_u128(9)), "from its fence");
}

#[test]
fn quick_reading_and_slow_reading_of_a_record_agree() {
    let command = command(0);
    let plain = {
        let mut plain = command.clone();
        plain.payload.reason = "plain".to_owned();
        plain
    };
    for command in [&command, &plain] {
        for value in
            [encoded(claim(command, 7)), encoded(outcome(command, 7, true)), encoded(outcome(command, 7, false))]
        {
            let quick = wire::read(5, value.clone());
            // Another order of fields hides the type from the quick look.
            let tree: serde_json::Value = serde_json::from_slice(&value).unwrap();
            let slow = wire::read(5, format!("{:300}{tree}", "").into_bytes());
            assert_eq!(quick.placed, slow.placed);
            assert!(!quick.placed.venue.is_empty());
        }
    }
}

fn encoded<P: Payload>(payload: P) -> Vec<u8> {
    Envelope::root(Uuid::from_u128(1), VENUE, "test", Timestamp::from_millis(1), payload).encode().unwrap()
}
