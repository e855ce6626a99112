//! Groups: assignment, commit and resume, hand-over with its guard, seeking.

use std::collections::BTreeSet;
use std::time::Duration;

use unrip_bus::{Error, GroupConsumer, GroupEvent, GroupOptions, Position, Producer, Start};
use unrip_testkit::broker::unique_topic;

use super::common::{assigned, member, record, records, soon, topic, values};

#[tokio::test]
async fn a_group_resumes_where_it_committed() {
    let (config, name) = topic("resume", 1).await;
    let (producer, group) = (Producer::new(&config).unwrap(), unique_topic("g"));
    for number in 0..10 {
        producer.send(record(&name, None, "k", &number.to_string())).await.unwrap();
    }
    let mut first = member(&config, &group, &name);
    assert_eq!(values(&records(&mut first, 10).await).len(), 10);
    let here = [(name.clone(), 0)];
    assert_eq!(first.committed(&here).await.unwrap(), [(here[0].clone(), None)]);
    first.commit(vec![Position::new(&name, 0, 4)]).await.unwrap();
    assert_eq!(first.committed(&here).await.unwrap(), [(here[0].clone(), Some(4))]);
    soon("leave", first.leave()).await;
    let mut second = member(&config, &group, &name);
    assert_eq!(values(&records(&mut second, 6).await), ["4", "5", "6", "7", "8", "9"]);
    soon("leave", second.leave()).await;
}

#[tokio::test]
async fn partitions_are_handed_over_after_the_guard_is_dropped_and_what_was_committed_is_not_read_twice() {
    let (config, name) = topic("handover", 4).await;
    let (producer, group) = (Producer::new(&config).unwrap(), unique_topic("g"));
    let mut first = member(&config, &group, &name);
    assert_eq!(assigned(&mut first, 4).await.len(), 4);
    for partition in 0..4 {
        producer.send(record(&name, Some(partition), "k", "before")).await.unwrap();
    }
    assert_eq!(records(&mut first, 4).await.len(), 4);
    let mut second = member(&config, &group, &name);
    let (taken, lost) = soon("revocation", async {
        loop {
            if let GroupEvent::Revoked { partitions, lost, guard } = first.next().await {
                // The others wait for this commit.
                let offsets = partitions.iter().map(|(topic, partition)| Position::new(topic, *partition, 1)).collect();
                first.commit(offsets).await.unwrap();
                drop(guard);
                return (partitions, lost);
            }
        }
    })
    .await;
    assert!(!lost && !taken.is_empty() && taken.len() < 4, "cooperative: only some are taken: {taken:?}");
    let first_task = tokio::spawn(async move {
        loop {
            first.next().await;
        }
    });
    let mut got = assigned(&mut second, taken.len()).await;
    got.sort();
    let mut taken = taken;
    taken.sort();
    assert_eq!(got, taken);
    for (topic, partition) in &taken {
        producer.send(record(topic, Some(*partition), "k", "after")).await.unwrap();
    }
    assert!(values(&records(&mut second, taken.len()).await).iter().all(|value| value == "after"));
    first_task.abort();
    soon("leave", second.leave()).await;
}

#[tokio::test]
async fn a_held_member_starts_where_it_seeks() {
    let (config, name) = topic("held", 1).await;
    let producer = Producer::new(&config).unwrap();
    for number in 0..10 {
        producer.send(record(&name, None, "k", &number.to_string())).await.unwrap();
    }
    let options = GroupOptions { start: Start::Held, ..GroupOptions::new(unique_topic("g"), vec![name.clone()]) };
    let mut held = GroupConsumer::join(&config, options).unwrap();
    let here = assigned(&mut held, 1).await;
    held.seek(&Position::new(&name, 0, 7)).await.unwrap();
    held.resume(&here);
    assert_eq!(values(&records(&mut held, 3).await), ["7", "8", "9"]);
    held.seek(&Position::new(&name, 0, 2)).await.unwrap();
    assert_eq!(values(&records(&mut held, 8).await)[..2], ["2", "3"]);
    assert_eq!(held.watermarks(&name, 0).await.unwrap(), (0, 10));
    let error = held.seek(&Position::new("elsewhere", 0, 0)).await.unwrap_err();
    assert!(matches!(error, Error::NotOwner { .. }), "{error}");
    soon("leave", held.leave()).await;
}

