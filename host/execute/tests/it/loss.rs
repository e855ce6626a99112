//! A journal that is lost, cut or recreated, on a real broker: what the executor's state makes of it, and how a person
//! gets its history back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common::journal::{claim, outcome, trade};
use crate::common::{VENUE, at};
use unrip_bus::{Admin, BusConfig, Isolation, Outgoing, Position, Producer, read_to_end};
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::{JournalEntry, JournalFence, JournalGenesis};
use unrip_core::{CommandId, Envelope, Payload, Timestamp, Uuid, topic};
use unrip_execute::config::Demands;
use unrip_execute::journal::tail::tail;
use unrip_execute::journal::watch::Watch;
use unrip_execute::start::compare::{Started, begin};
use unrip_execute::start::reseed::{Reseed, Reseeded};
use unrip_execute::start::topics::check;
use unrip_execute::store::{FoldedRecord, Keeping, LogRecord, Store, StoreError, StoreOptions, Writer};
use unrip_protocol::fold::{Entry, FoldView};
use unrip_protocol::wire;
use unrip_service::clock::SystemClock;
use unrip_service::{Ids, RunError};
use unrip_testkit::broker::{Broker, BrokerChoice};

const PARTITIONS: i32 = 2;
const SKEW_MS: i64 = 2_000;
/// Nothing here takes this long; it only keeps a failing test from hanging.
const WAIT: Duration = Duration::from_secs(60);

/// One cluster with one executor's state. Its topics have the real names, so each life of a journal has a broker.
struct Life {
    broker: Broker,
    _dir: tempfile::TempDir,
    journal_id: Uuid,
}

impl Life {
    /// A broker whose journal holds nothing but its beginning.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let choice = BrokerChoice { own: true, ..BrokerChoice::default() };
        let path = dir.path().to_owned();
        let broker = tokio::task::spawn_blocking(move || Broker::start(choice, &path)).await.unwrap().unwrap();
        let topics = topic::execution_topics(PARTITIONS);
        Admin::new(&broker.bus()).unwrap().ensure_topics(&topics).await.unwrap();
        let journal_id = Ids::random().uuid_v7(now());
        let life = Self { broker, _dir: dir, journal_id };
        for partition in 0..PARTITIONS {
            life.append_to(partition, JournalGenesis { journal_id, partition_count: PARTITIONS }).await;
        }
        life
    }

    fn bus(&self) -> BusConfig {
        self.broker.bus()
    }

    async fn append<P: Payload>(&self, payload: P) -> i64 {
        self.append_to(0, payload).await
    }

    async fn append_to<P: Payload>(&self, partition: i32, payload: P) -> i64 {
        let envelope = Envelope::root(Ids::random().uuid_v7(now()), VENUE, "test", now(), payload);
        let outgoing = Outgoing {
            topic: topic::JOURNAL.to_owned(),
            partition: Some(partition),
            key: b"k".to_vec(),
            value: envelope.encode().unwrap(),
            headers: Vec::new(),
        };
        Producer::new(&self.bus()).unwrap().send(outgoing).await.unwrap().offset
    }

    async fn fence(&self) -> i64 {
        let (partition_count, journal_id) = (PARTITIONS, self.journal_id);
        let (executor_id, incarnation) = ("first".to_owned(), Uuid::nil());
        self.append(JournalFence { partition: 0, partition_count, journal_id, executor_id, incarnation }).await
    }

    async fn kinds(&self) -> Vec<&'static str> {
        let records =
            read_to_end(&self.bus(), Position::new(topic::JOURNAL, 0, 0), Isolation::ReadUncommitted).await.unwrap();
        let kind = |value: &[u8]| match wire::entry(value) {
            Some(JournalEntry::Genesis(_)) => "genesis",
            Some(JournalEntry::Fence(_)) => "fence",
            Some(JournalEntry::Claim(_)) => "claim",
            Some(JournalEntry::Outcome(_)) => "outcome",
            Some(JournalEntry::Seed(_)) => "seed",
            _ => "other",
        };
        records.iter().map(|record| kind(&record.value)).collect()
    }
}

/// An executor's state on disk.
struct State {
    _dir: tempfile::TempDir,
    store: Store,
    writer: Writer,
    reported: Receiver<Result<Vec<FoldedRecord>, StoreError>>,
}

