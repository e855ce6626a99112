//! The topic step, run several times at once on topics that do not exist yet.

use unrip_bus::{BusConfig, Isolation, Position, Producer, read_to_end};
use unrip_core::event::journal::JournalGenesis;
use unrip_core::topic::{self, TopicSpec, execution_topics, venue_topics};
use unrip_core::{Envelope, Timestamp, Uuid};
use unrip_operate::say::Say;
use unrip_operate::{journal_start, topics};
use unrip_service::Ids;
use unrip_testkit::broker;

const PARTITIONS: i32 = 3;
const ROUNDS: usize = 10;

/// The topics of a whole system under names of this round's own, the journal's name first.
fn fresh_topics() -> (String, Vec<TopicSpec>) {
    let round = broker::unique_topic("step");
    let mut specs = execution_topics(PARTITIONS);
    specs.extend(venue_topics(
        &"a-venue".parse().unwrap(),
        &["quote".to_owned()],
        &["swap_demand".to_owned()],
        PARTITIONS,
    ));
    for spec in &mut specs {
        spec.name = format!("{round}.{}", spec.name);
    }
    (format!("{round}.{}", topic::JOURNAL), specs)
}

async fn bus() -> BusConfig {
    tokio::task::spawn_blocking(|| broker::for_tests().bus()).await.unwrap()
}

/// The journal ids that the genesis records of a partition name, in their order.
async fn ids(bus: &BusConfig, journal: &str, partition: i32) -> Vec<Uuid> {
    let records = read_to_end(bus, Position::new(journal, partition, 0), Isolation::ReadUncommitted).await.unwrap();
    let id = |value: &[u8]| Envelope::<JournalGenesis>::decode(value).unwrap().payload.journal_id;
    records.iter().map(|record| id(&record.value)).collect()
}

async fn round(bus: &BusConfig, at_once: usize) {
    let (journal, specs) = fresh_topics();
    let steps: Vec<_> = (0..at_once)
        .map(|_| {
            let (bus, journal, specs) = (bus.clone(), journal.clone(), specs.clone());
            tokio::spawn(async move { topics::make(&bus, &specs, &journal, PARTITIONS, &Say::new(true, true)).await })
        })
        .collect();
    let mut agreed = Vec::new();
    for step in steps {
        agreed.push(step.await.unwrap().unwrap());
    }
    let expected = agreed.first().copied().flatten();
    assert!(expected.is_some() && agreed.iter().all(|id| *id == expected), "{agreed:?}");
    for partition in 0..PARTITIONS {
        let found = ids(bus, &journal, partition).await;
        assert_eq!(found.first().copied(), expected, "{journal} {partition}: {found:?}");
    }
    // Once more, alone: nothing changes.
    let before = ids(bus, &journal, 0).await;
    assert_eq!(topics::make(bus, &specs, &journal, PARTITIONS, &Say::new(true, true)).await.unwrap(), expected);
    assert_eq!(ids(bus, &journal, 0).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_run_at_once_agree_on_one_journal() {
    let bus = bus().await;
    for number in 0..ROUNDS {
        round(&bus, if number == 0 { 5 } else { 3 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_died_half_way_is_finished_with_its_id() {
    let bus = bus().await;
    let (journal, specs) = fresh_topics();
    unrip_bus::Admin::new(&bus).unwrap().ensure_topics(&specs).await.unwrap();
    let (id, now) = (Uuid::from_u128(7), Timestamp::from_millis(1_795_341_600_000));
    let payload = JournalGenesis { journal_id: id, partition_count: PARTITIONS };
    let value = Envelope::root(Uuid::from_u128(1), "*", "test", now, payload).encode().unwrap();
    let producer = Producer::new(&bus).unwrap();
    let record = |partition, value: &[u8]| unrip_bus::Outgoing {
        topic: journal.clone(),
        partition: Some(partition),
        key: b"genesis".to_vec(),
        value: value.to_vec(),
        headers: Vec::new(),
    };
    producer.send(record(1, &value)).await.unwrap();
    let started = journal_start::start(&bus, &journal, PARTITIONS, &Ids::random(), now).await.unwrap();
    assert_eq!(started, Some(id));
    for partition in 0..PARTITIONS {
        assert_eq!(ids(&bus, &journal, partition).await, [id]);
    }
    // A partition that begins with something else is refused, with the cure.
    let (journal, specs) = fresh_topics();
    unrip_bus::Admin::new(&bus).unwrap().ensure_topics(&specs).await.unwrap();
    let foreign = unrip_bus::Outgoing { topic: journal.clone(), ..record(2, b"{}") };
    producer.send(foreign).await.unwrap();
    let error = journal_start::start(&bus, &journal, PARTITIONS, &Ids::random(), now).await.unwrap_err().to_string();
    assert!(error.contains("partition 2") && error.contains("unrip topics ensure"), "{error}");
}