#[tokio::test]
async fn a_paused_partition_stands_still_until_resumed() {
    let (config, name) = topic("pause", 2).await;
    let producer = Producer::new(&config).unwrap();
    let mut paused = member(&config, &unique_topic("g"), &name);
    assigned(&mut paused, 2).await;
    paused.pause(&[(name.clone(), 0)]);
    // A command is obeyed before the next seek is.
    paused.seek(&Position::new(&name, 1, 0)).await.unwrap();
    producer.send(record(&name, Some(0), "k", "held")).await.unwrap();
    producer.send(record(&name, Some(1), "k", "free")).await.unwrap();
    assert_eq!(values(&records(&mut paused, 1).await), ["free"]);
    paused.resume(&[(name.clone(), 0)]);
    assert_eq!(values(&records(&mut paused, 1).await), ["held"]);
    soon("leave", paused.leave()).await;
}

#[tokio::test]
async fn a_slow_member_keeps_its_partitions_and_loses_and_repeats_nothing() {
    let (config, name) = topic("slow", 1).await;
    let producer = Producer::new(&config).unwrap();
    let count = 4_000;
    let mut deliveries = Vec::new();
    for number in 0..count {
        deliveries.push(producer.enqueue(record(&name, None, "k", &number.to_string())).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let mut slow = member(&config, &unique_topic("g"), &name);
    assigned(&mut slow, 1).await;
    // Longer than the queue may be full before fetching pauses; no result depends on the exact time.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let read = records(&mut slow, count).await;
    let expected: Vec<i64> = (0..count as i64).collect();
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), expected);
    soon("leave", slow.leave()).await;
}

#[tokio::test]
async fn a_group_on_a_missing_topic_says_so() {
    let (config, _) = topic("there", 1).await;
    let name = unique_topic("missing");
    let mut lost = member(&config, &unique_topic("g"), &name);
    let error = soon("failure", async {
        loop {
            match lost.next().await {
                GroupEvent::Failed(error) if error.is_retriable() => {}
                GroupEvent::Failed(error) => return error,
                event => panic!("{event:?}"),
            }
        }
    })
    .await;
    assert!(matches!(&error, Error::MissingTopic { topic } if *topic == name), "{error}");
    soon("leave", lost.leave()).await;
}

#[tokio::test]
async fn a_partition_that_was_paused_when_it_was_taken_flows_when_it_comes_back() {
    let (config, name) = topic("comeback", 2).await;
    let (producer, group) = (Producer::new(&config).unwrap(), unique_topic("g"));
    let mut first = member(&config, &group, &name);
    let all = assigned(&mut first, 2).await;
    first.pause(&all);
    // A command is obeyed before the next seek is.
    first.seek(&Position::new(&name, 0, 0)).await.unwrap();
    let mut second = member(&config, &group, &name);
    let taken = soon("revocation", async {
        loop {
            if let GroupEvent::Revoked { partitions, .. } = first.next().await {
                return partitions;
            }
        }
    })
    .await;
    soon("second", async { while !matches!(second.next().await, GroupEvent::Assigned(got) if !got.is_empty()) {} })
        .await;
    soon("leave", second.leave()).await;
    assert_eq!(assigned(&mut first, taken.len()).await.len(), taken.len());
    for (topic, partition) in &taken {
        producer.send(record(topic, Some(*partition), "k", "back")).await.unwrap();
    }
    assert!(values(&records(&mut first, taken.len()).await).iter().all(|value| value == "back"));
    soon("leave", first.leave()).await;
}