impl State {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (dir_path, keeping) = (dir.path().join("state"), Keeping::default());
        let store = Store::open(&StoreOptions { dir: dir_path, map_bytes: 64 * 1_024 * 1_024, keeping }).unwrap();
        let (tell, reported) = channel();
        let writer = Writer::start(store.clone(), move |folded| drop(tell.send(folded))).unwrap();
        Self { _dir: dir, store, writer, reported }
    }

    async fn begin(&self, life: &Life) -> Result<Started, RunError> {
        let bus = life.bus();
        let started = begin(&bus, &self.store, &self.writer, PARTITIONS, SKEW_MS);
        tokio::time::timeout(WAIT, started).await.expect("the comparison takes too long")
    }

    /// Begins, and folds the journal to its end.
    async fn fold(&self, life: &Life) {
        let started = self.begin(life).await.unwrap();
        let missing = |state: &Self| {
            let next = |partition| state.store.view(partition).unwrap().checkpoint().unwrap();
            started.ends.iter().any(|(at, end)| next(*at).is_none_or(|fold| fold.next_offset < *end))
        };
        let reading = tokio::spawn(tail(life.bus(), started.from.clone(), started.journal_id, self.writer.clone()));
        while missing(self) {
            tokio::task::block_in_place(|| self.reported.recv_timeout(WAIT)).unwrap().unwrap();
        }
        reading.abort();
    }

    async fn reseed(&self, life: &Life) -> Reseeded {
        let reseed = Reseed {
            bus: life.bus(),
            store: self.store.clone(),
            writer: self.writer.clone(),
            partitions: PARTITIONS,
            executor_id: "second".to_owned(),
            clock: Arc::new(SystemClock),
            ids: Ids::random(),
            reason: "someone: the disk died".to_owned(),
        };
        tokio::time::timeout(WAIT, reseed.write()).await.expect("the re-seed takes too long").unwrap()
    }

    fn entry(&self, id: &CommandId) -> Option<Entry> {
        self.store.view(0).unwrap().entry(id).unwrap()
    }
}

fn now() -> Timestamp {
    unrip_service::clock::Clock::now(&SystemClock)
}

/// A command whose deadline is so many milliseconds from now.
fn command(number: u128, deadline_in_ms: i64) -> Envelope<ExecuteTrade> {
    let made = at(0).plus_millis(now().millis_since(at(0)));
    trade(Uuid::from_u128(number), made, 1_000, deadline_in_ms)
}

/// Two lives of a journal, the second fresh; the steps share them because each needs a broker of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_is_noticed_and_its_history_comes_back() {
    let (first, second) = tokio::join!(Life::new(), Life::new());
    let fence = first.fence().await;
    let over = nothing_at_stake_is_folded_anew(&first, &second, fence).await;

    let (open, ended, refused) = (command(1, 600_000), command(2, 600_000), command(3, 600_000));
    first.append(claim(&open, fence)).await;
    first.append(claim(&ended, fence)).await;
    first.append(outcome(&ended, fence, true)).await;
    first.append(outcome(&refused, fence, false)).await;
    let (state, bystander) = (State::new(), State::new());
    for state in [&state, &bystander] {
        state.fold(&first).await;
        // The refusal's result is published: nothing of it matters but that it was.
        state.writer.published(0, vec![over, refused.payload.command_id], Some(0)).unwrap();
        state.begin(&first).await.unwrap();
    }
    a_running_executor_sees_it(&first, &second, &bystander).await;

    let Err(RunError::State(text)) = state.begin(&second).await else { panic!("not refused") };
    assert!(text.contains("1 claims without an outcome, 1 results to publish"), "{text}");
    assert!(text.contains("--reseed-journal") && text.contains("execute.state_dir"), "{text}");

    // What a kill half way leaves: the note, a fence and the first claim.
    state.store.set_reseeding(Some("someone: why")).unwrap();
    let other = second.fence().await;
    second.append(claim(&open, other)).await;
    let Err(RunError::State(text)) = state.begin(&second).await else { panic!("not refused") };
    assert!(text.contains("did not reach its end") && text.contains("someone: why"), "{text}");

    let written = state.reseed(&second).await;
    // Also the one that is over: its settlement may still be reported.
    assert_eq!(written, Reseeded { claims: 2, outcomes: 2, seeds: 1, ..Reseeded::default() });
    let kinds = second.kinds().await;
    assert_eq!(kinds[..4], ["genesis", "fence", "claim", "fence"]);
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    assert_eq!(state.reseed(&second).await, Reseeded::default(), "the second time nothing is missing");
    assert_eq!(second.kinds().await, kinds);

    for state in [&state, &State::new()] {
        state.fold(&second).await;
        assert!(state.entry(&open.payload.command_id).unwrap().is_open(), "every executor knows it again");
        // Nothing stands on the result topic here: both outcomes are to be published.
        assert_eq!(state.store.view(0).unwrap().unpublished(VENUE, 10).unwrap().len(), 2);
        assert!(state.entry(&refused.payload.command_id).unwrap().outcome.is_some());
    }
    // The bystander finds a journal that others have written: its fold is rebuilt from it.
    bystander.fold(&second).await;
    assert!(bystander.entry(&open.payload.command_id).unwrap().is_open());
    let view = bystander.store.view(0).unwrap();
    assert_eq!(view.checkpoint().unwrap().unwrap().journal_id, Some(second.journal_id));
    a_cut_journal_gets_its_end_back(&first, fence).await;
}

