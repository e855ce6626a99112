//! Topics are made once, as wanted, and a difference is named.

use std::time::Duration;

use unrip_bus::{Admin, BusConfig, Ensured, Error, Isolation, LogReader, Position, Producer, read_to_end};
use unrip_core::topic::{self, EXECUTION_CONTROL, JOURNAL, TRADE_RESULT};
use unrip_testkit::broker::unique_topic;

use super::common::{bus, record, soon, spec, verdict};

#[tokio::test]
async fn the_topic_step_can_be_run_twice() {
    let (admin, name) = (Admin::new(&bus()).unwrap(), unique_topic("twice"));
    let wanted = [spec(&name, 3)];
    let first = admin.ensure_topics(&wanted).await.unwrap();
    assert!(matches!(&first[..], [(made, Ensured::Created { .. })] if *made == name), "{first:?}");
    let second = admin.ensure_topics(&wanted).await.unwrap();
    assert!(matches!(&second[..], [(kept, Ensured::Kept { .. })] if *kept == name), "{second:?}");
    assert_eq!(admin.describe(&name).await.unwrap().unwrap().partitions, 3);
}

#[tokio::test]
async fn another_partition_count_is_an_error_with_a_cure() {
    let (admin, name) = (Admin::new(&bus()).unwrap(), unique_topic("differs"));
    admin.ensure_topics(&[spec(&name, 2)]).await.unwrap();
    let error = admin.ensure_topics(&[spec(&name, 3)]).await.unwrap_err();
    let Error::Differs { topic, setting, found, wanted, cure } = error else { panic!("{error}") };
    assert_eq!((topic, setting.as_str(), found.as_str(), wanted.as_str()), (name, "partitions", "2", "3"));
    assert!(!cure.is_empty());
}

#[tokio::test]
async fn another_setting_is_an_error_where_the_broker_keeps_settings() {
    let (admin, name) = (Admin::new(&bus()).unwrap(), unique_topic("settings"));
    let first = admin.ensure_topics(&[spec(&name, 1)]).await.unwrap();
    let keeps = first[0].1.warnings().is_empty();
    verdict("topic settings are kept and reported", keeps);
    let mut other = spec(&name, 1);
    other.log_append_time = true;
    match admin.ensure_topics(&[other]).await {
        Err(Error::Differs { setting, .. }) => assert_eq!(setting, "message.timestamp.type"),
        Ok(ensured) if !keeps => assert!(!ensured[0].1.warnings().is_empty(), "hidden: {ensured:?}"),
        unexpected => panic!("{unexpected:?}"),
    }
}

#[tokio::test]
async fn the_execution_topics_can_be_made() {
    let prefix = unique_topic("x");
    let mut topics = topic::execution_topics(2);
    for wanted in &mut topics {
        wanted.name = format!("{prefix}.{}", wanted.name);
    }
    let ensured = Admin::new(&bus()).unwrap().ensure_topics(&topics).await.unwrap();
    for name in [JOURNAL, TRADE_RESULT, EXECUTION_CONTROL] {
        assert!(ensured.iter().any(|(made, _)| made.ends_with(name)), "{name}");
    }
}

#[tokio::test]
async fn append_time_is_stamped_where_the_broker_keeps_it() {
    let (config, name) = (bus(), unique_topic("append"));
    let mut wanted = spec(&name, 1);
    wanted.log_append_time = true;
    let ensured = Admin::new(&config).unwrap().ensure_topics(&[wanted]).await.unwrap();
    Producer::new(&config).unwrap().send(record(&name, None, "k", "v")).await.unwrap();
    let read = read_to_end(&config, Position::new(&name, 0, 0), Isolation::ReadUncommitted).await.unwrap();
    let stamped = matches!(read[0].timestamp, unrip_bus::RecordTime::Append(_));
    verdict("LogAppendTime is stamped", stamped);
    assert!(stamped || !ensured[0].1.warnings().is_empty(), "a broker that does not stamp must be warned of");
}

#[tokio::test]
async fn a_missing_topic_is_told_apart_from_a_broker_that_is_away() {
    let (config, name) = (bus(), unique_topic("missing"));
    assert_eq!(Admin::new(&config).unwrap().describe(&name).await.unwrap(), None);
    let reader = LogReader::open(&config, vec![Position::new(&name, 0, 0)], Isolation::ReadUncommitted).unwrap();
    let error = soon("watermarks", reader.watermarks(&name, 0)).await.unwrap_err();
    assert!(matches!(&error, Error::MissingTopic { topic } if topic.contains(&name)), "{error}");
    let producer = Producer::new(&config).unwrap();
    let error = soon("delivery", producer.send(record(&name, None, "k", "v"))).await.unwrap_err();
    assert!(matches!(&error, Error::MissingTopic { topic } if *topic == name), "{error}");

    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = BusConfig::at(format!("127.0.0.1:{port}"));
    let error = Admin::new(&away).unwrap().reachable(Duration::from_millis(300)).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    let error =
        soon("end", read_to_end(&away, Position::new(&name, 0, 0), Isolation::ReadUncommitted)).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
}

#[tokio::test]
async fn topic_steps_at_the_same_time_agree() {
    let name = unique_topic("together");
    let wanted: Vec<_> = (0..3).map(|number| spec(&format!("{name}.{number}"), 2)).collect();
    let step = || {
        let (admin, wanted) = (Admin::new(&bus()).unwrap(), wanted.clone());
        tokio::spawn(async move { admin.ensure_topics(&wanted).await })
    };
    let mut created = 0;
    for step in [step(), step(), step(), step(), step()] {
        for (_, ensured) in soon("step", step).await.unwrap().unwrap() {
            created += usize::from(matches!(ensured, Ensured::Created { .. }));
        }
    }
    assert_eq!(created, wanted.len(), "each topic is made once");
}

#[tokio::test]
async fn topic_steps_at_the_same_time_that_want_different_topics_differ() {
    let name = unique_topic("against");
    let step = |partitions| {
        let (admin, wanted) = (Admin::new(&bus()).unwrap(), [spec(&name, partitions)]);
        tokio::spawn(async move { admin.ensure_topics(&wanted).await })
    };
    let (two, three) = (step(2), step(3));
    let (two, three) = (soon("two", two).await.unwrap(), soon("three", three).await.unwrap());
    let differs = |error: &Error| matches!(error, Error::Differs { setting, .. } if setting == "partitions");
    assert!(two.is_ok() != three.is_ok(), "{two:?} {three:?}");
    assert!(two.as_ref().err().or_else(|| three.as_ref().err()).is_some_and(differs), "{two:?} {three:?}");
}