#[tokio::test]
async fn a_partition_that_a_full_queue_paused_flows_when_it_comes_back() {
    let (config, name) = topic("fullback", 2).await;
    let (producer, group) = (Producer::new(&config).unwrap(), unique_topic("g"));
    let small = || GroupOptions {
        session_timeout_ms: 6_000,
        batch_records_max: 1,
        ..GroupOptions::new(group.clone(), vec![name.clone()])
    };
    let mut first = GroupConsumer::join(&config, small()).unwrap();
    assigned(&mut first, 2).await;
    for number in 0..40 {
        producer.send(record(&name, Some(number % 2), "k", &number.to_string())).await.unwrap();
    }
    // Reads nothing: the queue is full and the member pauses everything. The second one joins meanwhile.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let mut second = GroupConsumer::join(&config, small()).unwrap();
    let mut seen = BTreeSet::new();
    soon("revocation", async {
        loop {
            match first.next().await {
                GroupEvent::Revoked { .. } => return,
                GroupEvent::Records(read) => seen.extend(read.iter().map(|read| (read.partition, read.offset))),
                _ => {}
            }
        }
    })
    .await;
    soon("second", async { while !matches!(second.next().await, GroupEvent::Assigned(got) if !got.is_empty()) {} })
        .await;
    soon("leave", second.leave()).await;
    soon("all", async {
        while seen.len() < 40 {
            if let GroupEvent::Records(read) = first.next().await {
                seen.extend(read.iter().map(|read| (read.partition, read.offset)));
            }
        }
    })
    .await;
    soon("leave", first.leave()).await;
}

#[tokio::test]
async fn a_commit_after_a_revocation_that_timed_out_is_refused() {
    let (config, name) = topic("late", 2).await;
    let group = unique_topic("g");
    let options = GroupOptions {
        session_timeout_ms: 6_000,
        revoke_wait_ms_max: 100,
        ..GroupOptions::new(group.clone(), vec![name.clone()])
    };
    let mut first = GroupConsumer::join(&config, options).unwrap();
    assigned(&mut first, 2).await;
    first.commit(vec![Position::new(&name, 0, 0), Position::new(&name, 1, 0)]).await.unwrap();
    let mut second = member(&config, &group, &name);
    let (taken, guard) = soon("revocation", async {
        loop {
            if let GroupEvent::Revoked { partitions, guard, .. } = first.next().await {
                return (partitions, guard);
            }
        }
    })
    .await;
    // The guard is held for longer than the revocation waits: the other member has the partition then.
    assert_eq!(assigned(&mut second, 1).await, taken);
    let offsets = (0..2).map(|partition| Position::new(&name, partition, 9)).collect();
    let error = soon("commit", first.commit(offsets)).await.unwrap_err();
    assert!(matches!(error, Error::NotOwner { .. }), "{error}");
    drop(guard);
    for partition in 0..2 {
        let at = (name.clone(), partition);
        let expected = if taken.contains(&at) { 0 } else { 9 };
        assert_eq!(second.committed(std::slice::from_ref(&at)).await.unwrap(), [(at, Some(expected))]);
    }
    soon("leave", first.leave()).await;
    soon("leave", second.leave()).await;
}

#[tokio::test]
async fn a_static_member_that_returns_disturbs_no_other_and_its_double_is_put_out() {
    let (config, name) = topic("static", 2).await;
    let group = unique_topic("g");
    let join = |id: &str| {
        let options = GroupOptions {
            session_timeout_ms: 30_000,
            instance_id: Some(id.to_owned()),
            ..GroupOptions::new(group.clone(), vec![name.clone()])
        };
        GroupConsumer::join(&config, options).unwrap()
    };
    // One after the other: who comes first would otherwise be given everything for a moment.
    let mut one = join("one");
    assigned(&mut one, 2).await;
    let mut two = join("two");
    let stays = tokio::spawn(async move {
        let mut revoked = 0;
        loop {
            match one.next().await {
                GroupEvent::Revoked { .. } => revoked += 1,
                GroupEvent::Failed(error) if error.is_fatal() => return (revoked, error),
                _ => {}
            }
        }
    });
    let first = assigned(&mut two, 1).await;
    soon("leave", two.leave()).await;
    let mut two = join("two");
    assert_eq!(assigned(&mut two, 1).await, first, "long before the session ends");
    let _double = join("one");
    let (revoked, error) = soon("fenced", stays).await.unwrap();
    assert!(revoked <= 1, "only when the second member came: {revoked} ({error})");
    soon("leave", two.leave()).await;
}