async fn nothing_at_stake_is_folded_anew(first: &Life, second: &Life, fence: i64) -> CommandId {
    let state = State::new();
    let over = command(9, -60_000);
    first.append(claim(&over, fence)).await;
    first.append(outcome(&over, fence, true)).await;
    state.fold(first).await;
    state.writer.published(0, vec![over.payload.command_id], Some(0)).unwrap();
    state.fold(second).await;
    assert!(state.entry(&over.payload.command_id).is_none(), "its signed answer has expired");
    let view = state.store.view(0).unwrap();
    assert_eq!(view.checkpoint().unwrap().unwrap().journal_id, Some(second.journal_id));
    over.payload.command_id
}

async fn a_running_executor_sees_it(first: &Life, second: &Life, state: &State) {
    let mut good = Watch::new(&first.bus(), &state.store, PARTITIONS).unwrap();
    for _ in 0..4 {
        good.look().await.unwrap();
    }
    let mut other = Watch::new(&second.bus(), &state.store, PARTITIONS).unwrap();
    let mut looked = Ok(());
    for _ in 0..PARTITIONS {
        looked = looked.and(other.look().await);
    }
    assert!(matches!(looked, Err(RunError::State(text)) if text.contains("was replaced by")));
    let mut counts = Watch::new(&first.bus(), &state.store, PARTITIONS + 1).unwrap();
    assert!(matches!(counts.look().await, Err(RunError::Config(text)) if text.contains("has 2 partitions now")));
    let demands = Demands { production: false, deadline_ms_max: 610_000, clock_skew_ms_max: SKEW_MS };
    assert_eq!(check(&first.bus(), demands).await.unwrap(), PARTITIONS, "topics as `unrip topics ensure` makes them");
}

/// The same journal, shorter than what was read of it.
async fn a_cut_journal_gets_its_end_back(life: &Life, fence: i64) {
    let state = State::new();
    state.fold(life).await;
    let end = state.store.view(0).unwrap().checkpoint().unwrap().unwrap().next_offset;
    // What the broker lost: one more claim that this executor had read.
    let lost = command(7, 600_000);
    let envelope = Envelope::root(Uuid::from_u128(70), VENUE, "test", now(), claim(&lost, fence));
    let record = wire::read(end, envelope.encode().unwrap());
    let record = LogRecord { partition: 0, appended_at: now(), trace: None, record };
    state.writer.apply(vec![record]).unwrap();
    tokio::task::block_in_place(|| state.reported.recv_timeout(WAIT)).unwrap().unwrap();

    let mut watch = Watch::new(&life.bus(), &state.store, PARTITIONS).unwrap();
    watch.look().await.unwrap();
    let Err(RunError::State(text)) = watch.look().await else { panic!("not noticed at the second look") };
    assert!(text.contains(&format!("ends at {end} and was read up to {}", end + 1)), "{text}");
    let Err(RunError::State(text)) = state.begin(life).await else { panic!("not refused") };
    assert!(text.contains("1 claims without an outcome, 0 results to publish"), "{text}");
    assert_eq!(state.reseed(life).await, Reseeded { claims: 1, ..Reseeded::default() });
    state.fold(life).await;
    assert!(state.entry(&lost.payload.command_id).unwrap().is_open());
}
