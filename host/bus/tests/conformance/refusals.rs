//! Whose fault a refused record is: its own, or the configuration's.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use unrip_bus::{Admin, Error, Producer, ProducerOptions};
use unrip_testkit::broker::{self, Kind, unique_topic};

use super::common::{bus, record, soon, verdict};

/// A topic with a setting that the topic step does not know; `None` where the broker does not keep it.
async fn topic_with(setting: &str, value: &str) -> Option<String> {
    let (config, name) = (bus(), unique_topic("setting"));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set(setting, value);
    let topic = topic.set("max.message.bytes", "2097152");
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let keeps = soon("settings", async {
        loop {
            if let Some(state) = Admin::new(&config).unwrap().describe(&name).await.unwrap() {
                return state.settings.get(setting).is_some_and(|found| found == value);
            }
        }
    })
    .await;
    verdict(&format!("the topic setting {setting} is kept"), keeps);
    keeps.then_some(name)
}

/// The record's own fault, where the broker holds records against the setting; Kafka must.
fn refused(setting: &str, sent: Result<(), Error>) {
    verdict(&format!("records are held against {setting}"), sent.is_err());
    match sent {
        Err(error) => assert!(matches!(error, Error::Refused { .. }), "{error}"),
        Ok(()) => assert_ne!(broker::for_tests().kind(), Some(Kind::Kafka), "Kafka took it"),
    }
}

#[tokio::test]
async fn a_record_larger_than_a_segment_is_refused() {
    let Some(name) = topic_with("segment.bytes", "1048576").await else { return };
    let producer = Producer::new(&bus()).unwrap();
    let large = "x".repeat(1_400_000);
    let sent = soon("large", producer.send(record(&name, None, "k", &large))).await;
    refused("segment.bytes", sent.map(drop));
    soon("small", producer.send(record(&name, None, "k", "small"))).await.unwrap();
}

#[tokio::test]
async fn a_record_whose_time_is_out_of_bounds_is_refused() {
    // Every record is older than this when it arrives.
    let Some(name) = topic_with("message.timestamp.before.max.ms", "0").await else { return };
    let options = ProducerOptions { linger_ms: 50, ..ProducerOptions::default() };
    let producer = Producer::with_options(&bus(), options).unwrap();
    let sent = soon("old", producer.send(record(&name, None, "k", "v"))).await;
    refused("message.timestamp.before.max.ms", sent.map(drop));
}

#[tokio::test]
async fn a_login_that_this_broker_does_not_take_is_no_reason_to_give_a_record_up() {
    let name = topic_with("segment.bytes", "1048576").await;
    let (mut config, name) = (bus(), name.unwrap_or_else(|| unique_topic("none")));
    // The shared broker knows no login: the connection fails, again and again.
    config.properties.insert("security.protocol".to_owned(), "sasl_plaintext".to_owned());
    config.properties.insert("sasl.mechanism".to_owned(), "PLAIN".to_owned());
    config.properties.insert("sasl.username".to_owned(), "u".to_owned());
    config.properties.insert("sasl.password".to_owned(), "p".to_owned());
    let options = ProducerOptions { delivery_ms_max: Some(3_000), ..ProducerOptions::default() };
    let Ok(producer) = Producer::with_options(&config, options) else { return };
    let error = soon("login", producer.send(record(&name, None, "k", "v"))).await.unwrap_err();
    assert!(matches!(error, Error::Denied { .. } | Error::Retriable { .. }), "{error}");
}
